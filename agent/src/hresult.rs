//! What Windows' error codes mean for the work, as data.
//!
//! Names and values are those of Microsoft's "Windows Update error codes by component" and `winerror.h`; the classes
//! are ours. A code that is not in the table is permanent for the update it was given for, and reported with its
//! number.

use windlass_protocol::ErrorClass;

/// What a code means for the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// There is nothing left to do: already there.
    AlreadyDone,
    /// Done, up to a reboot.
    RebootNeeded,
    /// Somebody else is at work; wait and ask again.
    Busy,
    /// May pass by itself: network, a service that is stopping.
    Retriable,
    /// A pending reboot is in the way.
    RebootFirst,
    /// The machine does not want this update.
    NotApplicable,
    /// The machine's configuration forbids it.
    Configuration,
    /// The disk is full.
    DiskFull,
    /// Windows' component store is damaged or lacks a source; only a repair or a revert helps.
    ComponentStore,
    /// Would not pass by trying again.
    Permanent,
}

impl Class {
    /// The class as the protocol reports it; `None` where the code is no error.
    pub fn error_class(self) -> Option<ErrorClass> {
        match self {
            Self::AlreadyDone | Self::RebootNeeded => None,
            Self::Busy | Self::Retriable => Some(ErrorClass::Retriable),
            Self::RebootFirst => Some(ErrorClass::RebootFirst),
            Self::Configuration => Some(ErrorClass::Configuration),
            Self::DiskFull => Some(ErrorClass::DiskFull),
            Self::NotApplicable | Self::ComponentStore | Self::Permanent => Some(ErrorClass::Permanent),
        }
    }
}

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The HRESULT.
    pub code: u32,
    /// Its symbolic name.
    pub name: &'static str,
    /// What it means for the work.
    pub class: Class,
    /// One sentence for the person who reads it.
    pub advice: &'static str,
}

const fn entry(code: u32, name: &'static str, class: Class, advice: &'static str) -> Entry {
    Entry { code, name, class, advice }
}

/// All codes the agent knows, by code.
pub const TABLE: &[Entry] = &[
    entry(0x0024_0005, "WU_S_REBOOT_REQUIRED", Class::RebootNeeded, "a reboot completes it"),
    entry(0x0024_0006, "WU_S_ALREADY_INSTALLED", Class::AlreadyDone, "it is installed already"),
    entry(0x0024_0008, "WU_S_ALREADY_DOWNLOADED", Class::AlreadyDone, "it is downloaded already"),
    entry(0x8007_0070, "ERROR_DISK_FULL", Class::DiskFull, "free space on the system disk"),
    entry(0x8007_045B, "ERROR_SHUTDOWN_IN_PROGRESS", Class::Busy, "it goes on after the boot"),
    entry(0x8007_0643, "ERROR_INSTALL_FAILURE", Class::Permanent, "the update's own installer failed; see its log"),
    entry(0x8007_3712, "ERROR_SXS_COMPONENT_STORE_CORRUPT", Class::ComponentStore, "the component store is damaged"),
    entry(0x800F_081F, "CBS_E_SOURCE_MISSING", Class::ComponentStore, "the component store lacks a source file"),
    entry(0x800F_0831, "CBS_E_STORE_CORRUPTION", Class::ComponentStore, "the component store is damaged"),
    entry(0x800F_0922, "CBS_E_INSTALLERS_FAILED", Class::ComponentStore, "an installer inside the update failed"),
    entry(
        0x800F_0982,
        "PSFX_E_MATCHING_COMPONENT_NOT_FOUND",
        Class::ComponentStore,
        "a component it builds on is not there",
    ),
    entry(0x800F_0983, "PSFX_E_MATCHING_BINARY_MISSING", Class::ComponentStore, "a file it builds on is not there"),
    entry(0x8024_0009, "WU_E_OPERATIONINPROGRESS", Class::Busy, "another operation of the update service is running"),
    entry(0x8024_000B, "WU_E_CALL_CANCELLED", Class::Permanent, "somebody cancelled it"),
    entry(
        0x8024_0016,
        "WU_E_INSTALL_NOT_ALLOWED",
        Class::RebootFirst,
        "another installation runs or a reboot is pending",
    ),
    entry(
        0x8024_0017,
        "WU_E_NOT_APPLICABLE",
        Class::NotApplicable,
        "the machine does not want it, or has something newer",
    ),
    entry(0x8024_0019, "WU_E_EXCLUSIVE_INSTALL_CONFLICT", Class::Permanent, "it must be installed alone"),
    entry(0x8024_001B, "WU_E_SELFUPDATE_IN_PROGRESS", Class::Busy, "the update service is updating itself"),
    entry(0x8024_001E, "WU_E_SERVICE_STOP", Class::Retriable, "the update service is stopping"),
    entry(0x8024_001F, "WU_E_NO_CONNECTION", Class::Retriable, "there is no network connection"),
    entry(0x8024_0021, "WU_E_TIME_OUT", Class::Retriable, "the update service did not answer in time"),
    entry(0x8024_0022, "WU_E_ALL_UPDATES_FAILED", Class::Permanent, "every update of the operation failed"),
    entry(0x8024_0024, "WU_E_NO_UPDATE", Class::AlreadyDone, "there is nothing to do"),
    entry(
        0x8024_0028,
        "WU_E_UNINSTALL_NOT_ALLOWED",
        Class::Permanent,
        "it can not be uninstalled; restore the snapshot",
    ),
    entry(0x8024_002E, "WU_E_WU_DISABLED", Class::Configuration, "policy forbids the update source"),
    entry(0x8024_002F, "WU_E_CALL_CANCELLED_BY_POLICY", Class::Configuration, "policy cancelled it"),
    entry(0x8024_0041, "WU_E_SYSPREP_IN_PROGRESS", Class::Busy, "the machine is being prepared by Sysprep"),
    entry(
        0x8024_0044,
        "WU_E_PER_MACHINE_UPDATE_ACCESS_DENIED",
        Class::Configuration,
        "the agent does not run as SYSTEM",
    ),
    entry(0x8024_004A, "WU_E_SETUP_IN_PROGRESS", Class::Busy, "Windows Setup is running"),
    entry(0x8024_0069, "0x80240069", Class::Permanent, "the update service crashed (known with WSUS, August 2025)"),
    entry(0x8024_4017, "WU_E_PT_HTTP_STATUS_DENIED", Class::Configuration, "the source wants credentials (HTTP 401)"),
    entry(0x8024_4018, "WU_E_PT_HTTP_STATUS_FORBIDDEN", Class::Configuration, "the source forbids it (HTTP 403)"),
    entry(
        0x8024_401B,
        "WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ",
        Class::Configuration,
        "the proxy wants credentials (HTTP 407)",
    ),
    entry(0x8024_401C, "WU_E_PT_HTTP_STATUS_REQUEST_TIMEOUT", Class::Retriable, "the source timed out (HTTP 408)"),
    entry(0x8024_4022, "WU_E_PT_HTTP_STATUS_SERVICE_UNAVAIL", Class::Retriable, "the source is unavailable (HTTP 503)"),
    entry(0x8024_4023, "WU_E_PT_HTTP_STATUS_GATEWAY_TIMEOUT", Class::Retriable, "a gateway timed out (HTTP 504)"),
    entry(0x8024_402C, "WU_E_PT_WINHTTP_NAME_NOT_RESOLVED", Class::Retriable, "the source's name does not resolve"),
];

