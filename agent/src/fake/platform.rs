//! The program's platform in tests.

use super::host::FakeHost;
use crate::host::{Host, HostResult};
use crate::program::{Lock, Platform};
use std::any::Any;
use std::env;
use std::path::PathBuf;
use std::time::Duration;
use windlass_protocol::exit;

/// A platform that the environment describes.
pub struct FakePlatform {
    address: String,
}

impl FakePlatform {
    /// The one that the environment describes; none without `WINDLASS_MACHINE`.
    pub fn of_environment() -> Option<Self> {
        env::var("WINDLASS_MACHINE").ok().map(|address| Self { address })
    }

    fn concerns() -> Vec<String> {
        let named = env::var("WINDLASS_REAL").unwrap_or_default();
        named.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect()
    }
}

impl Platform for FakePlatform {
    fn folder(&self) -> PathBuf {
        env::var_os("WINDLASS_FOLDER").map_or_else(|| env::temp_dir().join("windlass"), PathBuf::from)
    }

    fn host_name(&self) -> HostResult<String> {
        Ok("ec2amaz-7".to_owned())
    }

    fn open(&self) -> HostResult<Box<dyn Host>> {
        let concerns = Self::concerns();
        let real = if concerns.is_empty() { None } else { self.real()? };
        Ok(Box::new(FakeHost::connect(&self.address, real, concerns)?))
    }

    fn lock(&self, lock: Lock) -> HostResult<Option<Box<dyn Any>>> {
        self.real_lock(lock)
    }

    fn selftest(&self) -> i32 {
        exit::UNFIT
    }

    fn sleep(&self, time: Duration) {
        let hurry = env::var("WINDLASS_HURRY").ok().and_then(|h| h.parse().ok()).unwrap_or(1);
        std::thread::sleep(time / std::cmp::max(hurry, 1));
    }
}

#[cfg(windows)]
impl FakePlatform {
    fn real(&self) -> HostResult<Option<Box<dyn Host>>> {
        Ok(Some(Box::new(crate::windows::WindowsHost::open(&self.folder())?)))
    }

    /// The machine's own locks; each fake machine has its own.
    fn real_lock(&self, lock: Lock) -> HostResult<Option<Box<dyn Any>>> {
        let name = format!("windlass-{lock:?}-{}", self.address.replace(':', "-"));
        Ok(crate::windows::Mutex::acquire(&name)?.map(|held| Box::new(held) as Box<dyn Any>))
    }
}

#[cfg(not(windows))]
impl FakePlatform {
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Windows")]
    fn real(&self) -> HostResult<Option<Box<dyn Host>>> {
        Ok(None)
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Windows")]
    fn real_lock(&self, _: Lock) -> HostResult<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(())))
    }
}
