//! The cluster library on real servers: what it promises about isolation, rights and left-over processes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use xtask::cluster::{Cluster, Options, registry};

/// One cluster for all questions that leave it as it was: each start takes 5 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_its_promises() {
    let dir = scratch("promises");
    let cluster = Cluster::up(Options::new(&dir)).await.unwrap();
    the_rights_are_those_that_ship(&cluster).await;
    only_the_operator_makes_agent_pods(&cluster).await;
    strangers_are_kept_out(&cluster).await;
    requests_of_the_operator_are_on_record(&cluster).await;
    a_killed_server_comes_back(&cluster);
    a_second_cluster_does_not_meet_the_first(&cluster).await;
    let pids = pids(&cluster);
    assert_eq!(pids.len(), 4, "{pids:?}");
    drop(cluster);
    assert_eq!(living(&pids), Vec::<i32>::new());
    std::fs::remove_dir_all(&dir).unwrap();
}

/// SIGKILL of the owner, half-way and when all is up: the guardian ends what it leaves.
#[test]
fn nothing_outlives_a_killed_owner() {
    let dir = scratch("killed");
    let mut owner = xtask(&["cluster", "up", "--dir", dir.to_str().unwrap()]);
    let mut owner = owner.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pids = wait_for("a second process", || Some(recorded(&dir)).filter(|pids| pids.len() >= 2));
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for("the end of all processes", || living(&pids).is_empty().then_some(()));
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The three commands, as a person uses them.
#[test]
fn the_command_line_makes_lists_and_ends_a_cluster() {
    let dir = scratch("cli");
    let path = dir.to_str().unwrap();
    let up = xtask(&["cluster", "up", "--dir", path]).output().unwrap();
    assert!(up.status.success(), "{}", stderr(&up));
    let kubeconfig = String::from_utf8(up.stdout).unwrap();
    assert_eq!(kubeconfig.lines().last(), Some(format!("{path}/kubeconfig").as_str()));
    let pids = recorded(&dir);
    assert_eq!(living(&pids), pids);
    let again = xtask(&["cluster", "up", "--dir", path]).output().unwrap();
    assert!(stderr(&again).contains("a cluster runs in"), "{}", stderr(&again));
    assert!(registry::list().unwrap().iter().any(|entry| entry.dir == dir && entry.processes.len() == 4));
    let down = xtask(&["cluster", "down", "--dir", path]).output().unwrap();
    assert!(down.status.success(), "{}", stderr(&down));
    assert_eq!(living(&pids), Vec::<i32>::new());
    assert!(!registry::list().unwrap().iter().any(|entry| entry.dir == dir));
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A fresh machine without Go hears it in one line; an empty cache stands for the fresh machine.
#[test]
fn without_go_the_missing_program_is_named() {
    let dir = scratch("no-go");
    let mut up = xtask(&["cluster", "up", "--dir", dir.join("cluster").to_str().unwrap()]);
    up.env("PATH", "/nonexistent").env("WINDLASS_CACHE", dir.join("cache")).env_remove("KUBEBUILDER_ASSETS");
    let output = up.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.lines().count() == 1 && said.contains("go is not installed"), "{said}");
    std::fs::remove_dir_all(&dir).unwrap();
}

async fn the_rights_are_those_that_ship(cluster: &Cluster) {
    let operator = cluster.operator_client().await.unwrap();
    Api::<Node>::all(operator.clone()).list(&ListParams::default()).await.unwrap();
    let error =
        Api::<Secret>::namespaced(operator.clone(), "kube-system").list(&ListParams::default()).await.unwrap_err();
    assert!(is_forbidden(&error), "{error}");
    let error = Api::<Node>::all(operator).delete("win-1", &DeleteParams::default()).await.unwrap_err();
    assert!(is_forbidden(&error), "{error}");
}

async fn only_the_operator_makes_agent_pods(cluster: &Cluster) {
    let admin = cluster.client().await.unwrap();
    let parameters =
        Api::<ConfigMap>::namespaced(admin.clone(), "windlass-system").get("windlass-agents").await.unwrap();
    let image = parameters.data.unwrap()["image"].clone();
    let create = async |client: &kube::Client, image: &str| {
        let pods: Api<Pod> = Api::namespaced(client.clone(), "windlass-agents");
        pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod(image)).await
    };
    let operator = cluster.operator_client().await.unwrap();
    create(&operator, &image).await.unwrap();
    let error = create(&operator, "docker.io/library/miner").await.unwrap_err();
    assert!(error.to_string().contains("the image in this namespace has to be"), "{error}");
    let error = create(&admin, &image).await.unwrap_err();
    assert!(error.to_string().contains("may create pods in this namespace"), "{error}");
}

