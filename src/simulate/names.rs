//! Names and selectors by which a scenario and its manifests mean each other. One that meets nothing is a mistake, and what
//! would be played after it says nothing.

use super::SimulateError;
use super::manifests::Manifest;
use crate::api::NodeSelector;
use crate::domain::Labels;
use crate::manifest::Complaint;
use crate::plan::selector;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use winfleet::kubelet::node_object::default_labels;
use winfleet::scenario::{Act, Deed, Expectation, Expected, Kind, MachineSpec, Scenario, instead};

/// Checks the names that expectations and acts give, and the selectors of the rings that a rollout lists.
///
/// # Errors
/// [`SimulateError::Input`] with a line for each: file, line, field, and what there is instead.
pub fn check(scenario: &Scenario, manifests: &[Manifest], file: &Path) -> Result<(), SimulateError> {
    let there = There::new(scenario, manifests, file);
    let expected = scenario.expect.iter().filter_map(|one| there.expected(one));
    let acts = scenario.acts.iter().enumerate().filter_map(|(at, act)| there.act(at, act));
    let rings = there.rings().into_iter();
    let complaints: Vec<_> = rings.chain(acts).chain(expected).map(|complaint| complaint.to_string()).collect();
    if complaints.is_empty() { Ok(()) } else { Err(SimulateError::Input(complaints.join("\n"))) }
}

/// An object, and where it stands: file, line, field.
struct Placed<'a> {
    object: &'a Value,
    file: String,
    line: u64,
    field: String,
}

/// What there is to mean.
struct There<'a> {
    scenario: &'a Scenario,
    objects: Vec<Placed<'a>>,
    file: String,
}

impl<'a> There<'a> {
    fn new(scenario: &'a Scenario, manifests: &'a [Manifest], file: &Path) -> Self {
        let file = file.display().to_string();
        let own = |list: &str, at: usize, end: &str, line, object| {
            let field = format!("{list}[{at}].{end}");
            Placed { object, file: file.clone(), line, field }
        };
        let embedded = scenario.manifests.iter().enumerate().map(|(at, m)| own("manifests", at, "", m.line, &m.object));
        let made = scenario.acts.iter().enumerate().filter_map(|(at, act)| match &act.deed {
            Deed::Create(object) => Some(own("acts", at, "act.create.", act.line, object)),
            _ => None,
        });
        let applied = manifests.iter().map(|m| Placed {
            object: &m.object,
            file: m.file.clone(),
            line: m.line,
            field: String::new(),
        });
        Self { objects: embedded.chain(made).chain(applied).collect(), scenario, file: file.clone() }
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Placed<'a>> {
        self.objects.iter().filter(move |placed| placed.object["kind"] == kind)
    }

    /// What is wrong with the name of an object of this kind.
    fn unknown(&self, kind: &str, name: &str) -> Option<String> {
        let names: BTreeSet<_> = self.of_kind(kind).filter_map(|o| o.object["metadata"]["name"].as_str()).collect();
        (!names.contains(name)).then(|| format!("there is no {kind} {name}{}", instead::of_names(&names)))
    }

    fn complain(&self, line: u64, field: String, message: String) -> Complaint {
        Complaint { file: self.file.clone(), line, field, message }
    }

    fn expected(&self, one: &Expectation) -> Option<Complaint> {
        let message = match &one.expected {
            Expected::Rollout { name: Some(name), .. } => self.unknown("UpdateRollout", name),
            Expected::Ring(ring) => self.unknown("UpdateRing", ring),
            _ => None,
        };
        message.map(|message| self.complain(one.line, one.field.clone(), message))
    }

    fn act(&self, at: usize, act: &Act) -> Option<Complaint> {
        let (field, message) = match &act.deed {
            Deed::Patch { kind, name, .. } => ("patch.name", self.meant(*kind, name)?),
            Deed::Delete { kind, name } => ("delete.name", self.meant(*kind, name)?),
            Deed::Approve { rollout, .. } => ("approve.rollout", self.unknown("UpdateRollout", rollout)?),
            Deed::Create(_) | Deed::Publish { .. } | Deed::Withdraw { .. } => return None,
        };
        Some(self.complain(act.line, format!("acts[{at}].act.{field}"), message))
    }

    fn meant(&self, kind: Kind, name: &str) -> Option<String> {
        match kind {
            // Named by the operator when they are made.
            Kind::NodeUpdate => None,
            Kind::Node => {
                let there = self.scenario.machines.iter().any(|machine| machine.name == name);
                (!there).then(|| format!("{name} is not in machines"))
            }
            Kind::UpdatePolicy | Kind::UpdateRing | Kind::UpdateRollout | Kind::UpdateHold => {
                self.unknown(&kind.to_string(), name)
            }
        }
    }

    /// The rings of rollouts that select no machine.
    fn rings(&self) -> Vec<Complaint> {
        let listed: BTreeSet<_> = self
            .of_kind("UpdateRollout")
            .flat_map(|rollout| rollout.object["spec"]["rings"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        let machines = self.labels();
        let empty = |ring: &&Placed<'_>| {
            let name = ring.object["metadata"]["name"].as_str().unwrap_or_default();
            let selector = serde_json::from_value::<NodeSelector>(ring.object["spec"]["nodeSelector"].clone());
            listed.contains(name)
                && selector.is_ok_and(|selector| !machines.iter().any(|labels| selector::matches(&selector, labels)))
        };
        let complain = |ring: &Placed<'_>| Complaint {
            file: ring.file.clone(),
            line: ring.line,
            field: format!("{}spec.nodeSelector", ring.field),
            message: format!(
                "fits no machine{}",
                labels_instead(&ring.object["spec"]["nodeSelector"], &self.scenario.machines)
            ),
        };
        self.of_kind("UpdateRing").filter(empty).map(complain).collect()
    }

    /// The labels of each node: those that it has at the start, and those that somebody gives it.
    fn labels(&self) -> Vec<Labels> {
        let of_machine = |machine: &MachineSpec| {
            let mut labels = machine.labels.clone();
            labels.extend(default_labels(&machine.name, machine.group.build));
            labels
        };
        let given = self.scenario.acts.iter().filter_map(|act| match &act.deed {
            Deed::Patch { kind: Kind::Node, patch, .. } => patch["metadata"]["labels"].as_object(),
            _ => None,
        });
        let mut all: Vec<BTreeMap<String, String>> = self.scenario.machines.iter().map(of_machine).collect();
        let at_first = all.clone();
        for labels in given {
            let texts = || labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            all.extend(at_first.iter().cloned().map(|mut node| {
                node.extend(texts());
                node
            }));
        }
        all.into_iter().map(Labels::from_iter).collect()
    }
}

/// What machines have in the place of the labels that are wanted.
fn labels_instead(selector: &Value, machines: &[MachineSpec]) -> String {
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let wanted = wanted.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    instead::of_labels(wanted, machines)
}
