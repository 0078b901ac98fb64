//! Names and selectors by which a scenario and its manifests mean each other. One that meets nothing is a mistake, and what
//! would be played after it says nothing.

mod budgets;

use super::SimulateError;
use super::files::refused;
use crate::api::NodeSelector;
use crate::domain::Labels;
use crate::manifest::{self, Complaint, Lines, Manifest};
use crate::plan::selector;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use winfleet::kubelet::node_object::default_labels;
use winfleet::scenario::{Act, Deed, Expectation, Expected, Kind, MachineSpec, Scenario, Workload, instead};

/// Checks the names that expectations and acts give, the rings that a rollout lists with their policies and selectors, and
/// what the scenario's own holds and disruption budgets are about; says what else is worth a word. What comes from a file of
/// its own may be about updates, nodes and pods that are not played.
///
/// # Errors
/// [`SimulateError::Input`] with a line for each: file, line, field, and what there is instead. `lines` are those of
/// the scenario.
pub fn check(
    scenario: &Scenario,
    manifests: &[Manifest],
    file: &Path,
    lines: &Lines,
) -> Result<Vec<Complaint>, SimulateError> {
    let there = There::new(scenario, manifests, file, lines);
    let expected = scenario.expect.iter().filter_map(|one| there.expected(one));
    let acts = scenario.acts.iter().enumerate().filter_map(|(at, act)| there.act(at, act));
    let rings = there.unknown_rings().into_iter().chain(there.rings());
    let holds = there.holds().into_iter();
    let (budgets, notes) = there.budgets();
    let complaints: Vec<_> = rings.chain(holds).chain(budgets).chain(acts).chain(expected).collect();
    if complaints.is_empty() {
        return Ok(notes);
    }
    Err(refused(&complaints))
}

/// An object, and where it stands: file, line, field.
struct Placed<'a> {
    object: &'a Value,
    file: String,
    line: u64,
    field: String,
    /// Whether it stands in the scenario itself.
    own: bool,
    /// Whether it is made by an act.
    later: bool,
}

/// What there is to mean.
struct There<'a> {
    scenario: &'a Scenario,
    objects: Vec<Placed<'a>>,
    file: String,
    lines: &'a Lines,
}

