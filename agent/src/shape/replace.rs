//! Putting one file in the place of another: what to try, and what is left after it failed.

use crate::host::HostResult;

/// `ERROR_ACCESS_DENIED` and `ERROR_SHARING_VIOLATION`: somebody has the file open just now.
pub(crate) const IN_USE: [u32; 2] = [0x8007_0005, 0x8007_0020];

/// `ERROR_UNABLE_TO_MOVE_REPLACEMENT` and `ERROR_UNABLE_TO_MOVE_REPLACEMENT_2`: the old file is gone from its place, and the
/// new one still lies beside it (Microsoft, `ReplaceFileW`, where no backup is named).
const HALF_DONE: [u32; 2] = [0x8007_0498, 0x8007_0499];

/// Moves the new file to its place; where a reader that has the old one open forbids that, replaces it (`ReplaceFileW`), which
/// such a reader may allow. Replacing takes two steps: where it stops between them, the place is empty, and the move is all
/// that is left to do. Nothing else is helped by it.
pub(crate) fn put_in_place(
    mut moved: impl FnMut() -> HostResult<()>,
    replaced: impl FnOnce() -> HostResult<()>,
) -> HostResult<()> {
    match moved() {
        Err(e) if IN_USE.contains(&e.hresult) => {}
        done => return done,
    }
    match replaced() {
        Err(e) if HALF_DONE.contains(&e.hresult) => moved(),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostError;
    use std::cell::RefCell;

    /// What is called, and what it comes to, where the moves and the replacement say these codes (0 is success).
    fn tried(says: &[u32], replacement: u32) -> (String, u32) {
        let (calls, mut codes) = (RefCell::new(String::new()), says.iter());
        let answer = |code: u32| if code == 0 { Ok(()) } else { Err(HostError::new(code, "replace")) };
        let moved = || {
            calls.borrow_mut().push('m');
            answer(*codes.next().expect("one more move"))
        };
        let replaced = || {
            calls.borrow_mut().push('r');
            answer(replacement)
        };
        let done = put_in_place(moved, replaced);
        (calls.into_inner(), done.map_or_else(|e| e.hresult, |()| 0))
    }

    #[test]
    fn it_is_replaced_only_where_somebody_has_it_open() {
        const DISK_FULL: u32 = 0x8007_0070;
        assert_eq!(tried(&[0], 1), ("m".into(), 0));
        assert_eq!(tried(&[DISK_FULL], 0), ("m".into(), DISK_FULL), "not helped by it");
        for in_use in IN_USE {
            assert_eq!(tried(&[in_use], 0), ("mr".into(), 0));
            assert_eq!(tried(&[in_use], in_use), ("mr".into(), in_use));
        }
    }

    #[test]
    fn a_replacement_that_stopped_half_way_is_brought_to_its_end() {
        for half_done in HALF_DONE {
            assert_eq!(tried(&[0x8007_0005, 0], half_done), ("mrm".into(), 0));
            assert_eq!(tried(&[0x8007_0005, 0x8007_0005], half_done), ("mrm".into(), 0x8007_0005), "to be tried again");
        }
    }
}
