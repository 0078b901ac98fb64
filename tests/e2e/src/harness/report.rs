//! What a person needs when a story fails: what `kubectl` shows, and the operator's last words.

use super::Scene;
use super::stage::OPERATOR;
use super::story::STORY_LABEL;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use xtask::cluster::Cluster;

/// How long one kubectl may take, in seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many lines of the operator's log about the story are shown.
const LOG_LINES: usize = 25;

/// Writes it to `<folder>/<story>/report.txt`, and returns it.
pub async fn write(scene: &Scene, folder: &Path) -> String {
    let mut text = match scene.stage.cluster() {
        Ok(cluster) => of_cluster(scene, &cluster).await,
        Err(error) => error.to_string(),
    };
    let folder = folder.join(scene.name());
    let path = folder.join("report.txt");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, &text));
    if written.is_ok() {
        let _ = write!(text, "\n(this is {}; the logs of all processes are beside it)", path.display());
    }
    text
}

/// Removes the report of an earlier run: the story has gone well.
pub fn remove(scene: &Scene, folder: &Path) {
    // There is none, mostly.
    let _ = fs::remove_dir_all(folder.join(scene.name()));
}

async fn of_cluster(scene: &Scene, cluster: &Cluster) -> String {
    let mut text = String::from("what was there:\n");
    let story = scene.name();
    let mine = |output: String| lines_with(&output, story);
    let table = kubectl(cluster, &["get", "uro,nu,nsnap", "--output=wide"]).await;
    let _ = writeln!(text, "{}", mine(table));
    let _ = writeln!(text, "{}", kubectl(cluster, &["get", "nodes", "-l", &format!("{STORY_LABEL}={story}")]).await);
    for node in
        kubectl(cluster, &["get", "nodes", "-l", &format!("{STORY_LABEL}={story}"), "--output=name"]).await.lines()
    {
        let machine = node.trim_start_matches("node/");
        match scene.stage.sim.inside(machine).await {
            Ok(inside) => _ = writeln!(text, "inside {machine}: {inside:?}"),
            Err(error) => _ = writeln!(text, "inside {machine}: {error:#}"),
        }
    }
    for update in mine(kubectl(cluster, &["get", "nu", "--output=name"]).await).lines() {
        let _ = writeln!(text, "{}", status_only(&kubectl(cluster, &["describe", update.trim()]).await));
    }
    let alive = if cluster.pid(OPERATOR).is_some() { "lives" } else { "is dead" };
    let log = fs::read(cluster.log(OPERATOR)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let all: Vec<&str> = log.lines().filter(|line| line.contains(story)).collect();
    let _ = writeln!(text, "the operator {alive}; the end of what it says about {story}:");
    all.iter().skip(all.len().saturating_sub(LOG_LINES)).for_each(|line| _ = writeln!(text, "  {line}"));
    text
}

/// The header lines of a table and the lines about the story.
fn lines_with(table: &str, story: &str) -> String {
    let wanted = |line: &&str| line.contains(story) || line.starts_with("NAME") || line.starts_with("Error");
    table.lines().filter(wanted).collect::<Vec<_>>().join("\n")
}

/// The spec of a node update is long and the story's own; its status is what it came to.
fn status_only(description: &str) -> String {
    let (name, status) = (description.lines().next(), description.find("\nStatus:"));
    format!("{}{}", name.unwrap_or_default(), status.and_then(|at| description.get(at..)).unwrap_or(description))
}

async fn kubectl(cluster: &Cluster, arguments: &[&str]) -> String {
    let mut kubectl: Command = cluster.kubectl();
    match tokio::time::timeout(PATIENCE, kubectl.args(arguments).output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("kubectl {arguments:?} gave no answer"),
    }
}
