//! The status of a pod, computed from the record of its containers. Pure, and a function of its inputs alone: times in
//! it are times of the record, so that an unchanged record gives an unchanged status and no write.

use super::{
    lifecycle::{Containers, PodFailure, State, Termination},
    pod::{ContainerView, PodView},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
        HostIP, PodCondition, PodIP, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use std::net::Ipv4Addr;

/// Address of every simulated machine: its kubelet listens on loopback.
pub const HOST_IP: &str = "127.0.0.1";

/// Pods of one machine have addresses `10.128.0.0/9`, 128 to a machine (a kubelet takes 110 pods).
const POD_NETWORK: u32 = 0x0a80_0000;

/// Address number `slot` of the pods on machine number `machine`.
pub fn pod_ip(machine: u16, slot: u8) -> String {
    // The low 16 bits of the machine and 7 of the slot are the host part of the /9.
    Ipv4Addr::from(POD_NETWORK | (u32::from(machine) << 7) | u32::from(slot & 0x7f)).to_string()
}

/// Whether the pod counts as ready: there are no readiness probes here, so a pod whose network is dead stays ready, as
/// it did on nodes in July 2024.
pub fn is_ready(containers: &Containers) -> bool {
    matches!(containers.state, State::Running | State::Stopping { .. })
}

/// Computes the status; `ip` is the pod's address once it has a sandbox.
pub fn of(pod: &PodView, containers: &Containers, ip: &str) -> PodStatus {
    let sandbox = has_sandbox(containers.state);
    let statuses = pod.containers.iter().map(|c| container_status(pod, c, containers)).collect();
    let init = pod.init_containers.iter().map(|c| init_status(pod, c, containers)).collect::<Vec<_>>();
    PodStatus {
        phase: Some(phase(containers).into()),
        reason: containers.pod_failure.map(|PodFailure::DeadlineExceeded| "DeadlineExceeded".into()),
        message: containers
            .pod_failure
            .map(|PodFailure::DeadlineExceeded| "Pod was active on the node longer than the specified deadline".into()),
        start_time: Some(Time(containers.admitted)),
        host_ip: Some(HOST_IP.into()),
        host_ips: Some(vec![HostIP { ip: HOST_IP.into() }]),
        pod_ip: sandbox.then(|| ip.to_owned()),
        pod_ips: sandbox.then(|| vec![PodIP { ip: ip.to_owned() }]),
        conditions: Some(conditions(pod, containers)),
        container_statuses: Some(statuses),
        init_container_statuses: (!init.is_empty()).then_some(init),
        ..PodStatus::default()
    }
}

fn has_sandbox(state: State) -> bool {
    !matches!(state, State::Waiting | State::Blocked | State::Creating { .. })
}

fn phase(containers: &Containers) -> &'static str {
    match (&containers.state, &containers.last) {
        (State::Ended, Some(ended)) if ended.exit_code == 0 && containers.pod_failure.is_none() => "Succeeded",
        (State::Ended, _) => "Failed",
        // Once started, a pod stays Running through the restarts of its containers.
        (State::Waiting | State::Blocked | State::Creating { .. }, None) => "Pending",
        _ => "Running",
    }
}

fn conditions(pod: &PodView, containers: &Containers) -> Vec<PodCondition> {
    let sandbox = has_sandbox(containers.state) && containers.state != State::Ended;
    let ready = is_ready(containers);
    let changed = ready_since(containers);
    let why = match containers.state {
        _ if ready => None,
        State::Ended if phase(containers) == "Succeeded" => Some(("PodCompleted", String::new())),
        State::Ended => Some(("PodFailed", String::new())),
        _ => Some(("ContainersNotReady", unready(pod))),
    };
    let of = |kind: &str, on: bool, at: Timestamp, why: Option<&(&str, String)>| PodCondition {
        type_: kind.into(),
        status: if on { "True" } else { "False" }.into(),
        reason: why.map(|w| w.0.into()),
        message: why.map(|w| w.1.clone()).filter(|m| !m.is_empty()),
        last_transition_time: Some(Time(at)),
        ..PodCondition::default()
    };
    let mut all = vec![
        of("PodReadyToStartContainers", sandbox, changed, None),
        of("Initialized", true, containers.admitted, None),
        of("Ready", ready, changed, why.as_ref()),
        of("ContainersReady", ready, changed, why.as_ref()),
    ];
    if !pod.scheduled {
        // Bound by hand (`spec.nodeName`), past the scheduler: then the kubelet writes this one.
        all.push(of("PodScheduled", true, containers.admitted, None));
    }
    all
}

