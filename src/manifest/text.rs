//! The text of a file that a person wrote.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Reads a file as text.
///
/// # Errors
/// It can not be read, or is no text: the message says what it looks like instead.
pub fn read(path: &Path) -> Result<String> {
    text(std::fs::read(path)?).map_err(|why| Error::new(ErrorKind::InvalidData, why))
}

fn text(bytes: Vec<u8>) -> std::result::Result<String, &'static str> {
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    match String::from_utf8(bytes) {
        _ if utf16 => Err("it is UTF-16: save it as UTF-8"),
        // A text of UTF-16 without its mark is one of UTF-8 with these between.
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("no text in UTF-8: it is of another encoding, or no text at all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_by_what_it_looks_like() {
        assert_eq!(text("seed: ü".as_bytes().to_vec()), Ok("seed: ü".to_owned()));
        let little: Vec<u8> = "\u{feff}seed: 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(little.clone()), Err("it is UTF-16: save it as UTF-8"));
        for bytes in [little[2..].to_vec(), vec![0x7f, b'E', b'L', b'F', 0xff], b"seed: \xfc".to_vec()] {
            assert!(text(bytes).is_err_and(|why| why.starts_with("no text in UTF-8")));
        }
    }
}
