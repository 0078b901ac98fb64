//! Power and boots.

use super::border::{Doing, unexpected, wide};
use super::process::{Late, run};
use super::{WindowsHost, registry};
use crate::host::{HostError, HostResult, Power};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use windows::Win32::Foundation::{
    ERROR_NOT_ALL_ASSIGNED, ERROR_SHUTDOWN_IN_PROGRESS, ERROR_SHUTDOWN_IS_SCHEDULED, GetLastError, HANDLE, LUID,
};
use windows::Win32::Security::{
    AdjustTokenPrivileges, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED, SE_SHUTDOWN_NAME,
    TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES, TOKEN_QUERY,
};
use windows::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};
use windows::Win32::System::Shutdown::{
    InitiateSystemShutdownExW, SHTDN_REASON_FLAG_PLANNED, SHTDN_REASON_MAJOR_OPERATINGSYSTEM,
    SHTDN_REASON_MINOR_UPGRADE,
};
use windows::Win32::System::SystemInformation::GetTickCount64;
use windows::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows::core::Owned;

/// Where Windows counts its boots; the kubelet's `bootID` is the same number.
const BOOTS: &str = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters";

/// Seconds between the request and the shutdown, ours: enough for the process to write what it is about.
const WARNING: u32 = 5;

/// `ERROR_NOT_ALL_ASSIGNED` as HRESULT.
const NOT_HELD: u32 = 0x8007_0514;

/// Turns the privilege on that a shutdown wants; a process has it, but turned off.
pub(super) fn enable_shutdown() -> HostResult<()> {
    let (mut token, mut luid) = (HANDLE::default(), LUID::default());
    // SAFETY: token and id are written once; the token is owned from there; the structure holds one privilege and says so.
    unsafe {
        let access = TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY;
        OpenProcessToken(GetCurrentProcess(), access, &raw mut token).doing("own token")?;
        let token = Owned::new(token);
        LookupPrivilegeValueW(None, SE_SHUTDOWN_NAME, &raw mut luid).doing("shutdown privilege")?;
        let one = LUID_AND_ATTRIBUTES { Luid: luid, Attributes: SE_PRIVILEGE_ENABLED };
        let wanted = TOKEN_PRIVILEGES { PrivilegeCount: 1, Privileges: [one] };
        AdjustTokenPrivileges(*token, false, Some(&raw const wanted), 0, None, None).doing("shutdown privilege")?;
        // The call succeeds also where the process does not have the privilege, and says so here.
        if GetLastError() == ERROR_NOT_ALL_ASSIGNED {
            return Err(HostError::new(NOT_HELD, "shutdown privilege: this process does not have it"));
        }
    }
    Ok(())
}

/// Reason: planned, operating system, upgrade; `p:2:3` in the words of `shutdown.exe`.
fn initiate(message: &str) -> HostResult<()> {
    let reason = SHTDN_REASON_FLAG_PLANNED | SHTDN_REASON_MAJOR_OPERATINGSYSTEM | SHTDN_REASON_MINOR_UPGRADE;
    // SAFETY: the message outlives the call; null means this machine.
    let asked = unsafe { InitiateSystemShutdownExW(None, &wide(message), WARNING, true, true, reason) };
    match asked {
        Err(e)
            if [ERROR_SHUTDOWN_IN_PROGRESS, ERROR_SHUTDOWN_IS_SCHEDULED].iter().any(|w| e.code() == w.to_hresult()) =>
        {
            Ok(())
        }
        other => other.doing("shutdown"),
    }
}

/// The same by `shutdown.exe`, for a process that may not ask by itself.
fn by_program(message: &str) -> HostResult<()> {
    let warning = WARNING.to_string();
    let args = ["/r", "/t", &warning, "/f", "/d", "p:2:3", "/c", message];
    match run("shutdown.exe", &args, Duration::from_secs(30), Late::Kill)?.code {
        // 1190 and 1115: it is on its way already.
        0 | 1115 | 1190 => Ok(()),
        code => Err(HostError::new(crate::shape::dism::exit_code(code).0, format!("shutdown.exe: exit {code}"))),
    }
}

impl Power for WindowsHost {
    fn boot_id(&self) -> HostResult<String> {
        let counted = registry::number(BOOTS, "BootId")?;
        counted.map(|n| n.to_string()).ok_or_else(|| unexpected(format!(r"HKLM\{BOOTS}\BootId is missing")))
    }

    fn reboot(&mut self, reason: &str) -> HostResult<()> {
        match enable_shutdown() {
            Ok(()) => initiate(reason),
            Err(_) => by_program(reason),
        }
    }

    fn boot_time(&self) -> HostResult<Timestamp> {
        // SAFETY: reads a counter.
        let up = i64::try_from(unsafe { GetTickCount64() }).unwrap_or(i64::MAX);
        Timestamp::now().checked_sub(SignedDuration::from_millis(up)).map_err(|e| unexpected(format!("boot time: {e}")))
    }

    fn on_battery(&self) -> HostResult<bool> {
        let mut status = SYSTEM_POWER_STATUS::default();
        // SAFETY: the call writes one structure.
        unsafe { GetSystemPowerStatus(&raw mut status) }.doing("power status")?;
        Ok(status.ACLineStatus == 0)
    }
}
