//! What is in the cluster before anything runs: our charts, exactly as a user installs them, and the rights of winfleet.

use std::path::Path;
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

    /// Sets values of the operator's chart beside those it has, as `helm upgrade` does. A running operator keeps its arguments.
    ///
    /// # Errors
    /// The chart does not take them, or the API server refuses what comes of it.
    pub async fn set_values(&self, values: &[&str]) -> Result<()> {
        let values = [&VALUES, values].concat();
        self.apply(&render_chart(&self.binaries().helm, "windlass", &values).await?).await.map(drop)
    }

    /// Installs both charts and waits until they are in force.
    pub(super) async fn install(&self) -> Result<()> {
        tracing::info!("installing the charts windlass-crds and windlass");
        for chart in CHARTS {
            let manifests = render_chart(&self.binaries().helm, chart, &VALUES).await?;
            self.apply(&manifests).await?;
        }
        self.apply(WINFLEET_RIGHTS).await?;
        let mut kubectl = self.kubectl();
        kubectl.args(["wait", "--for=condition=Established", "--all", "customresourcedefinitions", "--timeout"]);
        kubectl.arg(format!("{}s", PATIENCE.as_secs()));
        run(kubectl, None).await?;
        self.wait_for_admission_policy().await
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

/// Renders one of our charts as it is installed (release and namespace are the README's), with `name=value` on top.
pub(crate) async fn render_chart(helm: &Path, chart: &str, values: &[&str]) -> Result<String> {
    let mut command = Command::new(helm);
    command.args(["template", chart]).arg(workspace::root().join("charts").join(chart));
    command.args(["--namespace", "windlass-system"]).kill_on_drop(true);
    command.args(values.iter().flat_map(|value| ["--set", value]));
    run(command, None).await
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
