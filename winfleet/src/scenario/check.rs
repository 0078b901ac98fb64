//! What a scenario must satisfy beyond its form.

use super::{
    Effect, Fault, File, Heals, MOST_MACHINES, MachineGroup, MachineSpec, Manifest, Period, Phase, Scenario,
    ScenarioError, Update, acts, instead, moment::Course, surroundings,
};
use jiff::Timestamp;
use serde_saphyr::Spanned;
use std::collections::BTreeSet;
use windlass_protocol::KbId;

/// A field of a list's item, and what is wrong with it.
pub(super) type Complaint = (&'static str, String);

/// Spells the machines out and checks every reference.
pub(super) fn scenario(file: File) -> Result<Scenario, ScenarioError> {
    let machines = machines(&file.machines)?;
    let kbs: BTreeSet<KbId> = file.updates.iter().map(|update| update.value.kb).collect();
    let course = Course { start: file.start, lasts: file.lasts };
    check_each("updates", &file.updates, |at| update(&file.updates, at, &kbs, course.start))?;
    check_each("faults", &file.faults, |at| fault(&file.faults, at, &kbs, &machines, course))?;
    surroundings::check(&file, &machines, course)?;
    check_each("acts", &file.acts, |at| acts::check(&file.acts, at, &kbs, course))?;
    let expect = file.expect.expectations(&machines, file.lasts)?;
    Ok(Scenario {
        seed: file.seed,
        start: file.start,
        lasts: file.lasts,
        updates: plain(file.updates),
        faults: plain(file.faults),
        hypervisor: file.hypervisor.map(|spec| spec.value).unwrap_or_default(),
        timings: file.timings,
        api_server: file.api_server.map(|spec| spec.value).unwrap_or_default(),
        operator: file.operator.map(|spec| spec.value).unwrap_or_default(),
        workloads: plain(file.workloads),
        metrics: plain(file.metrics),
        manifests: file.manifests.into_iter().map(manifest).collect(),
        acts: file.acts.into_iter().map(acts::act).collect(),
        expect,
        machines,
    })
}

fn plain<T>(items: Vec<Spanned<T>>) -> Vec<T> {
    items.into_iter().map(|item| item.value).collect()
}

fn manifest(object: Spanned<serde_json::Value>) -> Manifest {
    Manifest { line: object.referenced.line(), object: object.value }
}

pub(super) fn refuse(line: u64, field: String, message: String) -> ScenarioError {
    ScenarioError { line, field, message }
}

/// Runs a check on each item; a complaint gets the item's line and the field's full path.
pub(super) fn check_each<T>(
    list: &str,
    items: &[Spanned<T>],
    check: impl Fn(usize) -> Result<(), Complaint>,
) -> Result<(), ScenarioError> {
    for (at, item) in items.iter().enumerate() {
        check(at)
            .map_err(|(field, message)| refuse(item.referenced.line(), format!("{list}[{at}].{field}"), message))?;
    }
    Ok(())
}

fn machines(groups: &[Spanned<MachineGroup>]) -> Result<Vec<MachineSpec>, ScenarioError> {
    let mut machines = Vec::new();
    let mut names = BTreeSet::new();
    for (at, group) in groups.iter().enumerate() {
        let complain = |(field, message)| refuse(group.referenced.line(), format!("machines[{at}].{field}"), message);
        let (field, size) = group.value.size();
        if machines.len().saturating_add(size) > MOST_MACHINES {
            let message =
                format!("{size} more machines are too many: a scenario has {MOST_MACHINES} at most, all together");
            return Err(complain((field, message)));
        }
        let more = group.value.machines().map_err(complain)?;
        for machine in &more {
            if !is_node_name(&machine.name) {
                let message = format!("{:?} is not a node name (lower-case letters, digits, '-')", machine.name);
                return Err(complain(("names", message)));
            }
            if !names.insert(machine.name.clone()) {
                return Err(complain(("names", format!("{} is there twice", machine.name))));
            }
        }
        machines.extend(more);
    }
    if machines.is_empty() {
        return Err(refuse(1, "machines".into(), "at least one is needed".into()));
    }
    Ok(machines)
}

/// A DNS label, which is also all that a Windows host name may be.
fn is_node_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.starts_with(plain)
        && name.ends_with(plain)
        && name.chars().all(|c| plain(c) || c == '-')
}

