//! The codes, as data.

use super::{Class, Entry};

/// Microsoft, Windows Update Agent SDK, "WUA success and error codes".
const WUA: &str = "Windows Update Agent SDK, success and error codes";
/// Microsoft, Windows Update Agent SDK, "WUA networking error codes".
const NET: &str = "Windows Update Agent SDK, networking error codes";
/// Microsoft, [MS-UAMG] 3.38.4.11.
const UAMG: &str = "MS-UAMG, IUpdateSearcher::Search";
/// The Windows SDK's header; Win32 errors as `HRESULT_FROM_WIN32` gives them.
const WINERROR: &str = "winerror.h";
/// The Windows SDK's header; as `HRESULT_FROM_WIN32` gives them.
const INET: &str = "wininet.h";
/// The Windows SDK's header; as `HRESULT_FROM_WIN32` gives them.
const HTTP: &str = "winhttp.h";
/// Microsoft, "Windows Update error codes by component", "Protocol talker errors".
const TALKER: &str = "Windows Update error codes by component, protocol talker";
/// The Windows SDK's header.
const WBEM: &str = "wbemcli.h";
/// Microsoft, "Windows Update error codes by component", and incidents that were published with these codes.
const CBS: &str = "CbsApi.h, Windows Update error codes by component";
/// The Ansible collection `ansible.windows`, module `win_updates`, which treats it specially (the name is winerror.h's).
const ANSIBLE: &str = "winerror.h; seen in ansible.windows win_updates";
/// Told by administrators in August 2025; Microsoft publishes no name.
const FIELD: &str = "field reports, August 2025";
/// Set by this agent: the customer bit of an HRESULT says that it is not Microsoft's.
const OURS: &str = "this agent";

const fn entry(code: u32, name: &'static str, class: Class, advice: &'static str, source: &'static str) -> Entry {
    Entry { code, name, class, advice, source }
}

