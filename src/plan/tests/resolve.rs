//! What stops a rollout before it starts.

use super::*;
use crate::api::{UpdatePolicy, UpdatePolicySpec, UpdateRing, UpdateRolloutSpec};
use crate::domain::{Capabilities, Capability, Labels};
use crate::plan::resolve::{Catalogue, resolve};
use std::collections::BTreeMap;
use std::sync::Arc;

struct Cluster {
    rings: Vec<Arc<UpdateRing>>,
    policies: Vec<Arc<UpdatePolicy>>,
    classes: BTreeMap<String, Result<Capabilities, String>>,
    nodes: Vec<NodeState>,
    linux: Vec<Labels>,
}

impl Cluster {
    /// Two rings with a node each, their policy and its class.
    fn new() -> Self {
        let frozen = |name: &str| ring(name, &json!({}), &json!({})).revision;
        let named = |name: &str| {
            let mut ring = UpdateRing::new(name, frozen(name).ring.clone());
            ring.metadata.generation = Some(7);
            Arc::new(ring)
        };
        let all = Capabilities::of(&Capability::ALL);
        Self {
            rings: vec![named("canary"), named("early")],
            policies: vec![Arc::new(UpdatePolicy::new("standard", UpdatePolicySpec::clone(&frozen("x").policy)))],
            classes: BTreeMap::from([("ebs".to_owned(), Ok(all))]),
            nodes: vec![sample::node("win-1", "canary", 0), sample::node("win-2", "early", 0)],
            linux: vec![],
        }
    }

    fn problems(&self) -> Vec<String> {
        let spec = json!({"rings": ["canary", "early"], "updates": {"classifications": ["Security"]}});
        let spec: UpdateRolloutSpec = serde_json::from_value(spec).expect("a spec");
        let Self { rings, policies, classes, nodes, linux } = self;
        match resolve(&spec, &Catalogue { rings, policies, classes, nodes, other_nodes: linux }) {
            Ok(rings) => {
                assert_eq!(rings.iter().map(|ring| ring.name.as_str()).collect::<Vec<_>>(), ["canary", "early"]);
                assert_eq!(rings[0].revision.ring_generation, 7);
                vec![]
            }
            Err(problems) => problems.iter().map(|p| format!("{}: {}", p.code.as_str(), p.message)).collect(),
        }
    }
}

/// What is done to the cluster, and what is said of it.
type Case = (fn(&mut Cluster), &'static [&'static str]);

#[test]
fn each_problem_names_its_object() {
    let cases: &[Case] = &[
        (|_| {}, &[]),
        (|c| _ = c.rings.remove(1), &["RingMissing: ring early: no UpdateRing of that name"]),
        (
            |c| c.policies.clear(),
            &[
                "PolicyMissing: ring canary: no UpdatePolicy standard",
                "PolicyMissing: ring early: no UpdatePolicy standard",
            ],
        ),
        (
            |c| {
                c.classes.clear();
                c.rings.remove(1);
            },
            &[
                "SnapshotClassMissing: ring canary: no SnapshotClass ebs, which policy standard names",
                "RingMissing: ring early: no UpdateRing of that name",
            ],
        ),
        (
            |c| {
                c.classes.insert("ebs".into(), Err("SnapshotClass ebs: no provider".into()));
                c.rings.remove(1);
            },
            &[
                "SnapshotClassInvalid: ring canary: SnapshotClass ebs: no provider",
                "RingMissing: ring early: no UpdateRing of that name",
            ],
        ),
        (
            |c| {
                c.classes.insert("ebs".into(), Ok(Capabilities::of(&[Capability::InPlace])));
                c.rings.remove(1);
            },
            &[
                "CapabilityMissing: ring canary: SnapshotClass ebs lacks KeepsIdentity, which policy standard needs",
                "RingMissing: ring early: no UpdateRing of that name",
            ],
        ),
        (|c| _ = c.nodes.remove(1), &["RingEmpty: ring early: its nodeSelector selects no Windows node"]),
        (
            |c| {
                c.linux = vec![c.nodes.remove(1).labels];
            },
            &["RingEmpty: ring early: its nodeSelector selects no Windows node, only 1 node that does not run Windows"],
        ),
        (
            |c| {
                let mut all = (*c.rings[1]).clone();
                let selector = json!({"matchExpressions": [{"key": "ring", "operator": "Exists"}]});
                all.spec.node_selector = serde_json::from_value(selector).expect("a selector");
                c.rings[1] = Arc::new(all);
            },
            &["RingsOverlap: rings canary and early both select node win-1; a node may be in one ring only"],
        ),
        (
            |c| {
                let mut both = (*c.rings[1]).clone();
                let selector =
                    json!({"matchExpressions": [{"key": "ring", "operator": "In", "values": ["early", "canary"]}]});
                both.spec.node_selector = serde_json::from_value(selector).expect("a selector");
                c.rings[1] = Arc::new(both);
                c.nodes.push(sample::node("win-0", "canary", 0));
            },
            &["RingsOverlap: rings canary and early both select node win-0 and 1 more; a node may be in one ring only"],
        ),
    ];
    for (bend, expected) in cases {
        let mut cluster = Cluster::new();
        bend(&mut cluster);
        assert_eq!(cluster.problems(), *expected);
    }
}
