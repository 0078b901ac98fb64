//! What is in the cluster before anything runs: our charts, exactly as a user installs them, and the rights of winfleet.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Cluster, wait};
use crate::workspace;

/// Our charts, in the order in which they are installed.
pub(crate) const CHARTS: [&str; 2] = ["windlass-crds", "windlass"];
/// The namespace of the operator's release.
pub(super) const NAMESPACE: &str = "windlass-system";
/// What they are installed with. The operator runs as a process of this machine, so that it can be killed and measured: no
/// Deployment's pods. Simulated machines boot within seconds: one that is missing for longer is gone.
const VALUES: [&str; 2] = ["replicas=0", "operator.nodeGoneAfterSeconds=12"];
/// Rights of the simulated machines. They are no part of the product, so they are not in the chart.
const WINFLEET_RIGHTS: &str = include_str!("winfleet-rights.yaml");
/// How long the API server may take to establish the CRDs and to enforce the admission policy, in seconds.
const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster {
    /// Applies manifests (YAML or JSON, several documents are fine) by server-side apply, and returns what kubectl said.
    ///
    /// # Errors
    /// The API server refuses one of them; the message is kubectl's.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        let mut kubectl = self.kubectl();
        kubectl.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=windlass-install",
            "--filename=-",
        ]);
        run(kubectl, Some(manifests)).await
    }

    /// Upgrades the operator's release to these values beside those it has. A running operator keeps its arguments.
    ///
    /// # Errors
    /// The chart does not take them, or the API server refuses what comes of it.
    pub async fn set_values(&self, values: &[&str]) -> Result<()> {
        let mut helm = self.helm();
        helm.args(["upgrade", "windlass"]).arg(folder("windlass"));
        helm.args(["--namespace", NAMESPACE, "--reset-then-reuse-values"]);
        helm.args(set(values));
        run(helm, None).await.map(drop)
    }

    /// What helm believes to be part of the operator's release, as YAML.
    ///
    /// # Errors
    /// There is no such release.
    pub async fn release_manifest(&self) -> Result<String> {
        let mut helm = self.helm();
        helm.args(["get", "manifest", "windlass", "--namespace", NAMESPACE]);
        run(helm, None).await
    }

    /// Installs both charts by the README's two commands, and waits until they are in force. What helm does to a release
    /// (make its namespace, look at the cluster, delete what a chart dropped) `helm template` does not do: only so is it tested.
    pub(super) async fn install(&self) -> Result<()> {
        tracing::info!("installing the charts windlass-crds and windlass");
        let mut crds = self.helm();
        crds.args(["install", "windlass-crds"]).arg(folder("windlass-crds"));
        run(crds, None).await?;
        let mut operator = self.helm();
        operator.args(["install", "windlass"]).arg(folder("windlass"));
        operator.args(["--namespace", NAMESPACE, "--create-namespace"]);
        operator.args(set(&VALUES));
        run(operator, None).await?;
        self.apply(WINFLEET_RIGHTS).await?;
        let mut kubectl = self.kubectl();
        kubectl.args(["wait", "--for=condition=Established", "--all", "customresourcedefinitions", "--timeout"]);
        kubectl.arg(format!("{}s", PATIENCE.as_secs()));
        run(kubectl, None).await?;
        self.wait_for_admission_policy().await
    }

    /// `helm` as administrator, ready for its arguments; it ends with its future. It sees nothing of the user's own helm, and
    /// nothing of another cluster that once had our port.
    fn helm(&self) -> Command {
        let own = self.dir.join("helm");
        let mut helm = Command::new(&self.binaries().helm);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HELM_")) {
            helm.env_remove(name);
        }
        helm.env("KUBECONFIG", self.kubeconfig()).env("KUBECACHEDIR", own.join("kube"));
        helm.env("HELM_CACHE_HOME", own.join("cache")).env("HELM_CONFIG_HOME", own.join("config"));
        helm.env("HELM_DATA_HOME", own.join("data")).kill_on_drop(true);
        helm
    }

    /// The policy of the agents' namespace works a moment after it was made (0.1 to 0.5 s): until it refuses even an
    /// administrator's pod, nothing else may start.
    async fn wait_for_admission_policy(&self) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, "windlass-agents");
        let container = Container { name: "probe".into(), image: Some("probe".into()), ..Container::default() };
        let spec = PodSpec { containers: vec![container], ..PodSpec::default() };
        let metadata = ObjectMeta { name: Some("admission-probe".into()), ..ObjectMeta::default() };
        let pod = Pod { metadata, spec: Some(spec), status: None };
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let refused = async || match pods.create(&dry_run, &pod).await {
            Ok(_) => Ok(false),
            Err(error) if error.to_string().contains("ValidatingAdmissionPolicy") => Ok(true),
            Err(error) => Err(error.into()),
        };
        let what = "the admission policy of windlass-agents refuses a stranger's pod";
        wait::until(&self.processes, "kube-apiserver", what, PATIENCE, refused).await
    }
}

/// Renders one of our charts without a cluster (release and namespace are the README's), with `name=value` on top.
pub(crate) async fn render_chart(helm: &Path, chart: &str, values: &[&str]) -> Result<String> {
    let mut command = Command::new(helm);
    command.args(["template", chart]).arg(folder(chart));
    command.args(["--namespace", NAMESPACE]).kill_on_drop(true);
    command.args(set(values));
    run(command, None).await
}

/// Whether these manifests have the namespace of the operator's release: helm would delete it, and all in it, with the first
/// chart that does not.
pub fn owns_its_namespace(manifests: &str) -> bool {
    let line = |document: &str, wanted: &str| document.lines().any(|line| line == wanted);
    let own = |document: &str| line(document, "kind: Namespace") && line(document, &format!("  name: {NAMESPACE}"));
    manifests.split("\n---").any(own)
}

fn folder(chart: &str) -> PathBuf {
    workspace::root().join("charts").join(chart)
}

/// helm's arguments that set these values.
fn set<'a>(values: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    values.iter().flat_map(|value| ["--set", value])
}

/// Runs a command with `input` and returns its output; on failure the error has what it said on stderr.
async fn run(mut command: Command, input: Option<&str>) -> Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // Its own task: a program that prints before it has read everything must not block on us.
        let input = input.to_owned();
        tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
    }
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed ({}): {}", program, output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::owns_its_namespace;

    #[test]
    fn only_a_namespace_is_one() {
        let namespace = "---\n# Source: x\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: windlass-system\n";
        assert!(owns_its_namespace(namespace));
        assert!(owns_its_namespace(&format!("---\nkind: Secret\n{namespace}---\nkind: Secret\n")));
        assert!(!owns_its_namespace(&namespace.replace("-system", "-agents")));
        let inside = "---\nkind: Role\nmetadata:\n  name: windlass\n  namespace: windlass-system\n";
        assert!(!owns_its_namespace(&format!("{}{inside}", namespace.replace("-system", "-agents"))));
    }
}
