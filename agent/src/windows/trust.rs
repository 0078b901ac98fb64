//! Signatures: Authenticode, and that the signer is Microsoft.

use super::border::{Doing, unexpected, wide};
use crate::host::{HostError, HostResult};
use std::path::Path;
use windows::Win32::Foundation::{HANDLE, HWND};
use windows::Win32::Security::Cryptography::{
    CERT_CHAIN_CONTEXT, CERT_CHAIN_POLICY_FLAGS, CERT_CHAIN_POLICY_MICROSOFT_ROOT, CERT_CHAIN_POLICY_PARA,
    CERT_CHAIN_POLICY_STATUS, CertVerifyCertificateChainPolicy,
    MICROSOFT_ROOT_CERT_CHAIN_POLICY_CHECK_APPLICATION_ROOT_FLAG,
};
use windows::Win32::Security::WinTrust::{
    CRYPT_PROVIDER_DATA, CRYPT_PROVIDER_SGNR, WINTRUST_ACTION_GENERIC_VERIFY_V2, WINTRUST_DATA, WINTRUST_DATA_0,
    WINTRUST_FILE_INFO, WTD_CACHE_ONLY_URL_RETRIEVAL, WTD_CHOICE_FILE, WTD_REVOKE_NONE, WTD_STATEACTION_CLOSE,
    WTD_STATEACTION_VERIFY, WTD_UI_NONE, WTHelperGetProvSignerFromChain, WTHelperProvDataFromStateData, WinVerifyTrust,
};
use windows::core::PCWSTR;

/// Checks that a file has a valid signature of Microsoft's. Revocation is not asked for: machines without the internet
/// could not, and the manifest's checksum names the very file.
///
/// # Errors
/// The code of `WinVerifyTrust` (`TRUST_E_NOSIGNATURE`, ...), or that of the policy where the signer is another one.
pub(super) fn signed_by_microsoft(path: &Path) -> HostResult<()> {
    let name = wide(path.to_string_lossy());
    let mut file = WINTRUST_FILE_INFO {
        cbStruct: size::<WINTRUST_FILE_INFO>(),
        pcwszFilePath: PCWSTR(name.as_ptr()),
        ..WINTRUST_FILE_INFO::default()
    };
    let mut data = WINTRUST_DATA {
        cbStruct: size::<WINTRUST_DATA>(),
        dwUIChoice: WTD_UI_NONE,
        fdwRevocationChecks: WTD_REVOKE_NONE,
        dwUnionChoice: WTD_CHOICE_FILE,
        Anonymous: WINTRUST_DATA_0 { pFile: &raw mut file },
        dwStateAction: WTD_STATEACTION_VERIFY,
        dwProvFlags: WTD_CACHE_ONLY_URL_RETRIEVAL,
        ..WINTRUST_DATA::default()
    };
    let what = format!("signature of {}", path.display());
    let verified = call(&mut data, &what).and_then(|()| by_microsoft(data.hWVTStateData, &what));
    data.dwStateAction = WTD_STATEACTION_CLOSE;
    // What was verified stands; closing only frees the state.
    let _ = call(&mut data, "signature: close");
    verified
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

fn call(data: &mut WINTRUST_DATA, what: &str) -> HostResult<()> {
    let mut action = WINTRUST_ACTION_GENERIC_VERIFY_V2;
    // SAFETY: data, and the file and name that it points to, outlive the call; no window means no questions.
    let code = unsafe { WinVerifyTrust(HWND::default(), &raw mut action, std::ptr::from_mut(data).cast()) };
    windows::core::HRESULT(code).ok().doing(what)
}

/// Whether the verified signer's certificate leads to one of Microsoft's roots, for products or for applications.
fn by_microsoft(state: HANDLE, what: &str) -> HostResult<()> {
    // SAFETY: the state is of a verification that succeeded and is not closed yet; what it leads to lives until then.
    let chain = unsafe {
        let provider = WTHelperProvDataFromStateData(state);
        let signer = if provider.is_null() { std::ptr::null_mut() } else { first_signer(provider) };
        signer.as_ref().map_or(std::ptr::null(), |signer| signer.pChainContext.cast_const())
    };
    if chain.is_null() {
        return Err(unexpected(format!("{what}: no signer")));
    }
    let application = MICROSOFT_ROOT_CERT_CHAIN_POLICY_CHECK_APPLICATION_ROOT_FLAG;
    leads_to_root(chain, CERT_CHAIN_POLICY_FLAGS(0), what).or_else(|_| leads_to_root(chain, application, what))
}

/// # Safety
/// The provider's data is of a verification that succeeded and is not closed yet.
unsafe fn first_signer(provider: *mut CRYPT_PROVIDER_DATA) -> *mut CRYPT_PROVIDER_SGNR {
    // SAFETY: as the caller says; the first signer is no countersigner.
    unsafe { WTHelperGetProvSignerFromChain(provider, 0, false, 0) }
}

fn leads_to_root(chain: *const CERT_CHAIN_CONTEXT, flags: CERT_CHAIN_POLICY_FLAGS, what: &str) -> HostResult<()> {
    let parameters =
        CERT_CHAIN_POLICY_PARA { cbSize: size::<CERT_CHAIN_POLICY_PARA>(), dwFlags: flags, ..Default::default() };
    let mut status = CERT_CHAIN_POLICY_STATUS { cbSize: size::<CERT_CHAIN_POLICY_STATUS>(), ..Default::default() };
    let policy = CERT_CHAIN_POLICY_MICROSOFT_ROOT;
    // SAFETY: the caller's chain lives; both structures say their sizes.
    unsafe { CertVerifyCertificateChainPolicy(policy, chain, &raw const parameters, &raw mut status) }
        .ok()
        .doing(what)?;
    if status.dwError == 0 {
        return Ok(());
    }
    Err(HostError::new(status.dwError, format!("{what}: it is valid, but not Microsoft's")))
}
