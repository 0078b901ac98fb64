//! The versions of the control plane, read from `tests/cluster/go.mod`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What `go.mod` pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Versions {
    /// The oldest Go that builds the module, such as `1.26.0`.
    pub go: String,
    /// Of kube-apiserver, controller-manager, scheduler and kubectl, such as `v1.36.3`.
    pub kubernetes: String,
    etcd: String,
    helm: String,
}

impl Versions {
    /// Reads a `go.mod`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        Ok(Self {
            go: version_of("go", text)?,
            kubernetes: version_of("k8s.io/kubernetes", text)?,
            etcd: version_of("go.etcd.io/etcd/server/v3", text)?,
            helm: version_of("helm.sh/helm/v4", text)?,
        })
    }

    /// The name of the cache folder: it says what is inside, so that another version gets another folder.
    pub fn folder(&self) -> String {
        format!("k8s-{}_etcd-{}_helm-{}", self.kubernetes, self.etcd, self.helm)
    }

    /// `1` of `v1.36.3`.
    pub fn major(&self) -> Result<&str> {
        self.part(0)
    }

    /// `36` of `v1.36.3`.
    pub fn minor(&self) -> Result<&str> {
        self.part(1)
    }

    fn part(&self, index: usize) -> Result<&str> {
        let part = self.kubernetes.trim_start_matches('v').split('.').nth(index);
        part.with_context(|| format!("`{}` is not a version of Kubernetes", self.kubernetes))
    }
}

/// The second word of the first line whose first word is `module` and that has a version (the `tool` block has none).
fn version_of(module: &str, text: &str) -> Result<String> {
    text.lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .filter_map(|line| line.strip_prefix(module)?.strip_prefix(' ')?.split_whitespace().next())
        .map(str::to_owned)
        .next()
        .with_context(|| format!("no version of {module}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO_MOD: &str = "module m\n\ngo 1.26.0\n\ntool (\n\tgo.etcd.io/etcd/server/v3\n\thelm.sh/helm/v4/cmd/helm\n)\n\n\
        require k8s.io/kubernetes v1.36.3\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.6.8 // indirect\n\
        \thelm.sh/helm/v4 v4.2.4 // indirect\n)\n";

    #[test]
    fn versions_come_from_go_mod() {
        let versions = Versions::parse(GO_MOD).unwrap();
        assert_eq!(versions.folder(), "k8s-v1.36.3_etcd-v3.6.8_helm-v4.2.4");
        assert_eq!((versions.go.as_str(), versions.major().unwrap(), versions.minor().unwrap()), ("1.26.0", "1", "36"));
    }

    #[test]
    fn a_missing_module_is_named() {
        let error = Versions::parse("go 1.26.0\n").unwrap_err();
        assert_eq!(error.to_string(), "no version of k8s.io/kubernetes");
    }
}
