//! One machine, and how its update may go: each story is the base with some parts in another form.

use crate::simulate::Setup;
use serde_json::Value;
use std::time::Duration;
use winfleet::scenario::Scenario;

/// How long the API server takes for a call.
const LATENCY: Duration = Duration::from_millis(3);

/// What all stories have.
const BASE: &str = r#"
lasts: 2d
machines: [{names: [win-1], labels: {ring: only}, build: 10.0.20348.2461}]
updates: [{kb: KB5039227, released: 2024-06-11, targetBuilds: {10.0.20348: 10.0.20348.2527}}]
timings: {stage: 1m, install: 4m, reboot: 2m}
workloads: [{name: web, namespace: shop, replicas: 2, minAvailable: 0}]
manifests:
- apiVersion: windlass.dev/v1alpha1
  kind: SnapshotClass
  metadata: {name: simulated}
  spec: {provider: {simulated: {endpoint: "http://127.0.0.1:9440"}}}
- apiVersion: windlass.dev/v1alpha1
  kind: UpdatePolicy
  metadata: {name: standard}
  spec:
    strategy:
      type: InPlace
      inPlace:
        snapshot: {className: simulated, retain: 1h, timeout: 10m, restoreTimeout: 20m}
        install: {stageTimeout: 10m, timeout: 15m, rebootTimeout: 10m, maxReboots: 3, attempts: 2}
    drain: {timeout: 10m}
    verify:
      settle: 30s
      timeout: 10m
      failureThreshold: 2
      probes:
      - {name: ready, node: {readyFor: 30s}}
      - {name: build, build: {}}
      - {name: host, host: {}}
      - {name: network, pod: {image: probe, command: [net-probe.exe], timeout: 1m}}
- apiVersion: windlass.dev/v1alpha1
  kind: UpdateRing
  metadata: {name: only}
  spec:
    policyName: standard
    nodeSelector: {matchLabels: {ring: only}}
    soak: {duration: 5m, interval: 5m}
- apiVersion: windlass.dev/v1alpha1
  kind: UpdateRollout
  metadata: {name: june}
  spec: {rings: [only], updates: {classifications: [Security]}}
"#;

