//! A Windows of our own under Wine, headless: made once in the cache, as new at each start, ended with all its processes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{run, tools};
use crate::workspace;

/// Counts up when what is put into a new prefix changes.
const VERSION: u32 = 1;

/// Seconds that one program under Wine may take, a whole test binary at most: 600, ours; the longest takes 70 s, and 190 s
/// on a machine that is busy.
const PATIENCE: u32 = 600;

/// What Wine keeps of the registry; put back at each start.
const REGISTRY: [&str; 3] = ["system.reg", "user.reg", "userdef.reg"];

/// Libraries that Wine 8 lacks, from agent/tests/wine, each with the library it is linked to.
const LIBRARIES: [(&str, &str); 2] = [("bcryptprimitives", "advapi32"), ("vmcompute", "ole32")];

/// Values that a Windows Server 2022 has and Wine does not: key, name, type, value.
const SEED: [(&str, &str, &str, &str); 6] = [
    (CURRENT_VERSION, "CurrentBuild", "REG_SZ", "20348"),
    (CURRENT_VERSION, "CurrentBuildNumber", "REG_SZ", "20348"),
    (CURRENT_VERSION, "CurrentMajorVersionNumber", "REG_DWORD", "10"),
    (CURRENT_VERSION, "CurrentMinorVersionNumber", "REG_DWORD", "0"),
    (CURRENT_VERSION, "UBR", "REG_DWORD", "2461"),
    (
        r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters",
        "BootId",
        "REG_DWORD",
        "7",
    ),
];

const CURRENT_VERSION: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";

/// A running Windows. One at a time on a machine: what runs in it changes its registry.
pub struct Wine {
    dir: PathBuf,
    _lock: File,
}

impl Wine {
    /// Makes it if there is none yet, and puts it back to what it was when it was made. `None`, after a loud line, where
    /// the platform has no Wine. Waits for another process that has it.
    ///
    /// # Errors
    /// It can not be installed or made: the message names what failed.
    pub async fn start() -> Result<Option<Self>> {
        if !tools::ensure().await? {
            return Ok(None);
        }
        let dir = workspace::cache_dir()?.join(format!("wine-{VERSION}"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let lock = File::create(dir.join("lock"))?;
        if lock.try_lock().is_err() {
            tracing::info!("waiting for another run of tests under Wine");
            lock.lock()?;
        }
        let wine = Self { dir, _lock: lock };
        // What a run that was killed has left goes on in the background: it must not write after we have put things back.
        wine.stop().await?;
        if !wine.dir.join("made").exists() {
            wine.make().await?;
        }
        for file in REGISTRY {
            fs::copy(wine.dir.join("seed").join(file), wine.prefix().join(file))?;
        }
        let folder = wine.prefix().join("drive_c/ProgramData/Windlass");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        wine.write_runner()?;
        Ok(Some(wine))
    }

    /// The program that runs a Windows program in it: `<runner> <exe> <arguments>`. Its own variables are passed on. The
    /// program is ended after `WINDLASS_WINE_TIMEOUT` seconds, 600 where that is not set.
    pub fn runner(&self) -> PathBuf {
        self.dir.join("runner")
    }

    /// The folder that has it, for what belongs to its tests.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts its server and its services, and keeps them until [`Self::end`]: no program waits for their start, and none
    /// of them holds the pipes of the program that would have started it.
    ///
    /// # Errors
    /// They do not start.
    pub(crate) async fn keep(&self) -> Result<()> {
        run("wineserver", self.command("wineserver", &["--persistent"])).await?;
        run("Task Scheduler of Wine", self.command("wine", &["net", "start", "Schedule"])).await
    }

    /// Ends every process in it.
    ///
    /// # Errors
    /// They do not end.
    pub async fn end(self) -> Result<()> {
        self.stop().await
    }

    fn prefix(&self) -> PathBuf {
        self.dir.join("prefix")
    }

    /// The variables of a headless Wine that touches nothing outside its folder.
    fn variables(&self) -> [(&'static str, PathBuf); 6] {
        [
            ("WINEPREFIX", self.prefix()),
            ("WINEARCH", "win64".into()),
            ("WINEDEBUG", "-all".into()),
            ("WINEDLLOVERRIDES", "mscoree,mshtml=".into()),
            ("HOME", self.dir.join("home")),
            ("XDG_RUNTIME_DIR", self.dir.join("run")),
        ]
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", &PATIENCE.to_string(), program]).args(arguments);
        command.envs(self.variables()).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A script, for variables of Wine that were set for cargo would be those of cargo's compilers as well.
    fn write_runner(&self) -> Result<()> {
        let mut script = String::from("#!/bin/sh\nunset DISPLAY WAYLAND_DISPLAY\n");
        for (name, value) in self.variables() {
            writeln!(script, "export {name}='{}'", value.display().to_string().replace('\'', r"'\''"))?;
        }
        writeln!(script, "exec timeout --kill-after=10 ${{WINDLASS_WINE_TIMEOUT:-{PATIENCE}}} wine \"$@\"")?;
        fs::write(self.runner(), script)?;
        fs::set_permissions(self.runner(), fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    async fn make(&self) -> Result<()> {
        tracing::info!("making a Windows under Wine in {} (once; about 20 seconds)", self.dir.display());
        for folder in ["prefix", "home", "run", "seed"] {
            let path = self.dir.join(folder);
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            fs::DirBuilder::new().mode(0o700).create(&path)?;
        }
        run("wineboot", self.command("wineboot", &["--init"])).await?;
        for (library, linked) in LIBRARIES {
            run(library, self.library(library, linked)).await?;
        }
        for (key, name, kind, value) in SEED {
            run(
                "seed of the registry",
                self.command("wine", &["reg", "add", key, "/v", name, "/t", kind, "/d", value, "/f"]),
            )
            .await?;
        }
        // The registry is on the disk once the server has ended by itself.
        run("wineserver", self.command("wineserver", &["--wait"])).await?;
        for file in REGISTRY {
            fs::copy(self.prefix().join(file), self.dir.join("seed").join(file))?;
        }
        fs::write(self.dir.join("made"), b"")?;
        Ok(())
    }

    fn library(&self, name: &str, linked: &str) -> Command {
        let source = workspace::root().join(format!("agent/tests/wine/{name}.c"));
        let target = self.prefix().join(format!("drive_c/windows/system32/{name}.dll"));
        let mut gcc = Command::new("x86_64-w64-mingw32-gcc");
        gcc.args(["-O2", "-shared", "-s"]).arg(source).arg("-o").arg(target).arg(format!("-l{linked}"));
        gcc
    }

    async fn stop(&self) -> Result<()> {
        if !self.prefix().exists() {
            return Ok(());
        }
        // It fails where no server runs, which is what is wanted.
        let _ = run("wineserver", self.command("wineserver", &["--kill"])).await;
        run("wineserver", self.command("wineserver", &["--wait"])).await
    }
}