/// Looks a code up.
pub fn find(code: u32) -> Option<&'static Entry> {
    TABLE.binary_search_by_key(&code, |e| e.code).ok().and_then(|at| TABLE.get(at))
}

/// Whether a code says failure: its highest bit is set.
pub const fn is_failure(code: u32) -> bool {
    code & 0x8000_0000 != 0
}

/// What a code means for the work: success codes that are not in the table are [`Class::AlreadyDone`], unknown
/// failures [`Class::Permanent`].
pub fn class(code: u32) -> Class {
    let otherwise = if is_failure(code) { Class::Permanent } else { Class::AlreadyDone };
    find(code).map_or(otherwise, |e| e.class)
}

/// One sentence of what was attempted, the code, its name and what it means.
pub fn describe(code: u32, what: &str) -> String {
    match find(code) {
        Some(e) => format!("{what}: {code:#010X} {}: {}", e.name, e.advice),
        None => format!("{what}: {code:#010X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_each_code_once() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(TABLE.iter().all(|e| find(e.code) == Some(e)), "each is found by its code");
    }

    /// The classes of the whole table, written a second time, by what the operator will see.
    #[test]
    fn each_code_has_its_class() {
        let expect: &[(Option<ErrorClass>, &[u32])] = &[
            (None, &[0, 0x0024_0005, 0x0024_0006, 0x0024_0008, 0x8024_0024]),
            (
                Some(ErrorClass::Retriable),
                &[
                    0x8007_045B,
                    0x8024_0009,
                    0x8024_001B,
                    0x8024_001E,
                    0x8024_001F,
                    0x8024_0021,
                    0x8024_0041,
                    0x8024_004A,
                    0x8024_401C,
                    0x8024_4022,
                    0x8024_4023,
                    0x8024_402C,
                ],
            ),
            (Some(ErrorClass::RebootFirst), &[0x8024_0016]),
            (
                Some(ErrorClass::Configuration),
                &[0x8024_002E, 0x8024_002F, 0x8024_0044, 0x8024_4017, 0x8024_4018, 0x8024_401B],
            ),
            (Some(ErrorClass::DiskFull), &[0x8007_0070]),
            (
                Some(ErrorClass::Permanent),
                &[
                    0x8007_0643,
                    0x8007_3712,
                    0x800F_081F,
                    0x800F_0831,
                    0x800F_0922,
                    0x800F_0982,
                    0x800F_0983,
                    0x8024_000B,
                    0x8024_0017,
                    0x8024_0019,
                    0x8024_0022,
                    0x8024_0028,
                    0x8024_0069,
                    0xDEAD_BEEF,
                ],
            ),
        ];
        for (want, codes) in expect {
            for code in *codes {
                assert_eq!(class(*code).error_class(), *want, "{code:#X}");
            }
        }
        let named: usize = expect.iter().map(|(_, codes)| codes.len()).sum();
        assert_eq!(named - 2, TABLE.len(), "all but success and the unknown code are in the table");
    }

    #[test]
    fn an_unknown_code_is_told_by_its_number() {
        assert_eq!(describe(0x8000_FFFF, "install"), "install: 0x8000FFFF");
        assert!(describe(0x8007_0070, "download").ends_with("ERROR_DISK_FULL: free space on the system disk"));
    }
}
