//! The codes that the Windows Update Agent gives (wuerror.h and winerror.h).

use serde::Serialize;
use std::fmt;

/// A code of Windows; success when the highest bit is clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, thiserror::Error)]
pub struct Hresult(pub u32);

impl Hresult {
    /// `S_OK`.
    pub const OK: Self = Self(0);
    /// `WU_S_REBOOT_REQUIRED`: done up to a reboot.
    pub const REBOOT_REQUIRED: Self = Self(0x0024_0005);
    /// `WU_S_ALREADY_INSTALLED`.
    pub const ALREADY_INSTALLED: Self = Self(0x0024_0006);
    /// `WU_S_ALREADY_DOWNLOADED`.
    pub const ALREADY_DOWNLOADED: Self = Self(0x0024_0008);
    /// `WU_E_OPERATIONINPROGRESS`: another operation of the same kind runs.
    pub const OPERATION_IN_PROGRESS: Self = Self(0x8024_0009);
    /// `WU_E_INSTALL_NOT_ALLOWED`: another installation runs, or a reboot is pending.
    pub const INSTALL_NOT_ALLOWED: Self = Self(0x8024_0016);
    /// `WU_E_NOT_APPLICABLE`: the machine does not want this update.
    pub const NOT_APPLICABLE: Self = Self(0x8024_0017);
    /// `WU_E_NO_UPDATE`: there is nothing of that name.
    pub const NO_UPDATE: Self = Self(0x8024_0024);
    /// `WU_E_DM_NOTDOWNLOADED`: not downloaded.
    pub const NOT_DOWNLOADED: Self = Self(0x8024_6007);
    /// `ERROR_DISK_FULL`.
    pub const DISK_FULL: Self = Self(0x8007_0070);
    /// `ERROR_SHUTDOWN_IN_PROGRESS`.
    pub const SHUTDOWN_IN_PROGRESS: Self = Self(0x8007_045B);
    /// `ERROR_NOT_FOUND`: no such job (it died with a reboot).
    pub const NOT_FOUND: Self = Self(0x8007_0490);
    /// `ERROR_SERVICE_DOES_NOT_EXIST`.
    pub const NO_SUCH_SERVICE: Self = Self(0x8007_0424);

    /// Whether it says failure.
    pub const fn failed(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }
}

impl fmt::Display for Hresult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}
