//! A disk that is full at once, for the test of a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::windows::run;

/// A file system of one mebibyte, unmounted when it is dropped.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it below `dir`. Where this user may not mount, the test of a full disk is skipped, in words that nobody
    /// overlooks.
    pub async fn mount(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join("small-disk");
        if !nix::unistd::geteuid().is_root() {
            tracing::warn!("A FULL DISK WAS NOT TESTED: only root may mount a small one");
            return Ok(None);
        }
        let disk = Self(path);
        disk.unmount();
        fs::create_dir_all(&disk.0)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&disk.0);
        if let Err(error) = run("mount", mount).await {
            tracing::warn!("A FULL DISK WAS NOT TESTED: {error:#}");
            return Ok(None);
        }
        Ok(Some(disk))
    }

    /// Its path as Wine has it: the whole file system is drive Z.
    pub fn windows_path(&self) -> String {
        format!("Z:{}", self.0.display().to_string().replace('/', "\\"))
    }

    /// Takes it off; where none is mounted there is nothing to do.
    fn unmount(&self) {
        let mut unmount = Command::new("umount");
        let _ = unmount.arg(&self.0).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}