/// When the pod became ready, or ceased to be.
fn ready_since(containers: &Containers) -> Timestamp {
    match (&containers.state, &containers.last) {
        (State::Running | State::Stopping { .. }, _) => containers.since,
        (_, Some(ended)) => ended.finished,
        (_, None) => containers.admitted,
    }
}

fn unready(pod: &PodView) -> String {
    let names: Vec<_> = pod.containers.iter().map(|c| c.name.as_str()).collect();
    format!("containers with unready status: [{}]", names.join(" "))
}

fn container_status(pod: &PodView, container: &ContainerView, containers: &Containers) -> ContainerStatus {
    let ready = is_ready(containers);
    let ended = containers.last.as_ref().map(|t| terminated(pod, container, containers, t));
    let final_state = containers.state == State::Ended;
    let (state, last_state) = if final_state { (ended, None) } else { (Some(present(pod, containers)), ended) };
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone(),
        image_id: container.image.clone(),
        container_id: has_sandbox(containers.state).then(|| container_id(pod, container, containers.restarts)),
        ready,
        started: Some(ready),
        restart_count: containers.restarts,
        state: state.or_else(|| Some(waiting("ContainerCreating", None))),
        last_state,
        ..ContainerStatus::default()
    }
}

/// The state of containers that did not end for good.
fn present(pod: &PodView, containers: &Containers) -> ContainerState {
    match containers.state {
        State::Running | State::Stopping { .. } => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(Time(containers.since)) }),
            ..ContainerState::default()
        },
        State::BackOff { .. } => {
            let text = format!("restarting failed container of pod {}/{}", pod.namespace, pod.name);
            waiting("CrashLoopBackOff", Some(text))
        }
        State::Waiting | State::Blocked | State::Creating { .. } | State::Ended => waiting("ContainerCreating", None),
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.into()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(pod: &PodView, container: &ContainerView, containers: &Containers, end: &Termination) -> ContainerState {
    let terminated = ContainerStateTerminated {
        container_id: Some(container_id(pod, container, containers.restarts)),
        exit_code: end.exit_code,
        reason: Some(end.reason.into()),
        started_at: Some(Time(end.started)),
        finished_at: Some(Time(end.finished)),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// Init containers complete as soon as there is a sandbox.
fn init_status(pod: &PodView, container: &ContainerView, containers: &Containers) -> ContainerStatus {
    let sandbox = has_sandbox(containers.state);
    let at = containers.admitted;
    let end = Termination { exit_code: 0, reason: "Completed", started: at, finished: at };
    let state = if sandbox { terminated(pod, container, containers, &end) } else { waiting("PodInitializing", None) };
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone(),
        image_id: container.image.clone(),
        container_id: sandbox.then(|| container_id(pod, container, 0)),
        ready: sandbox,
        started: Some(false),
        state: Some(state),
        ..ContainerStatus::default()
    }
}

/// An id of containerd's form (64 hexadecimal digits), another one for each container and restart.
fn container_id(pod: &PodView, container: &ContainerView, restart: i32) -> String {
    let name: u64 = container.name.bytes().fold(0, |hash, b| hash.wrapping_mul(31).wrapping_add(u64::from(b)));
    format!("containerd://{:0>32.32}{name:016x}{restart:016x}", pod.uid.replace('-', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::pod::Phase;

    fn pod() -> PodView {
        let json = serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "0a1b2c3d-0000-4000-8000-000000000001"},
            "spec": {"nodeName": "win-1", "initContainers": [{"name": "init"}], "containers": [{"name": "c", "image": "i"}]}
        });
        PodView::from_pod(&serde_json::from_value(json).expect("a pod")).expect("bound to a node")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn status(state: State, last: Option<i32>) -> serde_json::Value {
        let pod = pod();
        assert_eq!(pod.phase, Phase::Pending);
        let mut containers = Containers::adopt(&pod, at(0), at(1));
        containers.state = state;
        containers.since = at(5);
        containers.last =
            last.map(|exit_code| Termination { exit_code, reason: "Error", started: at(2), finished: at(4) });
        serde_json::to_value(of(&pod, &containers, "10.128.0.2")).expect("JSON")
    }

    fn condition<'a>(status: &'a serde_json::Value, kind: &str) -> &'a serde_json::Value {
        let all = status["conditions"].as_array().expect("conditions");
        all.iter().find(|c| c["type"] == kind).expect("this condition")
    }

    #[test]
    fn phases_follow_the_containers() {
        let ready_at = at(9);
        for (state, last, phase, ready) in [
            (State::Waiting, None, "Pending", "False"),
            (State::Blocked, None, "Pending", "False"),
            (State::Creating { ready_at }, None, "Pending", "False"),
            (State::Running, None, "Running", "True"),
            (State::Stopping { asked: at(7), started: at(5) }, None, "Running", "True"),
            (State::Creating { ready_at }, Some(255), "Running", "False"),
            (State::BackOff { until: ready_at }, Some(1), "Running", "False"),
            (State::Ended, Some(0), "Succeeded", "False"),
            (State::Ended, Some(1), "Failed", "False"),
            (State::Ended, None, "Failed", "False"),
        ] {
            let status = status(state, last);
            assert_eq!(status["phase"], phase, "{state:?} {last:?}");
            assert_eq!(condition(&status, "Ready")["status"], ready, "{state:?} {last:?}");
            assert_eq!(status["containerStatuses"][0]["ready"], ready == "True");
        }
    }

    #[test]
    fn a_pod_without_a_sandbox_says_container_creating() {
        let status = status(State::Blocked, None);
        assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
        assert_eq!(condition(&status, "PodReadyToStartContainers")["status"], "False");
        assert!(status.get("podIP").is_none());
        assert_eq!(status["initContainerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    }

    #[test]
    fn an_end_has_code_times_and_a_container_id_for_the_log() {
        let status = status(State::Ended, Some(3));
        let container = &status["containerStatuses"][0];
        let end = &container["state"]["terminated"];
        assert_eq!((&end["exitCode"], &end["finishedAt"]), (&3.into(), &"1970-01-01T00:00:04Z".into()));
        let id = container["containerID"].as_str().and_then(|id| id.strip_prefix("containerd://")).expect("an id");
        assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert_eq!(condition(&status, "Ready")["lastTransitionTime"], "1970-01-01T00:00:04Z");
        assert_eq!(condition(&status, "PodScheduled")["status"], "True", "bound by hand");
    }

    #[test]
    fn a_restarted_pod_remembers_how_it_ended() {
        let container = status(State::Running, Some(255))["containerStatuses"][0].clone();
        assert_eq!(container["lastState"]["terminated"]["exitCode"], 255);
        assert_eq!(container["state"]["running"]["startedAt"], "1970-01-01T00:00:05Z");
    }

    #[test]
    fn addresses_of_machines_do_not_meet() {
        assert_eq!(pod_ip(0, 2), "10.128.0.2");
        assert_eq!(pod_ip(1, 2), "10.128.0.130");
        assert_eq!(pod_ip(u16::MAX, 127), "10.255.255.255");
    }
}