fn update(all: &[Spanned<Update>], at: usize, kbs: &BTreeSet<KbId>, start: Timestamp) -> Result<(), Complaint> {
    let update = &all[at].value;
    if all[..at].iter().any(|other| other.value.kb == update.kb) {
        return Err(("kb", format!("{} is there twice", update.kb)));
    }
    if update.published && update.released > start {
        let message = format!(
            "is after the start ({start}), from which machines are offered it: say `published: false`, and publish it by an act"
        );
        return Err(("released", message));
    }
    if update.rounds == 0 {
        return Err(("rounds", "must be at least 1".into()));
    }
    for (os_build, target) in &update.target_builds {
        if target.os_build() != *os_build {
            return Err(("targetBuilds", format!("{target} is not a build of {os_build}")));
        }
    }
    if update.feature_upgrade_to.is_some() && !update.target_builds.is_empty() {
        return Err(("featureUpgradeTo", "not together with targetBuilds".into()));
    }
    known("supersedes", update.supersedes.iter(), kbs)?;
    let (mut replaced, mut next) = (BTreeSet::new(), vec![update.kb]);
    while let Some(kb) = next.pop() {
        let one = all.iter().find(|one| one.value.kb == kb);
        next.extend(one.iter().flat_map(|one| &one.value.supersedes).filter(|kb| replaced.insert(**kb)));
    }
    if replaced.contains(&update.kb) {
        let message = format!("{} would supersede itself, and be offered to nobody", update.kb);
        return Err(("supersedes", message));
    }
    Ok(())
}

fn known<'a>(
    field: &'static str,
    mut named: impl Iterator<Item = &'a KbId>,
    kbs: &BTreeSet<KbId>,
) -> Result<(), Complaint> {
    match named.find(|kb| !kbs.contains(kb)) {
        Some(kb) => Err((field, format!("{kb} is not in updates{}", instead::of_kbs(kbs)))),
        None => Ok(()),
    }
}

fn fault(
    all: &[Spanned<Fault>],
    at: usize,
    kbs: &BTreeSet<KbId>,
    machines: &[MachineSpec],
    course: Course,
) -> Result<(), Complaint> {
    let fault = &all[at].value;
    if fault.name.is_empty() || fault.name.contains(char::is_whitespace) {
        return Err(("name", format!("{:?} must be one word", fault.name)));
    }
    if all[..at].iter().any(|other| other.value.name == fault.name) {
        return Err(("name", format!("{} is there twice", fault.name)));
    }
    known("when.kb", fault.when.kb.iter(), kbs)?;
    moment(fault, course)?;
    selector(fault, kbs, machines)?;
    if fault.effects.is_empty() {
        return Err(("effects", "at least one is needed".into()));
    }
    if fault.times == Some(0) {
        return Err(("times", "must be at least 1".into()));
    }
    if let Heals::Kb(kb) = fault.heals {
        known("heals.kb", std::iter::once(&kb), kbs)?;
    }
    if fault.ramps.is_some() && !fault.effects.iter().any(Effect::has_size) {
        let message = "needs an effect that has a size (diskFull, requestsFail, requestsSlow): nothing else grows";
        return Err(("ramps", message.into()));
    }
    if fault.intermittent.is_some_and(|i| i.bad > i.of || i.each == Period::ZERO) {
        return Err(("intermittent", "bad must be at most of, and each more than 0s".into()));
    }
    fault.effects.iter().try_for_each(|one| effect(one, fault, kbs, machines))
}

fn moment(fault: &Fault, course: Course) -> Result<(), Complaint> {
    let when = &fault.when;
    match (when.phase, when.after, when.at) {
        (None, None, None) => return Err(("when", "phase, after or at is needed".into())),
        (_, Some(_), Some(_)) => return Err(("when.at", "either after or at, not both".into())),
        _ => course
            .reaches(when.after, when.at)
            .map_err(|(field, message)| (if field == "at" { "when.at" } else { "when.after" }, message))?,
    }
    if when.nth_boot.is_some_and(|n| n == 0 || when.phase != Some(Phase::Boot)) {
        return Err(("when.nthBoot", "counts from 1, with phase boot only".into()));
    }
    if when.phase.is_none() && when.delay != Period::ZERO {
        return Err(("when.delay", "counts from a phase: without one, after and at say it all".into()));
    }
    Ok(())
}

