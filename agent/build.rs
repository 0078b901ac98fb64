//! Puts version resource and manifest into the Windows program, by the resource compiler of its tool chain.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// The resource compiler of mingw-w64; `WINDRES` names another one.
const WINDRES: &str = "x86_64-w64-mingw32-windres";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=windows/agent.rc");
    println!("cargo:rerun-if-changed=windows/agent.manifest");
    println!("cargo:rerun-if-env-changed=WINDRES");
    println!("cargo:rerun-if-env-changed=WINDLASS_COMMIT");
    if env::var("CARGO_CFG_TARGET_OS")? != "windows" {
        return Ok(());
    }
    let object = PathBuf::from(env::var("OUT_DIR")?).join("agent.res.o");
    let windres = env::var("WINDRES").unwrap_or_else(|_| WINDRES.to_owned());
    let [major, minor, patch] =
        ["MAJOR", "MINOR", "PATCH"].map(|part| env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default());
    let commit = env::var("WINDLASS_COMMIT").unwrap_or_else(|_| "unknown commit".to_owned());
    let version = env::var("CARGO_PKG_VERSION")?;
    let made = Command::new(&windres)
        .args(["--input=windows/agent.rc", "--output-format=coff"])
        .arg(format!("--define=VERSION_NUMBERS={major},{minor},{patch},0"))
        .arg(format!("--define=VERSION_TEXT=\\\"{version}\\\""))
        .arg(format!("--define=COMMIT_TEXT=\\\"{}\\\"", commit.replace(|c: char| !c.is_ascii_alphanumeric(), "-")))
        .arg(&object)
        .status()
        .map_err(|e| format!("{windres}: {e}; it comes with the package gcc-mingw-w64-x86-64"))?;
    if !made.success() {
        return Err(format!("{windres} failed ({made})").into());
    }
    println!("cargo:rustc-link-arg-bins={}", object.display());
    Ok(())
}
