//! EC2 on this machine: moto, the emulator of AWS that Python's users know, with a [`Front`] before it that adds what it
//! lacks.
//!
//! moto is installed once, pinned, into a folder of its own in the cache, and runs on a free port of loopback.

mod front;
mod hardware;
mod index;
mod instance;
mod winfleet;
mod xml;

pub use front::{Front, Reply, serve};
pub use hardware::{Hardware, Progress};
pub use winfleet::Winfleet;

use crate::cluster::install_crypto;
use crate::guardian::Guardian;
use crate::workspace::cache_dir;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The version; the facts about what it can and can not do are those of this one (Apache-2.0, PyPI `moto`).
pub const VERSION: &str = "5.2.5";
/// The only image: moto's own list has hundreds, each with a snapshot that is in its way whenever snapshots are looked for.
const IMAGES: &str = r#"[{"ami_id": "ami-12c6146b", "name": "windows", "platform": "windows", "architecture": "x86_64",
  "virtualization_type": "hvm", "hypervisor": "xen", "root_device_type": "ebs", "root_device_name": "/dev/sda1"}]"#;
/// How long it may take to answer after its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running moto. It ends when this is dropped, or when this process does.
pub struct Moto {
    child: Child,
    _guardian: Guardian,
    url: String,
}

impl Moto {
    /// Installs moto if it was not yet, starts it, and waits until it answers. What it prints goes to `log`.
    ///
    /// # Errors
    /// There is no Python 3, the package can not be had, or it does not answer in time.
    pub async fn start(log: &Path) -> Result<Self> {
        install_crypto();
        let python = tokio::task::spawn_blocking(ensure_installed).await??;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let images = log.with_extension("images.json");
        fs::write(&images, IMAGES)?;
        let mut command = Command::new(python);
        command.env("MOTO_AMIS_PATH", images);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let guardian = Guardian::start()?;
        let child = command.spawn().context("moto does not start")?;
        guardian.watch(i32::try_from(child.id())?)?;
        let mut moto = Self { child, _guardian: guardian, url: format!("http://127.0.0.1:{port}") };
        moto.answers(log).await?;
        Ok(moto)
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn answers(&mut self, log: &Path) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let until = Instant::now() + PATIENCE;
        while http.get(format!("{}/moto-api/", self.url)).send().await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("moto ended ({status}); its output is in {}", log.display());
            }
            ensure!(Instant::now() < until, "moto does not answer; its output is in {}", log.display());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // The only error is that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python that has moto. It is installed once, in a folder beside its own, which is moved only when it is complete.
///
/// # Errors
/// There is no Python 3, or the package can not be had.
pub fn ensure_installed() -> Result<PathBuf> {
    let home = cache_dir()?.join(format!("moto-{VERSION}"));
    let python = |home: &Path| home.join("bin/python");
    if home.exists() {
        return Ok(python(&home));
    }
    let staging = cache_dir()?.join(format!(".moto-{}", std::process::id()));
    fs::create_dir_all(&staging)?;
    tracing::info!("installing moto {VERSION} into {} (once)", home.display());
    let installed = run(Command::new("python3").args(["-m", "venv"]).arg(&staging)).and_then(|()| {
        let package = format!("moto[server]=={VERSION}");
        run(Command::new(python(&staging)).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            &package,
        ]))
    });
    // Somebody else may have been quicker: then theirs is used.
    let moved = installed.and_then(|()| match fs::rename(&staging, &home) {
        Err(error) if !home.exists() => Err(error.into()),
        _ => Ok(()),
    });
    let _ = fs::remove_dir_all(&staging);
    moved.map(|()| python(&home))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
