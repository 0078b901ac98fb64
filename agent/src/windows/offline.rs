//! Packages in a folder: what they are is said by a manifest whose checksum the request pins, and each file's checksum and
//! signature are checked before anything reads it.

use super::border::{Doing, unexpected};
use super::process::{Ended, Late, run};
use super::trust;
use crate::host::{FoundUpdate, HostError, HostResult, ItemResult, Presence};
use crate::packages::{File, MANIFEST, MAX_MANIFEST_BYTES, Manifest, Package, hex, is_allowed};
use crate::shape::dism::{PackageState, exit_code, packages};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_protocol::{Build, PinnedUpdate};

/// How long DISM may list packages, ours.
const LIST: Duration = Duration::from_mins(2);

/// How long an installer is listened to: six hours, ours, more than any deadline of a node update. It is never ended.
const INSTALL: Duration = Duration::from_hours(6);

/// The first build whose DISM takes a `.msu` on the running system: Windows Server 2022. Older ones have `wusa`.
const DISM_TAKES_MSU: Build = Build::new(10, 0, 20348, 0);

/// `ERROR_INVALID_DATA`: the manifest or a file is not what was asked.
const INVALID_DATA: u32 = 0x8007_000D;

/// `WU_E_NO_UPDATE`: the folder does not have it.
const NO_UPDATE: u32 = 0x8024_0024;

/// `CRYPT_E_HASH_VALUE`: a file is another one than the manifest says.
const WRONG_HASH: u32 = 0x8009_1007;

/// A folder of packages, its manifest checked.
pub(super) struct Folder {
    path: PathBuf,
    manifest: Manifest,
}

impl Folder {
    /// Reads the manifest.
    pub fn open(folder: &str, manifest_sha256: &str) -> HostResult<Self> {
        if !is_allowed(folder) {
            return Err(HostError::new(INVALID_DATA, format!("folder: {folder} is not below the agent's packages")));
        }
        Self::read(Path::new(folder), manifest_sha256)
    }