impl<'a> There<'a> {
    fn new(scenario: &'a Scenario, manifests: &'a [Manifest], file: &Path, lines: &'a Lines) -> Self {
        let file = file.display().to_string();
        let applied = |m: &'a Manifest| Placed {
            object: &m.object,
            file: m.file.clone(),
            line: m.line,
            field: m.field.clone(),
            own: m.file == file,
            later: false,
        };
        let made = scenario.acts.iter().enumerate().filter_map(|(at, act)| match &act.deed {
            Deed::Create(object) => {
                let field = format!("acts[{at}].act.create");
                Some(Placed { object, file: file.clone(), line: act.line, field, own: true, later: true })
            }
            _ => None,
        });
        let objects = manifests.iter().map(applied).chain(made).collect();
        Self { objects, scenario, file: file.clone(), lines }
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Placed<'a>> {
        self.objects.iter().filter(move |placed| placed.object["kind"] == kind)
    }

    /// What is wrong with the name of an object of this kind.
    fn unknown(&self, kind: &str, name: &str) -> Option<String> {
        let names: BTreeSet<_> = self.of_kind(kind).filter_map(|placed| full_name(placed.object)).collect();
        let listed = || instead::of_names(&names.iter().map(String::as_str).collect());
        (!names.contains(name)).then(|| format!("there is no {kind} {name}{}", listed()))
    }

    fn complain(&self, line: u64, field: String, message: String) -> Complaint {
        Complaint { file: self.file.clone(), line, field, message }
    }

    /// What is wrong with a field of an object.
    fn blame(&self, placed: &Placed<'_>, field: &str, message: String) -> Complaint {
        let field = manifest::within(&placed.field, field);
        let line = if placed.own { self.lines.of(&field) } else { placed.line };
        Complaint { file: placed.file.clone(), line, field, message }
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
                (!there).then(|| format!("{name} is not in machines{}", instead::of_machines(&self.scenario.machines)))
            }
            Kind::PodDisruptionBudget if self.has_budget(name) => None,
            Kind::UpdatePolicy
            | Kind::UpdateRing
            | Kind::UpdateRollout
            | Kind::UpdateHold
            | Kind::PodDisruptionBudget => self.unknown(&kind.to_string(), name),
        }
    }

    /// Whether a workload has the budget `namespace/name`.
    fn has_budget(&self, name: &str) -> bool {
        let named = |workload: &&Workload| name.split_once('/') == Some((&workload.namespace, &workload.name));
        self.scenario.workloads.iter().find(named).is_some_and(|workload| workload.min_available.is_some())
    }

    /// The rings that rollouts list and that are not there.
    fn unknown_rings(&self) -> Vec<Complaint> {
        let of = |rollout: &Placed<'_>| {
            let rings = texts(&rollout.object["spec"]["rings"]).enumerate();
            let unknown = |(at, ring)| Some((at, self.unknown("UpdateRing", ring)?));
            rings
                .filter_map(unknown)
                .map(|(at, message)| self.blame(rollout, &format!("spec.rings[{at}]"), message))
                .collect::<Vec<_>>()
        };
        self.of_kind("UpdateRollout").flat_map(of).collect()
    }

    /// The rings of rollouts that select no machine, or whose policy is not there.
    fn rings(&self) -> Vec<Complaint> {
        let listed: BTreeSet<_> =
            self.of_kind("UpdateRollout").flat_map(|rollout| texts(&rollout.object["spec"]["rings"])).collect();
        let machines = self.labels();
        let rings = self
            .of_kind("UpdateRing")
            .filter(|ring| ring.object["metadata"]["name"].as_str().is_some_and(|name| listed.contains(name)));
        let of = |ring: &Placed<'_>| {
            let policy = ring.object["spec"]["policyName"].as_str().and_then(|name| self.unknown("UpdatePolicy", name));
            let empty = self.fits_no_machine(&ring.object["spec"]["nodeSelector"], &machines);
            let empty = empty.map(|message| self.blame(ring, "spec.nodeSelector", message));
            empty.into_iter().chain(policy.map(|message| self.blame(ring, "spec.policyName", message)))
        };
        rings.flat_map(of).collect()
    }

    /// The scenario's own holds that are about nothing.
    fn holds(&self) -> Vec<Complaint> {
        let (machines, kbs) = (self.labels(), self.scenario.updates.iter().map(|update| update.kb));
        let kbs: BTreeSet<_> = kbs.collect();
        let of = |hold: &Placed<'_>| {
            let spec = &hold.object["spec"];
            let kb = texts(&spec["updates"]["kbs"])
                .enumerate()
                .filter(|(_, kb)| !kbs.iter().any(|one| one.to_string() == *kb));
            let kb = kb.map(|(at, kb)| {
                let message = format!("{kb} is not in updates{}", instead::of_kbs(&kbs));
                self.blame(hold, &format!("spec.updates.kbs[{at}]"), message)
            });
            let rollouts = texts(&spec["scope"]["rollouts"]).enumerate();
            let rollouts = rollouts.filter_map(|(at, name)| {
                Some(self.blame(hold, &format!("spec.scope.rollouts[{at}]"), self.unknown("UpdateRollout", name)?))
            });
            let empty = self.fits_no_machine(&spec["scope"]["nodeSelector"], &machines);
            let empty = empty.map(|message| self.blame(hold, "spec.scope.nodeSelector", message));
            kb.chain(rollouts).chain(empty).collect::<Vec<_>>()
        };
        self.of_kind("UpdateHold").filter(|hold| hold.own).flat_map(of).collect()
    }

    /// What is wrong with a selector that none of these labels fits.
    fn fits_no_machine(&self, selector: &Value, machines: &[Labels]) -> Option<String> {
        let read = serde_json::from_value::<NodeSelector>(selector.clone()).ok()?;
        let fits = machines.iter().any(|labels| selector::matches(&read, labels));
        (!fits).then(|| format!("fits no machine{}", labels_instead(selector, &self.scenario.machines)))
    }

    /// The labels of each node: those that it has at the start, and those that somebody gives it.
    fn labels(&self) -> Vec<Labels> {
        let of_machine = |machine: &MachineSpec| {
            let mut labels = machine.labels.as_ref().clone();
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

/// Its name, behind its namespace where it has one.
pub(super) fn full_name(object: &Value) -> Option<String> {
    let name = object["metadata"]["name"].as_str()?;
    let namespace = object["metadata"]["namespace"].as_str();
    Some(namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}")))
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// What machines have in the place of the labels that are wanted.
fn labels_instead(selector: &Value, machines: &[MachineSpec]) -> String {
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let wanted = wanted.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    instead::of_labels(wanted, machines)
}
