//! The border to COM and Win32: errors, texts, and COM's life.

use crate::host::{HostError, HostResult};
use crate::shape::numbers::from_win32;
use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use windows::Win32::Foundation::{HLOCAL, LocalFree, WIN32_ERROR};
use windows::Win32::Security::Authorization::ConvertStringSecurityDescriptorToSecurityDescriptorW;
use windows::Win32::Security::{PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES};
use windows::Win32::System::Com::{CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoUninitialize};
use windows::Win32::System::SystemInformation::GetSystemDirectoryW;
use windows::core::{GUID, HSTRING, Interface};

/// Says what was attempted, where it failed.
pub(super) trait Doing<T> {
    /// The result with our own error, which names what was attempted.
    fn doing(self, what: &str) -> HostResult<T>;
}

impl<T> Doing<T> for windows::core::Result<T> {
    fn doing(self, what: &str) -> HostResult<T> {
        self.map_err(|e| HostError::new(from_win32(e.code().0.cast_unsigned()), format!("{what}: {}", e.message())))
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &str) -> HostResult<T> {
        self.map_err(|e| {
            let code = e.raw_os_error().map_or(0, i32::cast_unsigned);
            HostError::new(from_win32(code), format!("{what}: {e}"))
        })
    }
}

/// The result of a call that returns its Win32 error.
pub(super) fn win32(error: WIN32_ERROR, what: &str) -> HostResult<()> {
    if error.0 == 0 { Ok(()) } else { Err(HostError::new(from_win32(error.0), what)) }
}

/// An error of ours, where Windows answered something that can not be.
pub(super) fn unexpected(what: impl Into<String>) -> HostError {
    /// `E_UNEXPECTED`.
    const UNEXPECTED: u32 = 0x8000_FFFF;
    HostError::new(UNEXPECTED, what)
}

/// Whether a call failed because the thing is not there (`ERROR_FILE_NOT_FOUND`, `ERROR_PATH_NOT_FOUND`).
pub(super) fn is_absent(error: &HostError) -> bool {
    matches!(error.hresult, 0x8007_0002 | 0x8007_0003)
}

/// Makes "not there" a value.
pub(super) fn optional<T>(result: HostResult<T>) -> HostResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The text of a buffer up to its first zero.
pub(super) fn text(buffer: &[u16]) -> String {
    String::from_utf16_lossy(buffer.split(|c| *c == 0).next().unwrap_or_default())
}

/// A path or name as Windows takes it.
pub(super) fn wide(text: impl AsRef<str>) -> HSTRING {
    HSTRING::from(text.as_ref())
}

/// COM in this thread, for as long as the value lives; it can not leave the thread.
pub(super) struct Com(PhantomData<*const ()>);

impl Com {
    /// Enters COM. Entering again is counted.
    pub fn enter() -> HostResult<Self> {
        // SAFETY: no pointer is passed; each success is met by one `CoUninitialize` in `drop`.
        unsafe { CoInitializeEx(None, COINIT_MULTITHREADED) }.ok().doing("COM")?;
        Ok(Self(PhantomData))
    }

    /// Makes an object of a class. It must be dropped before COM is left: `self` outlives it in every caller.
    #[allow(clippy::unused_self, reason = "it proves that COM was entered in this thread")]
    pub fn create<T: Interface>(&self, class: &GUID, what: &str) -> HostResult<T> {
        // SAFETY: COM was entered in this thread, which `self` proves; the class id is valid for the call.
        unsafe { CoCreateInstance(class, None, CLSCTX_ALL) }.doing(what)
    }
}

impl Drop for Com {
    fn drop(&mut self) {
        // SAFETY: meets the `CoInitializeEx` of `enter`, in the same thread.
        unsafe { CoUninitialize() }
    }
}

/// Rights for SYSTEM and Administrators only, inherited by what is inside, nothing inherited from above.
pub(super) const OURS_ALONE: &str = "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

/// A security descriptor of its text form (SDDL).
pub(super) struct Rights(PSECURITY_DESCRIPTOR);

impl Rights {
    /// Reads the text.
    pub fn parse(sddl: &str) -> HostResult<Self> {
        let (sddl, mut descriptor) = (wide(sddl), PSECURITY_DESCRIPTOR::default());
        // SAFETY: the text outlives the call; the descriptor is written once and freed in `drop`.
        unsafe { ConvertStringSecurityDescriptorToSecurityDescriptorW(&sddl, 1, &raw mut descriptor, None) }
            .doing("access rights")?;
        Ok(Self(descriptor))
    }

    /// The descriptor itself, valid as long as `self`.
    pub fn descriptor(&self) -> PSECURITY_DESCRIPTOR {
        self.0
    }

    /// The descriptor as the attributes of something new, valid as long as `self`.
    pub fn attributes(&self) -> SECURITY_ATTRIBUTES {
        let length = u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(u32::MAX);
        SECURITY_ATTRIBUTES { nLength: length, lpSecurityDescriptor: self.0.0, bInheritHandle: false.into() }
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        free_local(self.0.0);
    }
}

/// Frees what a call allocated with `LocalAlloc`.
pub(super) fn free_local(memory: *mut c_void) {
    // SAFETY: called once for each pointer that such a call returned; null is allowed.
    unsafe { LocalFree(Some(HLOCAL(memory))) };
}

/// The path of a program of Windows itself. Never searched for: a search could find another one.
pub(super) fn system_program(name: &str) -> HostResult<String> {
    let mut buffer = [0u16; 260];
    // SAFETY: the call writes into the buffer it is given, at most its length.
    if unsafe { GetSystemDirectoryW(Some(&mut buffer)) } == 0 {
        return Err(unexpected("system folder"));
    }
    Ok(format!(r"{}\{name}", text(&buffer)))
}
