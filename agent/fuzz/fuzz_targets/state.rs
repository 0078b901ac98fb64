//! The state file: whatever lies there, it is told apart or read, and what was read is written as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_agent::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    // As it lies there, and with a good checksum around it: else nothing behind the checksum would ever be reached.
    for file in [bytes.to_vec(), fuzzing::sealed(bytes)] {
        if let Ok(written) = fuzzing::state(&file) {
            assert_eq!(fuzzing::state(&written), Ok(written.clone()));
        }
    }
});
