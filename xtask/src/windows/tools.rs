//! What building and running a Windows program takes: Wine, the linker of mingw-w64, Rust's target.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::{TARGET, run};

/// A program, and the packages of Debian and Ubuntu that bring it.
const PROGRAMS: [(&str, &[&str]); 2] =
    [("wine", &["wine", "wine64"]), ("x86_64-w64-mingw32-gcc", &["gcc-mingw-w64-x86-64"])];

/// Makes sure that all is there, and installs what is not. Says `false`, after a loud line, where the platform has no Wine.
///
/// # Errors
/// Something is missing that could be had, but not by this user: the message has the command.
pub(super) async fn ensure() -> Result<bool> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !works(program)).flat_map(|(_, p)| *p).copied().collect();
    if !missing.is_empty() {
        if !(cfg!(all(target_os = "linux", target_arch = "x86_64")) && works("apt-get")) {
            tracing::warn!("NOTHING WAS TESTED AS A WINDOWS PROGRAM: this platform has no {}", missing.join(", "));
            return Ok(false);
        }
        install(&missing).await?;
    }
    target().await?;
    Ok(true)
}

/// Whether a program is there and answers.
fn works(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").env("WINEDEBUG", "-all").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

async fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !nix::unistd::geteuid().is_root() {
        bail!("tests of Windows programs need {list}: sudo apt-get install --no-install-recommends {list}");
    }
    tracing::info!("installing {list}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        command
    };
    run("apt-get update", apt(&["update"])).await?;
    run("apt-get install", apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())).await
}

/// Rust's own part of the target; a Rust that did not come by rustup must have it already.
async fn target() -> Result<()> {
    if !works("rustup") {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]).stdout(Stdio::null()).stderr(Stdio::null());
    run("rustup target add", add).await
}
