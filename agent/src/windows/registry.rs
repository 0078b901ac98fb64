//! The registry: build, signs of a reboot, policy.

use super::WindowsHost;
use super::border::{Com, Doing, optional, unexpected};
use crate::host::{HostResult, Registry, UpdatePolicy};
use crate::shape::numbers;
use crate::shape::wua::of_the_service;
use windlass_protocol::{Build, RebootSignals};
use windows::Win32::System::UpdateAgent::{ISystemInformation, SystemInformation};
use windows_registry::{Key, LOCAL_MACHINE};

const VERSION: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const POLICY: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate";
const AU_POLICY: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU";
const AU_REBOOT: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired";
const PACKAGES_PENDING: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\PackagesPending";
const SERVICING_LINGERS: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending";

/// A number, where it is there.
///
/// # Errors
/// Windows' own; a value of another type is an error, not a missing one.
pub(super) fn number(path: &str, name: &str) -> HostResult<Option<u32>> {
    read(path, name, |key| key.get_u32(name))
}

/// A text, where it is there.
pub(super) fn string(path: &str, name: &str) -> HostResult<Option<String>> {
    read(path, name, |key| key.get_string(name))
}

/// The bytes of a value of any type, where it is there.
pub(super) fn bytes(path: &str, name: &str) -> HostResult<Option<Vec<u8>>> {
    read(path, name, |key| key.get_value(name).map(|value| value.to_vec()))
}

fn read<T>(path: &str, name: &str, get: impl FnOnce(&Key) -> windows_registry::Result<T>) -> HostResult<Option<T>> {
    let value = LOCAL_MACHINE.open(path).and_then(|key| get(&key));
    optional(value.doing(&format!(r"HKLM\{path}\{name}")))
}

/// Whether a key is there.
pub(super) fn exists(path: &str) -> HostResult<bool> {
    Ok(optional(LOCAL_MACHINE.open(path).doing(&format!(r"HKLM\{path}")))?.is_some())
}

/// Whether a key is there and has keys below it.
fn has_keys(path: &str) -> HostResult<bool> {
    let keys = LOCAL_MACHINE.open(path).and_then(|key| Ok(key.keys()?.next().is_some()));
    Ok(optional(keys.doing(&format!(r"HKLM\{path}")))?.unwrap_or(false))
}

/// Writes a number, or removes the value; a key that is not there is made for a number only.
pub(super) fn set_number(path: &str, name: &str, value: Option<u32>) -> HostResult<()> {
    let what = format!(r"HKLM\{path}\{name}");
    let Some(value) = value else {
        let open = LOCAL_MACHINE.options().read().write().open(path);
        return optional(open.and_then(|key| key.remove_value(name)).doing(&what)).map(drop);
    };
    LOCAL_MACHINE.create(path).and_then(|key| key.set_u32(name, value)).doing(&what)
}

/// Writes a text; the key is made where it is not there.
pub(super) fn set_string(path: &str, name: &str, value: &str) -> HostResult<()> {
    let written = LOCAL_MACHINE.create(path).and_then(|key| key.set_expand_string(name, value));
    written.doing(&format!(r"HKLM\{path}\{name}"))
}

/// What the Windows Update Agent itself says of a reboot.
fn update_agent_wants_reboot() -> HostResult<bool> {
    let com = Com::enter()?;
    let information: ISystemInformation = com.create(&SystemInformation, "Microsoft.Update.SystemInfo")?;
    // SAFETY: a method of a live object, without pointers of ours.
    Ok(unsafe { information.RebootRequired() }.doing("RebootRequired")?.as_bool())
}

impl Registry for WindowsHost {
    fn build(&self) -> HostResult<Build> {
        let (major, minor) =
            (number(VERSION, "CurrentMajorVersionNumber")?, number(VERSION, "CurrentMinorVersionNumber")?);
        let current = string(VERSION, "CurrentBuildNumber")?;
        numbers::build(major, minor, current.as_deref(), number(VERSION, "UBR")?)
            .map_err(|why| unexpected(format!(r"HKLM\{VERSION}: {why}")))
    }

    fn reboot_signals(&self) -> HostResult<RebootSignals> {
        Ok(RebootSignals {
            update_agent: exists(AU_REBOOT)? || of_the_service(update_agent_wants_reboot())?,
            packages_pending: has_keys(PACKAGES_PENDING)?,
            servicing_lingers: exists(SERVICING_LINGERS)?,
        })
    }

    fn update_policy(&self) -> HostResult<UpdatePolicy> {
        Ok(UpdatePolicy {
            no_auto_update: number(AU_POLICY, "NoAutoUpdate")?,
            au_options: number(AU_POLICY, "AUOptions")?,
            use_wu_server: number(AU_POLICY, "UseWUServer")?,
            wu_server: string(POLICY, "WUServer")?,
            wu_status_server: string(POLICY, "WUStatusServer")?,
            disable_access: number(POLICY, "DisableWindowsUpdateAccess")?,
            no_internet: number(POLICY, "DoNotConnectToWindowsUpdateInternetLocations")?,
            deadline_days: number(POLICY, "ConfigureDeadlineForQualityUpdates")?,
        })
    }

    fn set_no_auto_update(&mut self, value: Option<u32>) -> HostResult<()> {
        set_number(AU_POLICY, "NoAutoUpdate", value)
    }
}
