//! The Host Networking Service. Its library is there only where the feature Containers is, so it is loaded when it is
//! asked: `HNSCall` of `vmcompute.dll`, the call that Microsoft's hcsshim and the CNI plug-ins make.

use super::border::{Doing, unexpected, wide};
use crate::host::HostResult;
use windows::Win32::System::Com::CoTaskMemFree;
use windows::Win32::System::LibraryLoader::{GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW};
use windows::core::{HRESULT, PCWSTR, PWSTR, s};

/// `HRESULT HNSCall(PCWSTR method, PCWSTR path, PCWSTR request, PWSTR *response)`.
type HnsCall = unsafe extern "system" fn(PCWSTR, PCWSTR, PCWSTR, *mut PWSTR) -> HRESULT;

/// Asks HNS (`GET`) and gives its answer, JSON.
pub(super) fn call(path: &str) -> HostResult<String> {
    let library = wide("vmcompute.dll");
    // SAFETY: a library of Windows, looked for in the system folder alone. It stays loaded: it may have threads of its own.
    let loaded = unsafe { LoadLibraryExW(&library, None, LOAD_LIBRARY_SEARCH_SYSTEM32) };
    let module = loaded.doing("HNS: vmcompute.dll")?;
    // SAFETY: the module is loaded; the name ends with a zero.
    let found = unsafe { GetProcAddress(module, s!("HNSCall")) };
    let address = found.ok_or_else(|| unexpected("HNS: vmcompute.dll has no HNSCall"))?;
    // SAFETY: this is the function's signature since Windows Server 2016 (hcsshim, internal/hns).
    let hns: HnsCall = unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, HnsCall>(address) };
    let (method, path, empty, mut answer) = (wide("GET"), wide(path), wide(""), PWSTR::null());
    let [method, path, empty] = [&method, &path, &empty].map(|text| PCWSTR(text.as_ptr()));
    // SAFETY: all texts outlive the call, which writes the answer's pointer.
    let result = unsafe { hns(method, path, empty, &raw mut answer) }.ok().doing("HNSCall");
    take(answer, result)
}

/// Takes over the answer and frees it, whatever the call came to.
fn take(answer: PWSTR, result: HostResult<()>) -> HostResult<String> {
    if answer.is_null() {
        return result.and_then(|()| Err(unexpected("HNSCall: no answer")));
    }
    // SAFETY: the answer is a text that ends with a zero, allocated for us, and not used after it is freed.
    let text = unsafe {
        let text = answer.to_string();
        CoTaskMemFree(Some(answer.0.cast()));
        text
    };
    result?;
    text.map_err(|e| unexpected(format!("HNSCall: {e}")))
}
