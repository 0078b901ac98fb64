//! Named mutexes: one run per machine.

use super::border::{Doing, Rights, optional, wide};
use crate::host::HostResult;
use windows::Win32::Foundation::{HANDLE, WAIT_ABANDONED, WAIT_OBJECT_0};
use windows::Win32::System::Threading::{
    CreateMutexW, OpenMutexW, ReleaseMutex, SYNCHRONIZATION_SYNCHRONIZE, WaitForSingleObject,
};
use windows::core::Owned;

/// Rights on a mutex for SYSTEM and Administrators only.
const RIGHTS: &str = "D:P(A;;GA;;;SY)(A;;GA;;;BA)";

/// A named mutex of the machine, held by this thread until it is dropped or the process ends, however it ends.
pub struct Mutex(Owned<HANDLE>);

impl Mutex {
    /// Takes the mutex of this name; `None` when somebody has it.
    ///
    /// # Errors
    /// Windows' own, such as "access denied" for a mutex that somebody else made.
    pub fn acquire(name: &str) -> HostResult<Option<Self>> {
        let (rights, global) = (Rights::parse(RIGHTS)?, wide(format!(r"Global\{name}")));
        let attributes = rights.attributes();
        // SAFETY: attributes and name outlive the call; the handle is owned from here.
        let handle = unsafe {
            Owned::new(CreateMutexW(Some(&raw const attributes), false, &global).doing(&format!("mutex {name}"))?)
        };
        Ok(take(&handle).then(|| Self(handle)))
    }

    /// Whether a process has the mutex of this name. It is looked for, not tried: trying would take it for a moment, and
    /// turn away the very process that just begins.
    ///
    /// # Errors
    /// Windows' own.
    pub fn is_held(name: &str) -> HostResult<bool> {
        let global = wide(format!(r"Global\{name}"));
        // SAFETY: the name outlives the call.
        let opened = unsafe { OpenMutexW(SYNCHRONIZATION_SYNCHRONIZE, false, &global) }.doing(&format!("mutex {name}"));
        // SAFETY: the handle is ours, and closed at once.
        Ok(optional(opened)?.map(|handle| unsafe { Owned::new(handle) }).is_some())
    }
}

impl Drop for Mutex {
    fn drop(&mut self) {
        // SAFETY: a live handle of ours. It can fail only for a thread that does not hold it, to which nothing happens.
        let _ = unsafe { ReleaseMutex(*self.0) };
    }
}

/// Takes the mutex if it is free. One whose owner died is free.
fn take(handle: &Owned<HANDLE>) -> bool {
    // SAFETY: a live handle of ours; zero never blocks.
    let waited = unsafe { WaitForSingleObject(**handle, 0) };
    waited == WAIT_OBJECT_0 || waited == WAIT_ABANDONED
}
