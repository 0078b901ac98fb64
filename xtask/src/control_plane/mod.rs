//! The binaries of a real control plane: found in `KUBEBUILDER_ASSETS` or the cache, else built by Go, once.
//!
//! The versions are those of `tests/cluster/go.mod`; nothing else names them.

mod build;
mod versions;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::workspace;
use versions::Versions;

/// Where each program of the control plane is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Binaries {
    /// The store behind the API server.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// Node lifecycle, garbage collection, disruption budgets, Deployments.
    pub kube_controller_manager: PathBuf,
    /// Puts pods on nodes.
    pub kube_scheduler: PathBuf,
    /// The client, of the same version.
    pub kubectl: PathBuf,
    /// Renders the charts.
    pub helm: PathBuf,
}

/// One program: its file name here, and the Go package that builds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tool {
    name: &'static str,
    package: &'static str,
}

/// All programs, in the order in which Go builds them.
const TOOLS: [Tool; 6] = [
    Tool { name: "etcd", package: "go.etcd.io/etcd/server/v3" },
    Tool { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
    Tool { name: "kube-controller-manager", package: "k8s.io/kubernetes/cmd/kube-controller-manager" },
    Tool { name: "kube-scheduler", package: "k8s.io/kubernetes/cmd/kube-scheduler" },
    Tool { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" },
    Tool { name: "helm", package: "helm.sh/helm/v4/cmd/helm" },
];

/// Finds every binary of the control plane, and builds those that are missing.
///
/// # Guarantees
/// Several callers at once build only once (a lock file in the cache), and nobody sees a half-written binary.
///
/// # Errors
/// `KUBEBUILDER_ASSETS` holds another minor version, Go is missing or too old, or the build fails.
pub fn ensure() -> Result<Binaries> {
    let module = workspace::root().join("tests/cluster");
    let versions = Versions::read(&module.join("go.mod"))?;
    let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if let Some(assets) = &assets {
        check_assets(assets, &versions)?;
    }
    let cache = workspace::cache_dir()?.join("control-plane").join(versions.folder());
    let missing = || -> Vec<Tool> {
        TOOLS.into_iter().filter(|tool| locate(tool.name, assets.as_deref(), &cache).is_none()).collect()
    };
    if !missing().is_empty() {
        let _lock = lock(&cache)?;
        // Another process may have built them while this one waited for the lock.
        let missing = missing();
        if !missing.is_empty() {
            build::install(&module, &versions, &missing, &cache)?;
        }
    }
    Binaries::locate(assets.as_deref(), &cache)
}

impl Binaries {
    fn locate(assets: Option<&Path>, cache: &Path) -> Result<Self> {
        let find = |name: &str| {
            locate(name, assets, cache).with_context(|| format!("{name} is missing in {}", cache.display()))
        };
        Ok(Self {
            etcd: find("etcd")?,
            kube_apiserver: find("kube-apiserver")?,
            kube_controller_manager: find("kube-controller-manager")?,
            kube_scheduler: find("kube-scheduler")?,
            kubectl: find("kubectl")?,
            helm: find("helm")?,
        })
    }
}

/// The file of one program: of the assets folder before the cache.
fn locate(name: &str, assets: Option<&Path>, cache: &Path) -> Option<PathBuf> {
    assets.into_iter().chain([cache]).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Refuses assets whose API server is of another minor version: the controller-manager and the scheduler, which an
/// envtest folder does not hold, must not be newer than the API server.
fn check_assets(assets: &Path, versions: &Versions) -> Result<()> {
    let apiserver = assets.join("kube-apiserver");
    if !apiserver.is_file() {
        return Ok(());
    }
    let output = Command::new(&apiserver).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", apiserver.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let wanted = format!(" v{}.{}.", versions.major()?, versions.minor()?);
    ensure!(
        text.contains(&wanted),
        "KUBEBUILDER_ASSETS: its kube-apiserver says `{text}`, but {} is needed; unset the variable to build it",
        versions.kubernetes
    );
    Ok(())
}

/// Takes the lock of one cache folder; it is released when the file is dropped, also by a crash.
fn lock(cache: &Path) -> Result<File> {
    let parent = cache.parent().unwrap_or(cache);
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let name = cache.file_name().unwrap_or_default().to_string_lossy();
    let path = parent.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        tracing::info!("waiting for another process that builds the control plane");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}
