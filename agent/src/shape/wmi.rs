//! WMI: what the walk along the rows of an answer says.

use crate::host::{HostError, HostResult};
use crate::hresult::is_failure;

/// `WBEM_S_FALSE`: there is no further row.
const END: u32 = 1;

/// `WBEM_S_TIMEDOUT`: a success by its code, and yet no answer: the row may still come.
const TIMED_OUT: u32 = 0x0004_0004;

/// `WBEM_E_TIMED_OUT`.
const TIME_OUT: u32 = 0x8004_1069;

/// `E_UNEXPECTED`.
const UNEXPECTED: u32 = 0x8000_FFFF;

/// What `IEnumWbemClassObject::Next` came to: a row, or the end. Only its own code says that there are no more: silence read
/// as the end would make "not protected" of a disk that nobody looked at.
///
/// # Errors
/// A failure, a time-out, or a success without a row that is not the end.
pub(crate) fn next<T>(code: u32, row: Option<T>, question: &str) -> HostResult<Option<T>> {
    match (code, row) {
        (failure, _) if is_failure(failure) => Err(HostError::new(failure, question)),
        (_, Some(row)) => Ok(Some(row)),
        (END, None) => Ok(None),
        (TIMED_OUT, None) => Err(HostError::new(TIME_OUT, question)),
        (other, None) => Err(HostError::new(UNEXPECTED, format!("{question}: no row, with {other:#X}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hresult::Class;

    #[test]
    fn only_the_end_is_the_end() {
        let code_of = |code, row: Option<u32>| next(code, row, "SELECT").map_err(|e| e.hresult);
        assert_eq!(code_of(0, Some(7)), Ok(Some(7)));
        assert_eq!(code_of(END, None), Ok(None));
        assert_eq!(code_of(END, Some(7)), Ok(Some(7)), "the last one of several");
        assert_eq!(code_of(0x8004_100E, None), Err(0x8004_100E));
        assert_eq!(code_of(0, None), Err(UNEXPECTED));
        let late = next::<u32>(TIMED_OUT, None, "SELECT").expect_err("nobody answered");
        assert_eq!((late.class(), late.hresult), (Class::Retriable, TIME_OUT), "{late}");
    }
}
