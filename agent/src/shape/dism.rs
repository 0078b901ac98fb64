//! DISM: exit codes, `/CheckHealth`, `/Get-Packages`. Asked with `/English`, so that the words are these.

use crate::host::StoreHealth;

/// What an exit code of an installer comes to: the HRESULT, 0 for success, and whether a reboot completes it. DISM exits
/// with HRESULTs or Win32 codes; wusa and Windows Installer with the same and these: 3010 success with a reboot, 1641
/// success and the reboot is under way.
pub(crate) fn exit_code(code: u32) -> (u32, bool) {
    match code {
        0 => (0, false),
        1641 | 3010 => (0, true),
        win32 if win32 <= 0xFFFF => (0x8007_0000 | win32, false),
        hresult => (hresult, false),
    }
}

/// Reads `/Cleanup-Image /CheckHealth`; `None` for an answer nobody knows.
pub(crate) fn health(output: &str) -> Option<StoreHealth> {
    let has = |words: &str| output.contains(words);
    if has("No component store corruption detected") {
        Some(StoreHealth::Healthy)
    } else if has("The component store is repairable") {
        Some(StoreHealth::Repairable)
    } else if has("The component store cannot be repaired") || has("The component store is not repairable") {
        Some(StoreHealth::Corrupt)
    } else {
        None
    }
}

/// How far a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackageState {
    Installed,
    /// Installed up to a reboot.
    InstallPending,
    /// Not on the machine, or on its way off.
    Other,
}

/// Reads `/Get-Packages /Format:Table` into identities and states.
pub(crate) fn packages(output: &str) -> Vec<(String, PackageState)> {
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim);
        let identity = cells.next().filter(|id| id.contains('~'))?.to_owned();
        let state = match cells.next()? {
            "Installed" => PackageState::Installed,
            "Install Pending" => PackageState::InstallPending,
            _ => PackageState::Other,
        };
        Some((identity, state))
    };
    output.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_hresults() {
        for (code, is) in [
            (0, (0, false)),
            (3010, (0, true)),
            (1641, (0, true)),
            (1618, (0x8007_0652, false)),
            (112, (0x8007_0070, false)),
            (0x800F_0922, (0x800F_0922, false)),
            (0x0024_0006, (0x0024_0006, false)),
            (0x8024_0017, (0x8024_0017, false)),
        ] {
            assert_eq!(exit_code(code), is, "{code:#X}");
        }
    }

    #[test]
    fn health_is_what_the_words_say() {
        let answer = |line: &str| format!("\r\nDeployment Image Servicing and Management tool\r\n\r\n{line}\r\n");
        assert_eq!(health(&answer("No component store corruption detected.")), Some(StoreHealth::Healthy));
        assert_eq!(health(&answer("The component store is repairable.")), Some(StoreHealth::Repairable));
        assert_eq!(health(&answer("The component store cannot be repaired.")), Some(StoreHealth::Corrupt));
        assert_eq!(health(&answer("The operation completed successfully.")), None);
        assert_eq!(health(""), None, "an empty answer is none");
    }

    #[test]
    fn packages_are_read_from_the_table() {
        let table = "Packages listing:\r\n\r\n\
            ------------------------------------------------- | --------- | ----------- | ---------------\r\n\
            Package Identity                                  | State     | Release Type| Install Time   \r\n\
            ------------------------------------------------- | --------- | ----------- | ---------------\r\n\
            Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.2582.1.10 | Install Pending | Security Update | 7/9/2024 7:00 PM\r\n\
            Package_for_KB5039889~31bf3856ad364e35~amd64~~10.0.9258.1 | Installed | Update | 7/9/2024 6:58 PM\r\n\
            Package_for_Old~31bf3856ad364e35~amd64~~1.1 | Superseded | Update | 7/9/2023 6:58 PM\r\n\r\n\
            The operation completed successfully.\r\n";
        let read = packages(table);
        let states: Vec<_> = read.iter().map(|(_, s)| *s).collect();
        assert_eq!(states, [PackageState::InstallPending, PackageState::Installed, PackageState::Other]);
        assert!(read[0].0.starts_with("Package_for_RollupFix~"));
        assert_eq!(packages("no table"), []);
    }
}