async fn strangers_are_kept_out(cluster: &Cluster) {
    let get = async |client: reqwest::Client| client.get(format!("{}/api/v1/nodes", cluster.server())).send().await;
    let authority = reqwest::Certificate::from_pem(&std::fs::read(cluster.dir().join("pki/ca.crt")).unwrap()).unwrap();
    let anonymous = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    assert_eq!(get(anonymous).await.unwrap().status(), 403);
    let distrustful = reqwest::Client::new();
    assert!(get(distrustful).await.is_err(), "the server's certificate is of no public authority");
}

async fn requests_of_the_operator_are_on_record(cluster: &Cluster) {
    let before = cluster.audit().unwrap().len();
    Api::<Node>::all(cluster.operator_client().await.unwrap()).list(&ListParams::default()).await.unwrap();
    Api::<Node>::all(cluster.client().await.unwrap()).list(&ListParams::default()).await.unwrap();
    let requests = cluster.audit().unwrap().split_off(before);
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!((requests[0].verb.as_str(), requests[0].resource.as_str(), requests[0].code), ("list", "nodes", 200));
    assert_eq!(requests[0].user, "system:serviceaccount:windlass-system:windlass");
}

fn a_killed_server_comes_back(cluster: &Cluster) {
    let pid = cluster.pid("kube-scheduler").unwrap();
    cluster.kill("kube-scheduler").unwrap();
    assert_eq!((cluster.pid("kube-scheduler"), living(&[pid])), (None, vec![]));
    cluster.restart("kube-scheduler").unwrap();
    assert_ne!(cluster.pid("kube-scheduler").unwrap(), pid);
}

async fn a_second_cluster_does_not_meet_the_first(first: &Cluster) {
    let dir = scratch("second");
    let second = Cluster::up(Options::new(&dir)).await.unwrap();
    assert_ne!(first.server(), second.server());
    let attached = Cluster::attach(&dir).unwrap();
    assert_eq!(attached.server(), second.server());
    drop(attached);
    assert_eq!(living(&pids(&second)).len(), 4, "dropping an attached cluster ends nothing");
    drop(second);
    std::fs::remove_dir_all(&dir).unwrap();
}

fn pod(image: &str) -> Pod {
    let pod = serde_json::json!({
        "metadata": {"name": "agent"},
        "spec": {"containers": [{"name": "agent", "image": image}], "automountServiceAccountToken": false},
    });
    serde_json::from_value(pod).unwrap()
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("windlass-cluster-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn pids(cluster: &Cluster) -> Vec<i32> {
    let names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    names.iter().filter_map(|name| cluster.pid(name)).collect()
}

/// The pids in a cluster's record; empty while there is none.
fn recorded(dir: &Path) -> Vec<i32> {
    let json = std::fs::read(dir.join("processes.json")).unwrap_or_default();
    let records: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap_or_default();
    records.iter().filter_map(|record| i32::try_from(record["pid"].as_i64()?).ok()).collect()
}

/// Those of `pids` that still run; one that only waits to be reaped does not.
fn living(pids: &[i32]) -> Vec<i32> {
    let state = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    pids.iter().copied().filter(|pid| state(pid).is_some_and(|state| state != 'Z')).collect()
}

fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited a minute for {what}");
}
