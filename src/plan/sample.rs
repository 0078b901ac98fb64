//! Made-up fleets of any size, for benchmarks and tests.

use super::fleet::{Fleet, SoakSeen, UpdateSeen};
use crate::api::{DesiredState, Outcome, RingState, RingStatus, RolloutState, Step, UpdateRolloutStatus};
use crate::domain::{Build, NodeRef, NodeState, Readiness};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

/// The build that sample nodes have.
pub const OLD: Build = Build::new(10, 0, 20348, 4893);
/// The build that sample rollouts lead to.
pub const NEW: Build = Build::new(10, 0, 20348, 5256);

/// The facts of a rollout, owned.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What is wanted of the rollout.
    pub desired: DesiredState,
    /// Its status.
    pub status: UpdateRolloutStatus,
    /// All Windows nodes.
    pub nodes: Vec<NodeState>,
    /// Its node updates.
    pub updates: Vec<UpdateSeen>,
}

impl Sample {
    /// The facts as the planner takes them.
    pub fn fleet(&self) -> Fleet<'_> {
        Fleet {
            rollout: "sample",
            desired: self.desired,
            deleting: false,
            status: &self.status,
            nodes: &self.nodes,
            updates: &self.updates,
            holds: &[],
            soak: SoakSeen::default(),
            providers_away: &[],
            taken: &[],
            operator_node: None,
        }
    }
}

/// A rollout half way through a fleet: the first half of the rings promoted, the next one in work, the others waiting.
///
/// Nodes are spread evenly over the rings and over three zones, and have as many labels as nodes of a cloud have.
/// The same seed gives the same fleet, in an order that is not that of the names.
///
/// # Errors
/// When the JSON below is not what the API's types want.
pub fn bench_fleet(nodes: usize, rings: usize, seed: u64) -> Result<Sample, serde_json::Error> {
    let rings = rings.max(1);
    let now_open = rings / 2;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sample = Sample {
        desired: DesiredState::Running,
        status: status(
            (0..rings).map(|place| ring(&ring_name(place), json!({}), json!({}))).collect::<Result<_, _>>()?,
        )?,
        nodes: (0..nodes).map(|i| node(&format!("win-{i:05}"), &ring_name(i % rings), i % 3)).collect(),
        updates: Vec::new(),
    };
    for ring in sample.status.rings.iter_mut().take(now_open) {
        ring.state = RingState::Promoted;
    }
    for (i, node) in sample.nodes.iter_mut().enumerate().filter(|(i, _)| i % rings <= now_open) {
        let done = i % rings < now_open || random.bool();
        if done || random.u8(..) < 8 {
            node.build = Some(if done { NEW } else { OLD });
            sample.updates.push(update(node, &ring_name(i % rings), done.then_some(Outcome::Updated)));
        }
    }
    random.shuffle(&mut sample.nodes);
    random.shuffle(&mut sample.updates);
    Ok(sample)
}

fn ring_name(place: usize) -> String {
    format!("ring-{place:02}")
}

/// A rollout's status with these rings, and one pinned set that leads from [`OLD`] to [`NEW`].
///
/// # Errors
/// As [`bench_fleet`].
pub fn status(rings: Vec<RingStatus>) -> Result<UpdateRolloutStatus, serde_json::Error> {
    let pinned = serde_json::from_value(json!([{
        "osBuild": OLD.os_build(),
        "expectedBuild": NEW.to_string(),
        "updates": [{"updateId": "u-1", "revision": 1, "kb": "KB5065432", "title": "Cumulative Update", "released": "2025-09-09"}],
    }]))?;
    Ok(UpdateRolloutStatus { state: RolloutState::Running, rings, pinned, ..Default::default() })
}

/// A ring that selects the nodes with its name in the label `ring`; a tenth of it at a time, soaking for a day.
/// `spec` and `policy` are put over the defaults, top-level fields as a whole.
///
/// # Errors
/// When `spec` or `policy` do not fit the API's types.
pub fn ring(name: &str, spec: Value, policy: Value) -> Result<RingStatus, serde_json::Error> {
    let default_spec = json!({
        "policyName": "standard",
        "nodeSelector": {"matchLabels": {"ring": name}},
        "batch": {"maxUnavailable": "10%"},
    });
    let default_policy = json!({
        "strategy": {"type": "InPlace", "inPlace": {"snapshot": {"className": "ebs"}}},
        "verify": {"probes": [{"name": "ready", "node": {}}]},
    });
    serde_json::from_value(json!({
        "name": name,
        "state": "Waiting",
        "revision": {
            "ringGeneration": 1,
            "policyGeneration": 1,
            "ring": overlaid(default_spec, spec),
            "policy": overlaid(default_policy, policy),
        },
    }))
}

fn overlaid(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over);
    }
    base
}

/// A healthy node on [`OLD`].
pub fn node(name: &str, ring: &str, zone: usize) -> NodeState {
    let zone = format!("zone-{zone}");
    let labels = [
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "windows"),
        ("node.kubernetes.io/instance-type", "m6i.xlarge"),
        ("node.kubernetes.io/windows-build", "10.0.20348"),
        ("ring", ring),
        ("topology.kubernetes.io/region", "eu-central-1"),
        ("topology.kubernetes.io/zone", &zone),
    ];
    NodeState {
        node: NodeRef {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            provider_id: format!("simulated://{name}"),
            system_uuid: format!("uuid-{name}"),
        },
        resource_version: "1".to_owned(),
        build: Some(OLD),
        boot_id: "1".to_owned(),
        readiness: Readiness::Ready(Timestamp::UNIX_EPOCH),
        unschedulable: false,
        claimed_by: None,
        cordoned_by_us: false,
        keep_cordoned: false,
        skip: false,
        quarantined: false,
        volumes_attached: Vec::new(),
        labels: labels.into_iter().collect(),
    }
}

/// A node update of that node; one that has ended took 20 minutes.
pub fn update(node: &NodeState, ring: &str, outcome: Option<Outcome>) -> UpdateSeen {
    let NodeRef { name, uid, .. } = &node.node;
    UpdateSeen {
        name: format!("sample-{name}"),
        uid: format!("update-of-{uid}"),
        node: name.clone(),
        node_uid: uid.clone(),
        machine: matches!(outcome, Some(Outcome::NodeGone | Outcome::Held)).then(|| Box::new(node.node.clone())),
        ring: ring.to_owned(),
        created_at: Some(Timestamp::UNIX_EPOCH),
        outcome,
        reason_code: None,
        reason: None,
        step: Some(if outcome.is_some() { Step::Uncordon } else { Step::Install }),
        started_at: Some(Timestamp::UNIX_EPOCH),
        ended_at: outcome.map(|_| Timestamp::UNIX_EPOCH + 20.minutes()),
        boot_id: outcome.map(|_| node.boot_id.clone()),
        retry: false,
        deleted: false,
    }
}
