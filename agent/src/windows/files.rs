//! The agent's folder: only SYSTEM and Administrators may read and write it, and a file is replaced as a whole.

use super::WindowsHost;
use super::border::{Doing, OURS_ALONE, Rights, free_local, is_absent, optional, wide, win32};
use crate::host::{Files, HostError, HostResult};
use crate::shape::replace::{self, IN_USE};
use std::fs::{self, File};
use std::io::Write;
use std::os::windows::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use windows::Win32::Foundation::HANDLE;
use windows::Win32::Security::Authorization::{GetNamedSecurityInfoW, SE_FILE_OBJECT};
use windows::Win32::Security::{
    DACL_SECURITY_INFORMATION, EqualSid, GetTokenInformation, IsWellKnownSid, OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SetFileSecurityW, TOKEN_QUERY, TOKEN_USER,
    TokenUser, WinBuiltinAdministratorsSid, WinLocalSystemSid,
};
use windows::Win32::Storage::FileSystem::{
    CreateDirectoryW, FILE_ATTRIBUTE_REPARSE_POINT, MOVEFILE_REPLACE_EXISTING, MOVEFILE_WRITE_THROUGH, MoveFileExW,
    REPLACE_FILE_FLAGS, ReplaceFileW,
};
use windows::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows::core::Owned;

/// `ERROR_ALREADY_EXISTS`.
const EXISTS: u32 = 0x8007_00B7;

/// `ERROR_INVALID_OWNER`: given for a folder that somebody else made.
const INVALID_OWNER: u32 = 0x8007_051B;

/// The agent's folder, checked.
pub(super) struct StateFolder(PathBuf);

impl StateFolder {
    /// Makes the folder with rights for SYSTEM and Administrators alone, or takes over one that is theirs. Everybody may
    /// make folders in `ProgramData`: one that somebody else made is refused, for its files may be traps.
    pub fn open(path: &Path) -> HostResult<Self> {
        let rights = Rights::parse(OURS_ALONE)?;
        let name = wide(path.to_string_lossy());
        let attributes = rights.attributes();
        // SAFETY: name and attributes outlive the call.
        match unsafe { CreateDirectoryW(&name, Some(&raw const attributes)) }.doing(&path.to_string_lossy()) {
            Ok(()) => {}
            Err(e) if e.hresult == EXISTS => {
                refuse_foreign(path)?;
                let what = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
                // SAFETY: name and descriptor outlive the call.
                unsafe { SetFileSecurityW(&name, what, rights.descriptor()) }.ok().doing("rights of the folder")?;
            }
            Err(e) => return Err(e),
        }
        Ok(Self(path.to_owned()))
    }

    /// The path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

fn refuse_foreign(path: &Path) -> HostResult<()> {
    let shown = path.display();
    let metadata = fs::symlink_metadata(path).doing(&shown.to_string())?;
    if !metadata.is_dir() || metadata.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT.0 != 0 {
        return Err(HostError::new(INVALID_OWNER, format!("{shown}: is a link or a file; remove it")));
    }
    if owned_by_administrators(path)? {
        return Ok(());
    }
    Err(HostError::new(INVALID_OWNER, format!("{shown}: was made by somebody who is no administrator; remove it")))
}

/// Whether the owner is SYSTEM, Administrators or the user of this process, who is one of them.
fn owned_by_administrators(path: &Path) -> HostResult<bool> {
    let name = wide(path.to_string_lossy());
    let (mut owner, mut descriptor) = (PSID::default(), PSECURITY_DESCRIPTOR::default());
    // SAFETY: the owner points into the descriptor, which is freed after its last use below.
    let asked = unsafe {
        let what = OWNER_SECURITY_INFORMATION;
        GetNamedSecurityInfoW(&name, SE_FILE_OBJECT, what, Some(&raw mut owner), None, None, None, &raw mut descriptor)
    };
    win32(asked, "owner of the folder")?;
    // SAFETY: the owner is a valid SID until the descriptor is freed.
    let known = unsafe {
        IsWellKnownSid(owner, WinLocalSystemSid).as_bool()
            || IsWellKnownSid(owner, WinBuiltinAdministratorsSid).as_bool()
    };
    let ours = known || is_own_user(owner)?;
    free_local(descriptor.0);
    Ok(ours)
}

fn is_own_user(sid: PSID) -> HostResult<bool> {
    let mut token = HANDLE::default();
    // SAFETY: the token is written once, and closed by its owner.
    let token = unsafe {
        OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token).doing("own token")?;
        Owned::new(token)
    };
    // Room for TOKEN_USER and the longest SID behind it, aligned as the structure wants.
    let (mut buffer, mut length) = ([0u64; 32], 0);
    let size = u32::try_from(size_of_val(&buffer)).unwrap_or(u32::MAX);
    // SAFETY: the buffer has the size that is said; it begins with a TOKEN_USER after success, whose SID lies inside it.
    unsafe {
        let into = buffer.as_mut_ptr().cast();
        GetTokenInformation(*token, TokenUser, Some(into), size, &raw mut length).doing("own user")?;
        Ok(EqualSid((*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid, sid).is_ok())
    }
}

/// Tries again for half a second where somebody has the file open just now: a virus scanner, a backup, or the other
/// process of the agent in the middle of a replacement.
fn patiently<T>(mut attempt: impl FnMut() -> HostResult<T>) -> HostResult<T> {
    for _ in 0..10 {
        match attempt() {
            Err(e) if IN_USE.contains(&e.hresult) => thread::sleep(Duration::from_millis(50)),
            done => return done,
        }
    }
    attempt()
}

/// Puts `from` in the place of `to` in one move that is on the disk when it returns.
fn put_in_place(from: &Path, to: &Path) -> HostResult<()> {
    let (from, to) = (wide(from.to_string_lossy()), wide(to.to_string_lossy()));
    let how = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
    replace::put_in_place(
        // SAFETY: both names outlive the call.
        || unsafe { MoveFileExW(&from, &to, how) }.doing("replace"),
        // SAFETY: both names outlive the call; the reserved pointers are null.
        || unsafe { ReplaceFileW(&to, &from, None, REPLACE_FILE_FLAGS(0), None, None) }.doing("replace"),
    )
}

impl Files for WindowsHost {
    fn read(&self, name: &str) -> HostResult<Option<Vec<u8>>> {
        patiently(|| optional(fs::read(self.folder.path(name)).doing(name)))
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> HostResult<()> {
        let (path, beside) = (self.folder.path(name), self.folder.path(&format!("{name}.new")));
        let mut file = File::create(&beside).doing(name)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).doing(name);
        drop(file);
        let whole = written.is_ok();
        let placed = written.and_then(|()| patiently(|| put_in_place(&beside, &path)));
        if placed.is_err() && (path.exists() || !whole) {
            // What is left beside it is overwritten by the next try, and matters to nobody. Only where nothing lies in its place
            // it is all that is left of the file.
            let _ = fs::remove_file(&beside);
        }
        placed
    }

    fn remove(&mut self, name: &str) -> HostResult<()> {
        match fs::remove_file(self.folder.path(name)).doing(name) {
            Err(e) if !is_absent(&e) => Err(e),
            _ => Ok(()),
        }
    }
}