/// The stories: a name, and what takes the place of the base's parts.
pub const STORIES: &[(&str, &str)] = &[
    ("good", "{}"),
    (
        "two rounds",
        "updates: [{kb: KB5039227, released: 2024-06-11, rounds: 2, targetBuilds: {10.0.20348: 10.0.20348.2527}}]",
    ),
    (
        "the update service is broken after the first of two rounds",
        r"
updates: [{kb: KB5039227, released: 2024-06-11, rounds: 2, targetBuilds: {10.0.20348: 10.0.20348.2527}}]
faults: [{name: f, when: {phase: reboot}, effects: [updateServiceFails: {hresult: 0x80070005}]}]
",
    ),
    (
        "an update that needs no reboot",
        "updates: [{kb: KB5039227, released: 2024-06-11, rebootRequired: false, targetBuilds: {10.0.20348: 10.0.20348.2527}}]",
    ),
    (
        "a reboot is pending",
        "machines: [{names: [win-1], labels: {ring: only}, build: 10.0.20348.2461, rebootPending: true}]",
    ),
    (
        "a person keeps the node from us while the pending reboot is made",
        r#"
machines: [{names: [win-1], labels: {ring: only}, build: 10.0.20348.2461, rebootPending: true}]
acts: [{after: 3m, act: {patch: {kind: Node, name: win-1, patch: {metadata: {annotations: {windlass.dev/skip: "true"}}}}}}]
"#,
    ),
    (
        "somebody else claims the node while the pending reboot is made",
        r"
machines: [{names: [win-1], labels: {ring: only}, build: 10.0.20348.2461, rebootPending: true}]
acts: [{after: 3m, act: {patch: {kind: Node, name: win-1, patch: {metadata: {annotations: {windlass.dev/claimed-by: other}}}}}}]
",
    ),
    ("downloads fail", "faults: [{name: f, when: {phase: stage}, effects: [downloadFails: {hresult: 0x8024402C}]}]"),
    ("downloads take too long", "timings: {stage: 20m}"),
    (
        "somebody else claims the node while it downloads",
        r"
timings: {stage: 4m}
acts: [{after: 3m, act: {patch: {kind: Node, name: win-1, patch: {metadata: {annotations: {windlass.dev/claimed-by: other}}}}}}]
",
    ),
    (
        "a pod that would not come back",
        r"
manifests+:
- apiVersion: v1
  kind: Pod
  metadata: {name: lonely, namespace: shop}
  spec: {nodeName: win-1, containers: [{name: main, image: lonely}]}
",
    ),
    ("no pod may be evicted", "workloads: [{name: web, namespace: shop, replicas: 2, minAvailable: 2}]"),
    (
        "somebody takes the claim off while no pod may be evicted",
        r"
workloads: [{name: web, namespace: shop, replicas: 2, minAvailable: 2}]
acts: [{after: 3m, act: {patch: {kind: Node, name: win-1, patch: {metadata: {annotations: {windlass.dev/claimed-by: null}}}}}}]
",
    ),
    ("snapshots fail", "faults: [{name: f, when: {phase: snapshot}, effects: [snapshotFails]}]"),
    ("snapshots take too long", "hypervisor: {snapshotTakes: 20m}"),
    ("the snapshot's task lies", "faults: [{name: f, when: {phase: snapshot}, effects: [snapshotTimesOutButExists]}]"),
    (
        "the installation fails",
        "faults: [{name: f, when: {phase: install}, effects: [installFails: {hresult: 0x800F0922}]}]",
    ),
    ("the installation hangs", "faults: [{name: f, when: {phase: install}, effects: [installHangs]}]"),
    ("nothing is in after the reboot", "faults: [{name: f, when: {phase: install}, effects: [buildUnchanged]}]"),
    (
        "the reboot needs more rounds than there may be",
        "faults: [{name: f, when: {phase: install}, effects: [roundsNeeded: {n: 9}]}]",
    ),
    (
        "the machine does not come back",
        "faults: [{name: f, when: {phase: boot, kb: KB5039227}, effects: [rebootNeverReturns]}]",
    ),
    (
        "the pod network is dead",
        "faults: [{name: f, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead]}]",
    ),
    (
        "the kubelet dies",
        "faults: [{name: f, when: {phase: running, kb: KB5039227, delay: 1m}, effects: [kubeletDead]}]",
    ),
    (
        "the restore fails",
        r"
faults:
- {name: f, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead]}
- {name: g, when: {phase: restore}, effects: [restoreFails]}
",
    ),
    (
        "the restore takes too long",
        r"
hypervisor: {restoreTakes: 40m}
faults: [{name: f, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead]}]
",
    ),
    (
        "the pod network is dead after the restore, too",
        "faults: [{name: f, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead], heals: never}]",
    ),
    (
        "the kubelet is dead after the restore",
        r"
faults:
- {name: f, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead]}
- {name: g, when: {phase: restored}, effects: [kubeletDead], heals: never}
",
    ),
    (
        "a person aborts",
        "acts: [{after: 130s, act: {patch: {kind: UpdateRollout, name: june, patch: {spec: {state: Aborted}}}}}]",
    ),
];

/// A story as a simulation.
pub fn setup(parts: &str) -> Setup {
    let (mut all, parts) = (yaml(BASE), yaml(parts));
    for (key, value) in parts.as_object().into_iter().flatten() {
        match (key.strip_suffix('+').and_then(|list| all[list].as_array_mut()), value.as_array()) {
            (Some(list), Some(more)) => list.extend(more.iter().cloned()),
            _ => all[key] = value.clone(),
        }
    }
    let mut setup = Setup::new(Scenario::parse(&all.to_string()).expect("a scenario"), vec![]);
    setup.name_calls = true;
    // Each call has a moment of its own, so that one alone can be struck.
    setup.latency = LATENCY;
    setup
}

/// A machine whose update breaks its pods, and which is held for it from its first hour on; more faults, and other parts.
pub fn held(faults: &str, parts: &str) -> Setup {
    let broken = "{name: dead, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead]}";
    let mut setup = setup(&format!("lasts: 6h\nfaults: [{broken}{faults}]\n{parts}"));
    let policy = setup.manifests.iter_mut().find(|manifest| manifest.object["kind"] == "UpdatePolicy");
    policy.expect("a policy").object["spec"]["onFailure"] = serde_json::json!({"node": "Hold"});
    setup
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}
