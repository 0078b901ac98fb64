//! What a scenario's surroundings of the machines must satisfy beyond their form.

use super::check::{Complaint, check_each, refuse};
use super::{
    File, Kill, MOST_OPERATORS, MachineSpec, Metric, Period, ScenarioError, Trouble, Workload, instead, moment::Course,
};
use serde_saphyr::Spanned;

/// Checks API server, hypervisor, operator, workloads, metrics and manifests.
pub(super) fn check(file: &File, machines: &[MachineSpec], course: Course) -> Result<(), ScenarioError> {
    if let Some(spec) = &file.api_server {
        in_block(spec, "apiServer", |api| troubles(&api.troubles, course))?;
    }
    if let Some(spec) = &file.hypervisor {
        in_block(spec, "hypervisor", |hypervisor| troubles(&hypervisor.troubles, course))?;
    }
    if let Some(spec) = &file.operator {
        in_block(spec, "operator", |operator| {
            if operator.instances.get() > MOST_OPERATORS {
                let message = format!("must be 1 to {MOST_OPERATORS}: each of them works by itself, on every node");
                return Err(("instances".into(), message));
            }
            at_each("kills", &operator.kills, |one| kill(one, course))
        })?;
    }
    check_each("workloads", &file.workloads, |at| workload(&file.workloads, at, machines))?;
    check_each("metrics", &file.metrics, |at| metric(&file.metrics, at, &file.workloads))?;
    check_each("manifests", &file.manifests, |at| manifest(&file.manifests[at].value))
}

/// Runs a check on a block; a complaint gets the block's line and name.
fn in_block<T>(
    block: &Spanned<T>,
    name: &str,
    check: impl Fn(&T) -> Result<(), (String, String)>,
) -> Result<(), ScenarioError> {
    check(&block.value).map_err(|(field, message)| refuse(block.referenced.line(), format!("{name}.{field}"), message))
}

fn at_each<T>(list: &str, items: &[T], check: impl Fn(&T) -> Result<(), Complaint>) -> Result<(), (String, String)> {
    for (at, item) in items.iter().enumerate() {
        check(item).map_err(|(field, message)| (format!("{list}[{at}].{field}"), message))?;
    }
    Ok(())
}

fn troubles<E>(troubles: &[Trouble<E>], course: Course) -> Result<(), (String, String)> {
    at_each("troubles", troubles, |trouble| match (trouble.after, trouble.at) {
        (Some(_), Some(_)) => Err(("at", "either after or at, not both".into())),
        (None, None) => Err(("after", "after or at is needed".into())),
        _ if trouble.lasts == Period::ZERO => Err(("lasts", "must be more than 0s".into())),
        _ if trouble.ends(course.start) <= course.start => {
            Err(("at", format!("is over before all begins: the scenario starts at {}", course.start)))
        }
        (after, at) => course.reaches(after, at),
    })
}

fn kill(kill: &Kill, course: Course) -> Result<(), Complaint> {
    match (kill.after.is_some(), kill.at.is_some(), kill.call.is_some()) {
        (true, false, false) | (false, true, false) if kill.side.is_some() => {
            Err(("side", "is that of a call: a kill at a time has none".into()))
        }
        (true, false, false) | (false, true, false) | (false, false, true) => course.holds(kill.after, kill.at),
        _ => Err(("after", "exactly one of after, at and call is needed".into())),
    }
}

fn workload(all: &[Spanned<Workload>], at: usize, machines: &[MachineSpec]) -> Result<(), Complaint> {
    let workload = &all[at].value;
    let same =
        |other: &Spanned<Workload>| other.value.name == workload.name && other.value.namespace == workload.namespace;
    if workload.name.is_empty() || workload.name.len() > 40 {
        return Err(("name", "must have 1 to 40 characters".into()));
    }
    if all[..at].iter().any(same) {
        return Err(("name", format!("{}/{} is there twice", workload.namespace, workload.name)));
    }
    if workload.replicas == 0 {
        return Err(("replicas", "must be at least 1".into()));
    }
    let fits = |m: &MachineSpec| workload.node_selector.iter().all(|(key, value)| m.labels.get(key) == Some(value));
    if !machines.iter().any(fits) {
        let labels = workload.node_selector.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let there = instead::of_labels(labels, machines);
        return Err(("nodeSelector", format!("fits no machine (workload {}){there}", workload.name)));
    }
    if workload.min_available.is_some_and(|least| least.of(workload.replicas) > workload.replicas) {
        return Err(("minAvailable", format!("is more than the {} replicas", workload.replicas)));
    }
    Ok(())
}

fn metric(all: &[Spanned<Metric>], at: usize, workloads: &[Spanned<Workload>]) -> Result<(), Complaint> {
    let metric = &all[at].value;
    if metric.query.trim().is_empty() {
        return Err(("query", "must not be empty".into()));
    }
    if all[..at].iter().any(|other| other.value.query == metric.query) {
        return Err(("query", "is there twice".into()));
    }
    let named = |name: &str| workloads.iter().any(|w| format!("{}/{}", w.value.namespace, w.value.name) == name);
    match &metric.workload {
        Some(name) if !named(name) => Err(("workload", format!("{name} is not in workloads (namespace/name)"))),
        _ => Ok(()),
    }
}

/// Whether it can be an object at all.
pub(super) fn manifest(object: &serde_json::Value) -> Result<(), Complaint> {
    let text = |value: &serde_json::Value| value.as_str().is_some_and(|text| !text.is_empty());
    match object {
        object if !text(&object["apiVersion"]) => Err(("apiVersion", "is needed, like windlass.dev/v1alpha1".into())),
        object if !text(&object["kind"]) => Err(("kind", "is needed, like UpdatePolicy".into())),
        // Nobody names a List: what counts is in it.
        object if object["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => Ok(()),
        object if !text(&object["metadata"]["name"]) => Err(("metadata.name", "is needed".into())),
        _ => Ok(()),
    }
}