fn selector(fault: &Fault, kbs: &BTreeSet<KbId>, machines: &[MachineSpec]) -> Result<(), Complaint> {
    let chosen = &fault.r#where;
    if let Some(node) = chosen.nodes.iter().find(|node| machines.iter().all(|m| m.name != **node)) {
        return Err(("where.nodes", format!("{node} is not in machines{}", instead::of_machines(machines))));
    }
    if let Some(text) = chosen.bad_os_build() {
        return Err(("where.osBuilds", format!("{text:?} is not an OS build like 10.0.20348")));
    }
    known("where.installed", chosen.installed.iter(), kbs)?;
    if chosen.chance.is_some_and(|chance| !(chance > 0.0 && chance <= 1.0)) {
        return Err(("where.chance", "must be above 0 and at most 1".into()));
    }
    if machines.iter().any(|m| chosen.fits(&m.name, &m.labels, &m.group)) {
        return Ok(());
    }
    let labels = chosen.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let there = instead::of_labels(labels, machines)
        + &instead::of_traits(&chosen.traits, machines)
        + &instead::of_os_builds(&chosen.os_builds, machines);
    Err(("where", format!("fits no machine (fault {}){there}", fault.name)))
}

fn effect(effect: &Effect, fault: &Fault, kbs: &BTreeSet<KbId>, machines: &[MachineSpec]) -> Result<(), Complaint> {
    let struck = || machines.iter().filter(|m| fault.r#where.fits(&m.name, &m.labels, &m.group));
    let no_machine_has =
        |what: &str, name: &str| Err(("effects", format!("no machine that the fault fits has the {what} {name}")));
    match effect {
        Effect::RoundsNeeded { n: 0 } => Err(("effects", "roundsNeeded.n must be at least 1".into())),
        Effect::RequestsFail { share } if !(*share > 0.0 && *share <= 1.0) => {
            Err(("effects", "requestsFail.share must be above 0 and at most 1".into()))
        }
        Effect::CrashesAfter { up: after }
        | Effect::MemoryLeaks { exhausted_after: after }
        | Effect::HandlesLeak { exhausted_after: after, .. }
            if *after == Period::ZERO =>
        {
            Err(("effects", "must be more than 0s: a machine that never runs is bootLoop".into()))
        }
        Effect::OtherAgentInstalls { kb } => known("effects", std::iter::once(kb), kbs),
        Effect::ServiceStopped { name } | Effect::HandlesLeak { service: name, .. }
            if !struck().any(|m| m.group.services.contains(name)) =>
        {
            no_machine_has("service", name)
        }
        Effect::NetworkMissing { name } if !struck().any(|m| m.group.networks.contains(name)) => {
            no_machine_has("network", name)
        }
        Effect::DriverReplaced { name, .. } if !struck().any(|m| m.group.drivers.contains(name)) => {
            no_machine_has("driver", name)
        }
        Effect::DiskMissing { name } | Effect::DiskRaw { name }
            if !struck().any(|m| m.group.disks.iter().skip(1).any(|disk| disk == name)) =>
        {
            no_machine_has("data disk", name)
        }
        Effect::BreaksAfterExtraReboot { .. } if fault.when.kb.is_none() => {
            Err(("when.kb", "breaksAfterExtraReboot needs the update whose second boot is meant".into()))
        }
        Effect::BreaksAfterExtraReboot { effects } => {
            breaks_later(effects)?;
            effects.iter().try_for_each(|one| self::effect(one, fault, kbs, machines))
        }
        _ => Ok(()),
    }
}

fn breaks_later(effects: &[Effect]) -> Result<(), Complaint> {
    if effects.is_empty() || effects.iter().any(|one| matches!(one, Effect::BreaksAfterExtraReboot { .. })) {
        return Err(("effects", "breaksAfterExtraReboot needs effects, and not itself again".into()));
    }
    Ok(())
}
