//! Offline packages: the folder's manifest, which the request pins by its checksum.

use crate::folder::is_below;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use windlass_protocol::{Build, KbId, OfferedUpdate, PinnedUpdate};

/// Name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.json";

/// Where folders of packages must lie: below the agent's own folder, which only SYSTEM and Administrators may write.
pub const ALLOWED: &str = r"C:\ProgramData\Windlass\packages";

/// Largest manifest in bytes, ours: 1 MiB is some thousand packages.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// What a folder of packages holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The packages.
    pub packages: Vec<Package>,
}

/// One update as packages on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Package {
    /// What a catalogue would say of it.
    #[serde(flatten)]
    pub offer: Offer,
    /// Whether it must be installed alone.
    #[serde(default)]
    pub exclusive: bool,
    /// Name of the package as DISM lists it, up to the first `~`; where it is not said, the build decides.
    #[serde(default)]
    pub package_name: Option<String>,
    /// The file that is installed, and the checkpoints it builds on (Windows Server 2025), which lie beside it.
    pub files: Vec<File>,
}

/// What a catalogue would say of a package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Identity of the update.
    pub update_id: String,
    /// Revision of that identity.
    pub revision: u32,
    /// Its KB.
    pub kb: KbId,
    /// Its title.
    pub title: String,
    /// Its classification (`Security Updates`, ...).
    pub classification: String,
    /// When it was published.
    pub released: jiff::Timestamp,
    /// The build a machine has after it.
    pub target_build: Build,
}

/// One file of a package. The first of a package is the one that is installed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Its name in the folder: `.msu` or `.cab`.
    pub name: String,
    /// SHA-256 of its content, 64 hexadecimal digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl Package {
    /// The package as a catalogue would offer it.
    pub fn offered(&self) -> OfferedUpdate {
        let Offer { update_id, revision, kb, title, classification, released, target_build } = self.offer.clone();
        let size_bytes = self.files.iter().map(|f| f.size_bytes).sum();
        let target_build = Some(target_build);
        OfferedUpdate { update_id, revision, kb, title, classification, released, size_bytes, target_build }
    }

    /// Whether this is the update that is pinned.
    pub fn is(&self, pinned: &PinnedUpdate) -> bool {
        let offer = &self.offer;
        offer.update_id.eq_ignore_ascii_case(&pinned.update_id)
            && offer.revision == pinned.revision
            && offer.kb == pinned.kb
    }
}

impl Manifest {
    /// Reads a manifest whose checksum is known.
    ///
    /// # Errors
    /// One sentence that names the field: another checksum, no manifest, a file name with a path or of another kind, a
    /// checksum that is none, a package without files.
    pub fn read(bytes: &[u8], sha256: &str) -> Result<Self, String> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(format!("{MANIFEST}: {} bytes, at most {MAX_MANIFEST_BYTES} are read", bytes.len()));
        }
        let here = hex(&Sha256::digest(bytes));
        if !here.eq_ignore_ascii_case(sha256) {
            return Err(format!("manifestSha256: {MANIFEST} has {here}, {sha256} is asked"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| format!("{MANIFEST}: {e}"))?;
        manifest.packages.iter().try_for_each(check)?;
        Ok(manifest)
    }
}

fn check(package: &Package) -> Result<(), String> {
    let kb = package.offer.kb;
    if package.files.is_empty() {
        return Err(format!("files: {kb} has none"));
    }
    for file in &package.files {
        if !is_package_name(&file.name) {
            return Err(format!("name: {:?} of {kb} is no name of a .msu or .cab file", file.name));
        }
        if file.sha256.len() != 64 || !file.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("sha256: that of {} is not 64 hexadecimal digits", file.name));
        }
    }
    Ok(())
}

/// A plain file name: letters, digits, `.`, `-`, `_`, so that it can be no path, device, stream or option.
fn is_package_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let lower = name.to_ascii_lowercase();
    let device = ["con", "nul", "aux", "prn", "com", "lpt"].iter().any(|d| lower.starts_with(&format!("{d}.")));
    plain
        && !device
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && [".msu", ".cab"].iter().any(|end| lower.ends_with(end))
}

/// Whether a folder of packages may be used: below [`ALLOWED`], written plainly.
pub fn is_allowed(folder: &str) -> bool {
    is_below(folder, ALLOWED)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a String can not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(file: &str, sum: &str) -> String {
        format!(
            r#"{{"packages":[{{"updateId":"id-1","revision":1,"kb":"KB5043080","title":"2024-09 Checkpoint",
            "classification":"Security Updates","released":"2024-09-10T00:00:00Z","targetBuild":"10.0.26100.1742",
            "packageName":"Package_for_RollupFix","files":[{{"name":"{file}","sha256":"{sum}","sizeBytes":7}},
            {{"name":"checkpoint.msu","sha256":"{sum}","sizeBytes":3}}]}}]}}"#
        )
    }

    fn read(text: &str) -> Result<Manifest, String> {
        Manifest::read(text.as_bytes(), &hex(&Sha256::digest(text)).to_uppercase())
    }

    #[test]
    fn a_manifest_is_believed_with_its_sum_only() {
        let text = manifest("windows11.0-kb5043080-x64.msu", &"0a".repeat(32));
        let package = read(&text).expect("a manifest").packages.remove(0);
        assert_eq!(package.offered().size_bytes, 10);
        let mut pinned = PinnedUpdate { update_id: "ID-1".into(), revision: 1, kb: package.offer.kb };
        assert!(package.is(&pinned));
        pinned.revision = 2;
        assert!(!package.is(&pinned));
        assert!(Manifest::read(text.as_bytes(), &"0".repeat(64)).is_err_and(|e| e.starts_with("manifestSha256:")));
    }

    #[test]
    fn a_file_name_is_no_path() {
        let sum = "0a".repeat(32);
        for name in ["..\\\\x.msu", "a/b.cab", "x.exe", "nul.cab", ".msu", "/x.msu", "x.msu:s.msu", "-x.msu", "%x%.msu"]
        {
            assert!(read(&manifest(name, &sum)).is_err_and(|e| e.starts_with("name:")), "{name}");
        }
        assert!(read(&manifest("x.msu", "zz")).is_err_and(|e| e.starts_with("sha256:")));
        assert!(read(r#"{"packages":[{}]}"#).is_err_and(|e| e.starts_with(MANIFEST)));
    }

    #[test]
    fn only_folders_of_the_agent_are_allowed() {
        assert!(is_allowed(r"C:\ProgramData\Windlass\packages\2024-09"));
        assert!(is_allowed(r"c:\programdata\windlass\PACKAGES\a\b"));
        for folder in [
            "",
            r"C:\",
            r"C:\ProgramData\Windlass\packages",
            r"C:\ProgramData\Windlass\packages\",
            r"C:\ProgramData\Windlass\packages\..\x",
            r"C:\ProgramData\Windlass\packagesx\y",
            r"C:\ProgramData\Windlass\packages\a\..\..\..",
            r"C:\ProgramData\Windlass\packages\a/../b",
            r"\\server\share",
            r"C:\ProgramData\Windlass\packagesé\x",
        ] {
            assert!(!is_allowed(folder), "{folder}");
        }
    }
}