/// All codes the agent knows, by code.
#[rustfmt::skip]
pub const TABLE: &[Entry] = &[
    entry(0x0024_0005, "WU_S_REBOOT_REQUIRED", Class::RebootNeeded, "a reboot completes it", WUA),
    entry(0x0024_0006, "WU_S_ALREADY_INSTALLED", Class::AlreadyDone, "it is installed already", WUA),
    entry(0x0024_0008, "WU_S_ALREADY_DOWNLOADED", Class::AlreadyDone, "it is downloaded already", WUA),
    entry(0x8004_1069, "WBEM_E_TIMED_OUT", Class::Retriable, "WMI did not answer in time", WBEM),
    entry(0x8007_0005, "E_ACCESSDENIED", Class::Configuration, "the agent does not run as SYSTEM, or a security product is in the way", WINERROR),
    entry(0x8007_0020, "ERROR_SHARING_VIOLATION", Class::Retriable, "another program has the file open", WINERROR),
    entry(0x8007_0070, "ERROR_DISK_FULL", Class::DiskFull, "free space on the system disk", WINERROR),
    entry(0x8007_0422, "ERROR_SERVICE_DISABLED", Class::Configuration, "a service that the update needs is disabled", WINERROR),
    entry(0x8007_045B, "ERROR_SHUTDOWN_IN_PROGRESS", Class::Busy, "it goes on after the boot", ANSIBLE),
    entry(0x8007_05B4, "ERROR_TIMEOUT", Class::Retriable, "it did not end in time", WINERROR),
    entry(0x8007_0643, "ERROR_INSTALL_FAILURE", Class::Permanent, "the update's own installer failed; see its log", ANSIBLE),
    entry(0x8007_0652, "ERROR_INSTALL_ALREADY_RUNNING", Class::Busy, "another installation is running", WINERROR),
    entry(0x8007_06BA, "RPC_S_SERVER_UNAVAILABLE", Class::Retriable, "the service does not answer, as while it starts", WINERROR),
    entry(0x8007_06BE, "RPC_S_CALL_FAILED", Class::Retriable, "the service ended in the middle of the call", WINERROR),
    entry(0x8007_0BC2, "ERROR_SUCCESS_REBOOT_REQUIRED", Class::RebootNeeded, "a reboot completes it", WINERROR),
    entry(0x8007_0BC9, "ERROR_FAIL_REBOOT_REQUIRED", Class::RebootFirst, "a pending reboot is in the way", WINERROR),
    entry(0x8007_2EE2, "ERROR_INTERNET_TIMEOUT", Class::Retriable, "the source did not answer in time", INET),
    entry(0x8007_2EE7, "ERROR_INTERNET_NAME_NOT_RESOLVED", Class::Retriable, "the source's name does not resolve", INET),
    entry(0x8007_2EFD, "ERROR_INTERNET_CANNOT_CONNECT", Class::Retriable, "the source can not be reached", INET),
    entry(0x8007_2EFE, "ERROR_INTERNET_CONNECTION_ABORTED", Class::Retriable, "the connection to the source was cut", INET),
    entry(0x8007_2EFF, "ERROR_INTERNET_CONNECTION_RESET", Class::Retriable, "the source reset the connection", INET),
    entry(0x8007_2F8F, "ERROR_WINHTTP_SECURE_FAILURE", Class::Retriable, "no trust over TLS: the clock may be off, as right after a boot", HTTP),
    entry(0x8007_3701, "ERROR_SXS_ASSEMBLY_MISSING", Class::ComponentStore, "the component store lacks an assembly", WINERROR),
    entry(0x8007_3712, "ERROR_SXS_COMPONENT_STORE_CORRUPT", Class::ComponentStore, "the component store is damaged", WINERROR),
    entry(0x8008_0005, "CO_E_SERVER_EXEC_FAILURE", Class::Retriable, "a COM server did not start in time", WINERROR),
    entry(0x800B_0109, "CERT_E_UNTRUSTEDROOT", Class::Permanent, "the package is signed by nobody this machine trusts", WINERROR),
    entry(0x800F_081E, "CBS_E_NOT_APPLICABLE", Class::NotApplicable, "the machine does not want this package", CBS),
    entry(0x800F_081F, "CBS_E_SOURCE_MISSING", Class::ComponentStore, "the component store lacks a source file", CBS),
    entry(0x800F_0823, "CBS_E_NEW_SERVICING_STACK_REQUIRED", Class::Permanent, "a newer servicing stack must be installed first", CBS),
    entry(0x800F_0831, "CBS_E_STORE_CORRUPTION", Class::ComponentStore, "the component store is damaged", CBS),
    entry(0x800F_0922, "CBS_E_INSTALLERS_FAILED", Class::ComponentStore, "an installer inside the update failed", CBS),
    entry(0x800F_0982, "PSFX_E_MATCHING_COMPONENT_NOT_FOUND", Class::ComponentStore, "a component it builds on is not there", CBS),
    entry(0x800F_0983, "PSFX_E_MATCHING_BINARY_MISSING", Class::ComponentStore, "a file it builds on is not there", CBS),
    entry(0x800F_0986, "PSFX_E_APPLY_FORWARD_DELTA_FAILED", Class::ComponentStore, "a file it builds on is damaged", CBS),
    entry(0x800F_0988, "PSFX_E_INVALID_DELTA_COMBINATION", Class::ComponentStore, "files it builds on do not fit together", CBS),
    entry(0x8024_0009, "WU_E_OPERATIONINPROGRESS", Class::Busy, "another operation of the update service is running", WUA),
    entry(0x8024_000B, "WU_E_CALL_CANCELLED", Class::Permanent, "somebody cancelled it; a second time it is a policy that does", WUA),
    entry(0x8024_0016, "WU_E_INSTALL_NOT_ALLOWED", Class::RebootFirst, "another installation runs or a reboot is pending", WUA),
    entry(0x8024_0017, "WU_E_NOT_APPLICABLE", Class::NotApplicable, "the machine does not want it, or has something newer", WUA),
    entry(0x8024_0019, "WU_E_EXCLUSIVE_INSTALL_CONFLICT", Class::Permanent, "it must be installed alone", WUA),
    entry(0x8024_001B, "WU_E_SELFUPDATE_IN_PROGRESS", Class::Busy, "the update service is updating itself", WUA),
    entry(0x8024_001E, "WU_E_SERVICE_STOP", Class::Retriable, "the update service is stopping", WUA),
    entry(0x8024_001F, "WU_E_NO_CONNECTION", Class::Retriable, "there is no network connection", WUA),
    entry(0x8024_0020, "WU_E_NO_INTERACTIVE_USER", Class::Permanent, "it wants a person at the screen", WUA),
    entry(0x8024_0021, "WU_E_TIME_OUT", Class::Retriable, "the update service did not answer in time", WUA),
    entry(0x8024_0022, "WU_E_ALL_UPDATES_FAILED", Class::Permanent, "every update of the operation failed", WUA),
    entry(0x8024_0024, "WU_E_NO_UPDATE", Class::AlreadyDone, "there is nothing to do", WUA),
    entry(0x8024_0028, "WU_E_UNINSTALL_NOT_ALLOWED", Class::Permanent, "it can not be uninstalled; restore the snapshot", WUA),
    entry(0x8024_002E, "WU_E_WU_DISABLED", Class::Configuration, "policy forbids the update source", WUA),
    entry(0x8024_002F, "WU_E_CALL_CANCELLED_BY_POLICY", Class::Configuration, "policy cancelled it", WUA),
    entry(0x8024_0032, "WU_E_INVALID_CRITERIA", Class::Permanent, "the search was refused as malformed: a fault of this agent", UAMG),
    entry(0x8024_0041, "WU_E_SYSPREP_IN_PROGRESS", Class::Busy, "the machine is being prepared by Sysprep", WUA),
    entry(0x8024_0044, "WU_E_PER_MACHINE_UPDATE_ACCESS_DENIED", Class::Configuration, "the agent does not run as SYSTEM", WUA),
    entry(0x8024_004A, "WU_E_SETUP_IN_PROGRESS", Class::Busy, "Windows Setup is running", WUA),
    entry(0x8024_0069, "0x80240069", Class::Permanent, "the update service crashed (known with WSUS, August 2025)", FIELD),
    entry(0x8024_0438, "WU_E_PT_ENDPOINT_UNREACHABLE", Class::Retriable, "the source's endpoint can not be reached", NET),
    entry(0x8024_2014, "WU_E_UH_POSTREBOOTSTILLPENDING", Class::RebootFirst, "it waits for a reboot that has not happened", WUA),
    entry(0x8024_4010, "WU_E_PT_EXCEEDED_MAX_SERVER_TRIPS", Class::Retriable, "the catalogue did not come through in the round trips allowed; the next search goes on from there", TALKER),
    entry(0x8024_4017, "WU_E_PT_HTTP_STATUS_DENIED", Class::Configuration, "the source wants credentials (HTTP 401)", NET),
    entry(0x8024_4018, "WU_E_PT_HTTP_STATUS_FORBIDDEN", Class::Configuration, "the source forbids it (HTTP 403)", NET),
    entry(0x8024_4019, "WU_E_PT_HTTP_STATUS_NOT_FOUND", Class::Permanent, "the source does not have it (HTTP 404)", NET),
    entry(0x8024_401B, "WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ", Class::Configuration, "the proxy wants credentials (HTTP 407)", NET),
    entry(0x8024_401C, "WU_E_PT_HTTP_STATUS_REQUEST_TIMEOUT", Class::Retriable, "the source timed out (HTTP 408)", NET),
    entry(0x8024_401F, "WU_E_PT_HTTP_STATUS_SERVER_ERROR", Class::Retriable, "the source failed (HTTP 500)", NET),
    entry(0x8024_4021, "WU_E_PT_HTTP_STATUS_BAD_GATEWAY", Class::Retriable, "a gateway failed (HTTP 502)", NET),
    entry(0x8024_4022, "WU_E_PT_HTTP_STATUS_SERVICE_UNAVAIL", Class::Retriable, "the source is unavailable (HTTP 503)", NET),
    entry(0x8024_4023, "WU_E_PT_HTTP_STATUS_GATEWAY_TIMEOUT", Class::Retriable, "a gateway timed out (HTTP 504)", NET),
    entry(0x8024_402C, "WU_E_PT_WINHTTP_NAME_NOT_RESOLVED", Class::Retriable, "the source's name does not resolve", NET),
    entry(0x8024_6008, "WU_E_DM_FAILTOCONNECTTOBITS", Class::Retriable, "the download service (BITS) does not answer", WUA),
    entry(0xA057_0001, "WUA_API_BROKEN", Class::Permanent, "the Windows Update Agent answers in a shape that nobody knows", OURS),
];
