//! Memory that leaks after some updates.

use super::border::{Doing, unexpected};
use super::{WindowsHost, processes};
use crate::host::{HostResult, Memory, MemoryUse};
use windows::Win32::System::ProcessStatus::{
    K32GetPerformanceInfo, K32GetProcessMemoryInfo, PERFORMANCE_INFORMATION, PROCESS_MEMORY_COUNTERS,
};

/// Private bytes of a process.
fn private_bytes(id: u32) -> HostResult<u64> {
    let process = processes::open(id)?;
    let size = u32::try_from(size_of::<PROCESS_MEMORY_COUNTERS>()).unwrap_or(u32::MAX);
    let mut counters = PROCESS_MEMORY_COUNTERS { cb: size, ..PROCESS_MEMORY_COUNTERS::default() };
    // SAFETY: the process is open; the structure says its size.
    unsafe { K32GetProcessMemoryInfo(*process, &raw mut counters, size) }.ok().doing("memory of a process")?;
    Ok(counters.PagefileUsage as u64)
}

/// Bytes of the kernel's pools, paged and non-paged.
fn pool_bytes() -> HostResult<u64> {
    let size = u32::try_from(size_of::<PERFORMANCE_INFORMATION>()).unwrap_or(u32::MAX);
    let mut info = PERFORMANCE_INFORMATION { cb: size, ..PERFORMANCE_INFORMATION::default() };
    // SAFETY: the structure says its size.
    unsafe { K32GetPerformanceInfo(&raw mut info, size) }.ok().doing("memory of the kernel")?;
    Ok(info.KernelTotal as u64 * info.PageSize as u64)
}

impl Memory for WindowsHost {
    fn memory(&self) -> HostResult<MemoryUse> {
        let lsass = processes::by_program("lsass.exe")?.ok_or_else(|| unexpected("lsass.exe: does not run"))?;
        Ok(MemoryUse { lsass_bytes: private_bytes(lsass.id)?, pool_bytes: pool_bytes()? })
    }
}
