//! What must hold before anything is touched.

use crate::host::Host;
use crate::state::error;
use windlass_protocol::{AgentError, ErrorClass};

/// Free space an update needs on the system disk, in bytes: 8 GiB. A cumulative update of Windows Server 2025 has up
/// to 2.5 GB of download and unpacks to several times that; below 8 GB Microsoft's own health checks warn.
pub(crate) const MIN_FREE_BYTES: u64 = 8 << 30;

/// Checks the machine; changes nothing.
///
/// # Errors
/// The first check that does not hold: disk space, servicing at work, a reboot that is due.
pub(crate) fn check(host: &dyn Host) -> Result<(), AgentError> {
    let free = host.free_bytes()?;
    if free < MIN_FREE_BYTES {
        let text = format!("free space: {free} bytes, an update needs {MIN_FREE_BYTES}");
        return Err(error(ErrorClass::DiskFull, text));
    }
    if host.servicing_busy()? {
        return Err(error(ErrorClass::Retriable, "servicing: something else is installing on this machine"));
    }
    let signals = host.reboot_signals()?;
    if signals.due() {
        let by = if signals.update_agent { "the update service" } else { "packages that are pending" };
        return Err(error(ErrorClass::RebootFirst, format!("reboot: one is pending, wanted by {by}")));
    }
    Ok(())
}