    fn read(path: &Path, manifest_sha256: &str) -> HostResult<Self> {
        let mut bytes = vec![];
        let file = fs::File::open(path.join(MANIFEST)).doing(MANIFEST)?;
        file.take(MAX_MANIFEST_BYTES as u64 + 1).read_to_end(&mut bytes).doing(MANIFEST)?;
        let manifest = Manifest::read(&bytes, manifest_sha256).map_err(|why| HostError::new(INVALID_DATA, why))?;
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// What the folder offers to a machine of build `here`, and what of it the machine has.
    pub fn find(&self, here: Build) -> HostResult<Vec<FoundUpdate>> {
        let args = ["/English", "/Online", "/Get-Packages", "/Format:Table"];
        let listed = done(run("dism.exe", &args, LIST, Late::Kill)?, "dism: /Get-Packages")?;
        let there = packages(&listed.output);
        if there.is_empty() {
            return Err(unexpected("dism: /Get-Packages: no table"));
        }
        let fits = |p: &&Package| p.offer.target_build.same_os(here);
        Ok(self.manifest.packages.iter().filter(fits).map(|p| found(p, here, &there)).collect())
    }

    /// Checks each file's checksum and signature: what "download" means for a folder.
    pub fn verify(&self, updates: &[PinnedUpdate]) -> Vec<ItemResult> {
        let check = |pin: &PinnedUpdate| match self.checked(pin) {
            Ok(_) => item(pin, 0, false),
            Err(e) => item(pin, e.hresult, false),
        };
        updates.iter().map(check).collect()
    }

    /// Installs each, one after the other; each file is checked first, again.
    pub fn install(&self, updates: &[PinnedUpdate], here: Build) -> HostResult<Vec<ItemResult>> {
        let mut items = vec![];
        for pin in updates {
            items.push(match self.checked(pin) {
                Ok(package) => {
                    let (hresult, reboot) = exit_code(add(&package, here)?.code);
                    item(pin, hresult, reboot)
                }
                Err(e) => item(pin, e.hresult, false),
            });
        }
        Ok(items)
    }

    /// The file to install of a pinned update, when all its files are what the manifest says, and signed by Microsoft.
    fn checked(&self, pin: &PinnedUpdate) -> HostResult<PathBuf> {
        let package = self.manifest.packages.iter().find(|p| p.is(pin));
        let package = package.ok_or_else(|| HostError::new(NO_UPDATE, format!("{MANIFEST}: has no {}", pin.kb)))?;
        for file in &package.files {
            let path = self.path.join(&file.name);
            has_hash(&path, file)?;
            trust::signed_by_microsoft(&path)?;
        }
        let first = package.files.first().ok_or_else(|| unexpected("a package without files"))?;
        Ok(self.path.join(&first.name))
    }
}

/// Adds a package. Checkpoints lie in the same folder, where DISM finds them by itself.
fn add(package: &Path, here: Build) -> HostResult<Ended> {
    let path = package.to_string_lossy();
    let is_msu = package.extension().is_some_and(|e| e.eq_ignore_ascii_case("msu"));
    if is_msu && here < DISM_TAKES_MSU {
        return run("wusa.exe", &[&path, "/quiet", "/norestart"], INSTALL, Late::LetGo);
    }
    let from = format!("/PackagePath:{path}");
    run("dism.exe", &["/English", "/Online", "/Add-Package", &from, "/Quiet", "/NoRestart"], INSTALL, Late::LetGo)
}

fn done(ended: Ended, what: &str) -> HostResult<Ended> {
    match exit_code(ended.code) {
        (0, _) => Ok(ended),
        (hresult, _) => Err(HostError::new(hresult, what)),
    }
}

fn item(pin: &PinnedUpdate, hresult: u32, reboot_required: bool) -> ItemResult {
    ItemResult { update_id: pin.update_id.clone(), revision: pin.revision, hresult, reboot_required }
}

fn found(package: &Package, here: Build, there: &[(String, PackageState)]) -> FoundUpdate {
    let listed = there.iter().filter(|(identity, _)| belongs(package, identity)).map(|(_, state)| *state);
    let states: Vec<_> = listed.collect();
    let presence = if states.contains(&PackageState::InstallPending) {
        Presence::PendingReboot
    } else if states.contains(&PackageState::Installed) || here >= package.offer.target_build {
        Presence::Installed
    } else {
        // A file is "downloaded" once this process has checked it, and no sooner.
        Presence::Offered
    };
    FoundUpdate { offer: package.offered(), presence, exclusive: package.exclusive, deadline: None }
}

/// Whether a package of DISM's list is this one: by the name that the manifest says, or by its KB; a rollup has one name
/// for all months, so its version must be the build that it leads to.
fn belongs(package: &Package, identity: &str) -> bool {
    let (name, version) =
        (identity.split('~').next().unwrap_or_default(), identity.rsplit('~').next().unwrap_or_default());
    let target = package.offer.target_build.to_string();
    let rollup = target.strip_prefix("10.0.").is_some_and(|t| version.starts_with(&format!("{t}.")));
    let named = package.package_name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name));
    let by_kb = name.eq_ignore_ascii_case(&format!("Package_for_{}", package.offer.kb));
    by_kb || (named && (rollup || !name.eq_ignore_ascii_case("Package_for_RollupFix")))
}

fn has_hash(path: &Path, file: &File) -> HostResult<()> {
    let mut stream = fs::File::open(path).doing(&file.name)?;
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let count = stream.read(&mut buffer).doing(&file.name)?;
        if count == 0 {
            break;
        }
        sum.update(buffer.get(..count).unwrap_or_default());
    }
    let here = hex(&sum.finalize());
    if here.eq_ignore_ascii_case(&file.sha256) {
        return Ok(());
    }
    Err(HostError::new(WRONG_HASH, format!("sha256: {} has {here}, the manifest says {}", file.name, file.sha256)))
}
