//! Folders that only SYSTEM and Administrators may write, and what lies in them.

/// Whether a path lies below a folder, and is written plainly: no `..`, no streams, no devices, nothing to be resolved.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let Some((start, below)) = path.split_at_checked(folder.len()) else { return false };
    start.eq_ignore_ascii_case(folder)
        && below.strip_prefix(['\\', '/']).is_some_and(|below| below.split(['\\', '/']).all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_a_folder_only_when_it_says_so_plainly() {
        let folder = r"C:\ProgramData\Windlass\requests";
        assert!(is_below(r"c:\programdata\windlass\REQUESTS\a\r.json", folder));
        for path in [
            r"C:\ProgramData\Windlass\requests",
            r"C:\ProgramData\Windlass\requests\",
            r"C:\ProgramData\Windlass\requests2\r.json",
            r"C:\ProgramData\Windlass\requests\..\state.json",
            r"C:\ProgramData\Windlass\requests\r.json:stream",
            r"\\?\C:\ProgramData\Windlass\requests\r.json",
            "",
        ] {
            assert!(!is_below(path, folder), "{path}");
        }
    }
}
