//! The real machine: the host's traits over Windows, one file per concern.
//!
//! # Guarantees
//! * `unsafe` is in this folder only, each block with its reason; COM is entered and left through `border` alone.
//! * No call waits for longer than a few seconds: searching, downloading and installing go on in a thread of their own,
//!   and each process that is started has a deadline.
//! * What Windows answers in text is read by `crate::shape`, which is tested everywhere.

#![allow(unsafe_code, reason = "the border to Windows; each block says why it is sound")]

mod border;
mod clock;
mod disks;
mod drivers;
mod events;
mod files;
mod hns;
mod identity;
mod jobs;
mod lock;
mod memory;
mod network;
mod offline;
mod power;
mod process;
mod processes;
mod registry;
mod runtime;
mod selftest;
mod services;
mod tasks;
mod trust;
mod updates;
mod wmi;
mod wua;

pub use lock::Mutex;
pub use selftest::{Finding, Verdict, selftest};

use crate::host::HostResult;
use border::{Com, Doing};
use files::StateFolder;
use jobs::Jobs;
use std::path::Path;
use windlass_protocol::Source;
use windows::Win32::System::SystemInformation::{
    COMPUTER_NAME_FORMAT, ComputerNamePhysicalDnsHostname, GetComputerNameExW,
};
use windows::core::PWSTR;

/// The agent's own folder on the system disk.
pub const STATE_FOLDER: &str = r"C:\ProgramData\Windlass";

/// Name of the agent's program, in its folder too, where the scheduled task starts it.
pub const PROGRAM: &str = "windlass-agent.exe";

/// Name of the mutex that a command holds which works on the machine (`stage`, `arm`, `reset`).
pub const COMMAND_MUTEX: &str = "windlass-agent";

/// Name of the mutex that the armed task's process holds: while it is held, the task runs.
pub const TASK_MUTEX: &str = "windlass-task";

/// This machine, as one process of the agent has it.
pub struct WindowsHost {
    folder: StateFolder,
    jobs: Jobs,
    /// What was searched last: where downloads and installations come from.
    source: Option<Source>,
    /// COM as long as this lives, or each call would load its libraries anew. The last field: it is dropped after all others.
    _com: Com,
}

impl WindowsHost {
    /// Opens the machine, with the agent's folder at `folder`, which is made when it is not there.
    ///
    /// # Errors
    /// The folder can not be made, belongs to somebody who is no administrator, or is a link.
    pub fn open(folder: &Path) -> HostResult<Self> {
        let (folder, com) = (StateFolder::open(folder)?, Com::enter()?);
        Ok(Self { folder, jobs: Jobs::default(), source: None, _com: com })
    }
}

/// The machine's own name in lower case. A kubelet names its node by it, unless it was told another name.
///
/// # Errors
/// Windows' own.
pub fn host_name() -> HostResult<String> {
    computer_name(ComputerNamePhysicalDnsHostname).map(|name| name.to_lowercase())
}

/// One of the machine's names; empty where it has none of that kind.
fn computer_name(kind: COMPUTER_NAME_FORMAT) -> HostResult<String> {
    let mut buffer = [0u16; 256];
    let mut length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    let into = Some(PWSTR(buffer.as_mut_ptr()));
    // SAFETY: the buffer has as many characters as the length says, and outlives the call.
    unsafe { GetComputerNameExW(kind, into, &raw mut length) }.doing("computer name")?;
    Ok(border::text(&buffer))
}
