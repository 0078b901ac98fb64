//! Processes of the machine, by a snapshot of them.

use super::border::{Doing, text};
use crate::host::HostResult;
use jiff::Timestamp;
use windows::Win32::Foundation::{FILETIME, HANDLE};
use windows::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows::Win32::System::Threading::{GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION};
use windows::core::Owned;

/// One process.
pub(super) struct Process {
    pub id: u32,
    pub threads: u32,
    /// Name of its program, without a path.
    pub program: String,
}

/// All processes.
pub(super) fn all() -> HostResult<Vec<Process>> {
    // SAFETY: the snapshot is a handle of ours, owned from here.
    let snapshot =
        unsafe { Owned::new(CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0).doing("snapshot of the processes")?) };
    let size = u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or(u32::MAX);
    let mut entry = PROCESSENTRY32W { dwSize: size, ..PROCESSENTRY32W::default() };
    let mut processes = vec![];
    // SAFETY: the snapshot lives, and the entry says its size; the same holds below.
    let mut more = unsafe { Process32FirstW(*snapshot, &raw mut entry) }.is_ok();
    while more {
        let (id, threads) = (entry.th32ProcessID, entry.cntThreads);
        processes.push(Process { id, threads, program: text(&entry.szExeFile) });
        // SAFETY: as above.
        more = unsafe { Process32NextW(*snapshot, &raw mut entry) }.is_ok();
    }
    Ok(processes)
}

/// The first process whose program has this name.
pub(super) fn by_program(name: &str) -> HostResult<Option<Process>> {
    Ok(all()?.into_iter().find(|p| p.program.eq_ignore_ascii_case(name)))
}

/// Opens a process to ask about it.
pub(super) fn open(id: u32) -> HostResult<Owned<HANDLE>> {
    // SAFETY: the handle is ours, and owned from here.
    unsafe { Ok(Owned::new(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, false, id).doing("open process")?)) }
}

/// When a process was started.
pub(super) fn started(id: u32) -> HostResult<Timestamp> {
    let process = open(id)?;
    let [mut created, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle lives, and each pointer is to a time of ours.
    unsafe { GetProcessTimes(*process, &raw mut created, &raw mut ended, &raw mut kernel, &raw mut user) }
        .doing("start of a process")?;
    Ok(timestamp(created))
}

/// A Windows time (units of 100 ns since 1601) as ours.
pub(super) fn timestamp(time: FILETIME) -> Timestamp {
    /// Units from 1601-01-01 to 1970-01-01.
    const EPOCH: i128 = 116_444_736_000_000_000;
    let units = i128::from(time.dwHighDateTime) << 32 | i128::from(time.dwLowDateTime);
    Timestamp::from_nanosecond((units - EPOCH) * 100).unwrap_or(Timestamp::UNIX_EPOCH)
}
