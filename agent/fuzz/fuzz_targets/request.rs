//! Requests: whatever comes, it is refused in one line or read, and what was read is written and read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_agent::Run;
use windlass_protocol::{Request, RequestError};

fuzz_target!(|bytes: &[u8]| {
    let read = match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with('{') => Request::from_arg(text),
        _ => Request::from_json(bytes),
    };
    match read {
        Ok(request) => {
            match Request::from_arg(&request.to_arg()) {
                // Fields that were left out are written: what was just short enough no longer is.
                Err(RequestError::TooLarge(_)) => {}
                again => assert_eq!(again, Ok(request.clone())),
            }
            let node = request.node.clone();
            // Another node's is refused before anything is looked at; its own is taken up or names a field.
            assert!(Run::new(request.clone(), &format!("{node}-other")).is_err());
            let _ = Run::new(request, &node);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
