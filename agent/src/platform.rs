//! What the program runs on: Windows, or, with the feature of tests `fake-machine`, a machine at the other end of a
//! connection.

#[cfg(not(windows))]
use crate::host::HostError;
use crate::host::{Host, HostResult};
use crate::program::{Lock, Platform};
use std::any::Any;
use std::path::PathBuf;
use std::time::Duration;
use windlass_protocol::exit;

/// The platform of this process.
pub fn here() -> Box<dyn Platform> {
    #[cfg(feature = "fake-machine")]
    if let Some(fake) = crate::fake::FakePlatform::of_environment() {
        return Box::new(fake);
    }
    #[cfg(windows)]
    return Box::new(windows::ThisMachine);
    #[cfg(not(windows))]
    Box::new(Elsewhere)
}

/// The Windows machine that this process runs on.
#[cfg(windows)]
mod windows {
    use super::{Any, Duration, Host, HostResult, Lock, PathBuf, Platform, exit};
    use crate::windows::{COMMAND_MUTEX, Mutex, STATE_FOLDER, TASK_MUTEX, Verdict, WindowsHost, host_name, selftest};

    pub(super) struct ThisMachine;

    impl Platform for ThisMachine {
        fn folder(&self) -> PathBuf {
            STATE_FOLDER.into()
        }

        fn host_name(&self) -> HostResult<String> {
            host_name()
        }

        fn open(&self) -> HostResult<Box<dyn Host>> {
            Ok(Box::new(WindowsHost::open(&self.folder())?))
        }

        fn lock(&self, lock: Lock) -> HostResult<Option<Box<dyn Any>>> {
            let name = match lock {
                Lock::Command => COMMAND_MUTEX,
                Lock::Task => TASK_MUTEX,
            };
            Ok(Mutex::acquire(name)?.map(|held| Box::new(held) as Box<dyn Any>))
        }

        fn selftest(&self) -> i32 {
            let findings = match WindowsHost::open(&self.folder()) {
                Ok(mut host) => selftest(&mut host),
                Err(error) => {
                    eprintln!("windlass-agent: {error}");
                    return exit::UNFIT;
                }
            };
            for finding in &findings {
                println!("{finding}");
            }
            if findings.iter().any(|f| f.verdict == Verdict::DoesNot) { exit::PERMANENT } else { exit::DONE }
        }

        fn sleep(&self, time: Duration) {
            std::thread::sleep(time);
        }
    }
}

/// No Windows: the program only refuses here.
#[cfg(not(windows))]
struct Elsewhere;

/// `ERROR_NOT_SUPPORTED`.
#[cfg(not(windows))]
const NOT_SUPPORTED: u32 = 0x8007_0032;

#[cfg(not(windows))]
impl Elsewhere {
    fn refuse<T>() -> HostResult<T> {
        Err(HostError::new(NOT_SUPPORTED, "this program works on Windows only"))
    }
}

#[cfg(not(windows))]
impl Platform for Elsewhere {
    fn folder(&self) -> PathBuf {
        "/nonexistent".into()
    }

    fn host_name(&self) -> HostResult<String> {
        Self::refuse()
    }

    fn open(&self) -> HostResult<Box<dyn Host>> {
        Self::refuse()
    }

    fn lock(&self, _: Lock) -> HostResult<Option<Box<dyn Any>>> {
        Self::refuse()
    }

    fn selftest(&self) -> i32 {
        eprintln!("windlass-agent: this program works on Windows only");
        exit::UNFIT
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
