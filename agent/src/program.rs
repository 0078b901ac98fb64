//! The program: reads the command line, steps a command or the task to its end, and prints what came of it.
//!
//! JSON lines go to stdout, the report as the last of them; text for people goes to stderr. The exit codes are those of
//! [`windlass_protocol::exit`].

use crate::args::{self, Line};
use crate::host::{Host, HostError, HostResult};
use crate::run::{Next, Run};
use crate::task::{Task, TaskNext};
use jiff::Timestamp;
use std::any::Any;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;
use windlass_protocol::{NODE_VARIABLE, Request, exit};

/// What `--version` prints: version and commit. `cargo xtask agent build` says the commit.
const VERSION: &str = match option_env!("WINDLASS_COMMIT") {
    Some(commit) => commit,
    None => "unknown commit",
};

/// One process of its kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// A command that changes something.
    Command,
    /// The armed task.
    Task,
}

/// What the program runs on.
pub trait Platform {
    /// The agent's own folder.
    fn folder(&self) -> PathBuf;
    /// The machine's own name. A node has that one, where its kubelet was told no other.
    fn host_name(&self) -> HostResult<String>;
    /// The machine.
    fn open(&self) -> HostResult<Box<dyn Host>>;
    /// Takes a lock of the machine until the value is dropped; `None` when another process has it.
    fn lock(&self, lock: Lock) -> HostResult<Option<Box<dyn Any>>>;
    /// Prints which of the traits work here, and gives back the exit code.
    fn selftest(&self) -> i32;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// Runs the program with the arguments behind its name; gives back its exit code.
pub fn run(args: &[OsString], platform: &dyn Platform) -> i32 {
    let ended = match args::read(args, &platform.folder()) {
        Err(error) => return refuse(&error),
        Ok(Line::Version) => return say(&format!("windlass-agent {} ({VERSION})", env!("CARGO_PKG_VERSION"))),
        Ok(Line::Selftest) => return platform.selftest(),
        Ok(Line::Task) => task(platform),
        Ok(Line::Command(request)) => command(*request, platform),
    };
    ended.unwrap_or_else(|error| unfit(&error))
}

/// Steps a command to its report.
fn command(request: Request, platform: &dyn Platform) -> HostResult<i32> {
    let mut run = match Run::new(request, &node_name(platform)?) {
        Ok(run) => run,
        Err(error) => return Ok(refuse(&error)),
    };
    let lock = if run.changes() { platform.lock(Lock::Command)? } else { Some(Box::new(()) as Box<dyn Any>) };
    let mut host = platform.open()?;
    loop {
        let now = Timestamp::now();
        let next = if lock.is_some() { run.step(host.as_mut(), now) } else { run.busy(host.as_ref(), now) };
        match next {
            Next::Again { after, line } => {
                // Progress that nobody can read is no reason to stop; a report is.
                if let Some(line) = line {
                    drop(print(&line));
                }
                platform.sleep(after);
            }
            Next::Refused(error) => return Ok(refuse(&error)),
            Next::Exit { code, report } => {
                if let Some(error) = &report.error {
                    eprintln!("windlass-agent: {}", error.message);
                }
                return Ok(if say(&report.to_line()) == exit::DONE { code } else { exit::UNFIT });
            }
        }
    }
}

/// The name by which the cluster knows this machine: as its pod is told it. Without a pod, as when a person runs the program,
/// the machine's own.
fn node_name(platform: &dyn Platform) -> HostResult<String> {
    std::env::var(NODE_VARIABLE).ok().filter(|name| !name.is_empty()).map_or_else(|| platform.host_name(), Ok)
}

/// Steps the armed task until it has nothing left to do in this boot.
fn task(platform: &dyn Platform) -> HostResult<i32> {
    let Some(_lock) = platform.lock(Lock::Task)? else { return Ok(exit::IN_PROGRESS) };
    let mut host = platform.open()?;
    let mut task = Task::new();
    while let TaskNext::Again { after } = task.step(host.as_mut(), Timestamp::now()) {
        platform.sleep(after);
    }
    Ok(exit::DONE)
}

fn refuse(error: &dyn std::error::Error) -> i32 {
    eprintln!("windlass-agent: {error}");
    exit::BAD_REQUEST
}

fn unfit(error: &HostError) -> i32 {
    eprintln!("windlass-agent: {error}");
    exit::UNFIT
}

/// Prints the last line.
fn say(line: &str) -> i32 {
    print(line).map_or_else(|error| refuse(&error).max(exit::UNFIT), |()| exit::DONE)
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
