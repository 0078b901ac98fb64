//! The last line against left-over processes: a shell that kills the groups it was told of when its stdin closes.
//!
//! The pipe closes however the owner ends: return, panic, Ctrl-C, SIGKILL. The guardian is in a group of its own, so
//! that what kills the owner's group does not kill it too.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Keeps the list of groups, the newest first. A pid on it cannot be another process's: the owner, while it lives, says
/// `forget` before it reaps, and after the owner's death the list is used at once.
const SCRIPT: &str = r#"
groups=
while read -r verb group; do
  case $verb in
    watch) groups="$group $groups" ;;
    forget) kept=; for g in $groups; do [ "$g" = "$group" ] || kept="$kept $g"; done; groups=$kept ;;
    release) exit 0 ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

/// Runs `command` to its end, in a group of its own that does not outlive this process or this future.
///
/// # Errors
/// The program cannot be started.
pub async fn run(command: Command) -> Result<ExitStatus> {
    let program = command.get_program().to_string_lossy().into_owned();
    let guardian = Guardian::start()?;
    let mut command = tokio::process::Command::from(command);
    let mut child = command.process_group(0).spawn().with_context(|| format!("cannot start {program}"))?;
    let pid = child.id().with_context(|| format!("{program} has no pid"))?;
    guardian.watch(i32::try_from(pid)?)?;
    let status = child.wait().await?;
    guardian.release()?;
    Ok(status)
}

/// A running guardian; dropping it makes it act.
pub(crate) struct Guardian {
    stdin: Mutex<Option<ChildStdin>>,
    child: Child,
}

impl Guardian {
    /// Starts a guardian that watches nothing yet.
    pub fn start() -> Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = shell.process_group(0).spawn().context("cannot start /bin/sh")?;
        Ok(Self { stdin: Mutex::new(child.stdin.take()), child })
    }

    /// Kills the process group `pid` once this process is gone.
    pub fn watch(&self, pid: i32) -> Result<()> {
        self.tell(&format!("watch {pid}"))
    }

    /// The group `pid` has ended.
    pub fn forget(&self, pid: i32) -> Result<()> {
        self.tell(&format!("forget {pid}"))
    }

    /// Ends the guardian and leaves the groups alone.
    pub fn release(self) -> Result<()> {
        self.tell("release")
    }

    fn tell(&self, line: &str) -> Result<()> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        stdin.as_mut().map_or(Ok(()), |stdin| writeln!(stdin, "{line}")).context("the guardian process has ended")
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // It ends by itself now; an error only means that it has already been reaped.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
    }

    fn pid(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[test]
    fn what_is_watched_dies_with_the_owner() {
        let (mut first, mut second, mut other) = (sleeper(), sleeper(), sleeper());
        let guardian = Guardian::start().unwrap();
        for child in [&first, &second, &other] {
            guardian.watch(pid(child)).unwrap();
        }
        guardian.forget(pid(&other)).unwrap();
        drop(guardian);
        assert_eq!(first.wait().unwrap().signal(), Some(9));
        assert_eq!(second.wait().unwrap().signal(), Some(9));
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn what_is_released_lives_on() {
        let mut child = sleeper();
        let guardian = Guardian::start().unwrap();
        guardian.watch(pid(&child)).unwrap();
        guardian.release().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
