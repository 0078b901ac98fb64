//! Named mutexes: one run per machine.

use super::border::{Doing, Rights, wide};
use crate::host::HostResult;
use windows::Win32::Foundation::{HANDLE, WAIT_ABANDONED, WAIT_OBJECT_0};
use windows::Win32::System::Threading::{
    CreateMutexW, MUTEX_MODIFY_STATE, OpenMutexW, ReleaseMutex, SYNCHRONIZATION_SYNCHRONIZE, WaitForSingleObject,
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

    /// Whether another thread or process has the mutex of this name.
    ///
    /// # Errors
    /// Windows' own.
    pub fn is_held(name: &str) -> HostResult<bool> {
        let (access, global) = (SYNCHRONIZATION_SYNCHRONIZE | MUTEX_MODIFY_STATE, wide(format!(r"Global\{name}")));
        // SAFETY: the name outlives the call.
        let opened =
            super::border::optional(unsafe { OpenMutexW(access, false, &global) }.doing(&format!("mutex {name}")))?;
        let Some(handle) = opened else { return Ok(false) };
        // SAFETY: the handle is ours, and owned from here.
        let handle = unsafe { Owned::new(handle) };
        let free = take(&handle);
        if free {
            release(&handle);
        }
        Ok(!free)
    }
}

impl Drop for Mutex {
    fn drop(&mut self) {
        release(&self.0);
    }
}

/// Takes the mutex if it is free. One whose owner died is free.
fn take(handle: &Owned<HANDLE>) -> bool {
    // SAFETY: a live handle of ours; zero never blocks.
    let waited = unsafe { WaitForSingleObject(**handle, 0) };
    waited == WAIT_OBJECT_0 || waited == WAIT_ABANDONED
}

fn release(handle: &Owned<HANDLE>) {
    // SAFETY: a live handle of ours. It can fail only for a thread that does not hold it, to which nothing happens.
    let _ = unsafe { ReleaseMutex(**handle) };
}
