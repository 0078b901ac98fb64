//! What a scenario must satisfy beyond its form.

use super::{Effect, Fault, File, MachineGroup, MachineSpec, Phase, Scenario, ScenarioError, Update};
use serde_saphyr::Spanned;
use std::collections::BTreeSet;
use windlass_protocol::KbId;

/// A field of a list's item, and what is wrong with it.
type Complaint = (&'static str, String);

/// Spells the machines out and checks every reference.
pub(super) fn scenario(file: File) -> Result<Scenario, ScenarioError> {
    let machines = machines(&file.machines)?;
    let kbs: BTreeSet<KbId> = file.updates.iter().map(|update| update.value.kb).collect();
    check_each("updates", &file.updates, |at| update(&file.updates, at, &kbs))?;
    check_each("faults", &file.faults, |at| fault(&file.faults, at, &kbs, &machines))?;
    Ok(Scenario {
        seed: file.seed,
        machines,
        updates: file.updates.into_iter().map(|update| update.value).collect(),
        faults: file.faults.into_iter().map(|fault| fault.value).collect(),
        hypervisor: file.hypervisor,
        timings: file.timings,
    })
}

fn refuse(line: u64, field: String, message: String) -> ScenarioError {
    ScenarioError { line, field, message }
}

/// Runs a check on each item; a complaint gets the item's line and the field's full path.
fn check_each<T>(
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

fn update(all: &[Spanned<Update>], at: usize, kbs: &BTreeSet<KbId>) -> Result<(), Complaint> {
    let update = &all[at].value;
    if all[..at].iter().any(|other| other.value.kb == update.kb) {
        return Err(("kb", format!("{} is there twice", update.kb)));
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
    known("supersedes", update.supersedes.iter(), kbs)
}

fn known<'a>(
    field: &'static str,
    mut named: impl Iterator<Item = &'a KbId>,
    kbs: &BTreeSet<KbId>,
) -> Result<(), Complaint> {
    match named.find(|kb| !kbs.contains(kb)) {
        Some(kb) => Err((field, format!("{kb} is not in updates"))),
        None => Ok(()),
    }
}

fn fault(all: &[Spanned<Fault>], at: usize, kbs: &BTreeSet<KbId>, machines: &[MachineSpec]) -> Result<(), Complaint> {
    let fault = &all[at].value;
    if fault.name.is_empty() || fault.name.contains(char::is_whitespace) {
        return Err(("name", format!("{:?} must be one word", fault.name)));
    }
    if all[..at].iter().any(|other| other.value.name == fault.name) {
        return Err(("name", format!("{} is there twice", fault.name)));
    }
    known("when.kb", fault.when.kb.iter(), kbs)?;
    if fault.when.nth_boot.is_some_and(|n| n == 0 || fault.when.phase != Phase::Boot) {
        return Err(("when.nthBoot", "counts from 1, with phase boot only".into()));
    }
    selector(fault, machines)?;
    if fault.effects.is_empty() {
        return Err(("effects", "at least one is needed".into()));
    }
    if fault.times == Some(0) {
        return Err(("times", "must be at least 1".into()));
    }
    fault.effects.iter().try_for_each(|one| effect(one, fault))
}

fn selector(fault: &Fault, machines: &[MachineSpec]) -> Result<(), Complaint> {
    if let Some(node) = fault.r#where.nodes.iter().find(|node| machines.iter().all(|m| m.name != **node)) {
        return Err(("where.nodes", format!("{node} is not in machines")));
    }
    if fault.r#where.chance.is_some_and(|chance| !(chance > 0.0 && chance <= 1.0)) {
        return Err(("where.chance", "must be above 0 and at most 1".into()));
    }
    if machines.iter().any(|m| fault.r#where.fits(&m.name, &m.labels, &m.group.traits)) {
        return Ok(());
    }
    Err(("where", format!("fits no machine (fault {})", fault.name)))
}

fn effect(effect: &Effect, fault: &Fault) -> Result<(), Complaint> {
    match effect {
        Effect::RoundsNeeded { n: 0 } => Err(("effects", "roundsNeeded.n must be at least 1".into())),
        Effect::BreaksAfterExtraReboot { .. } if fault.when.kb.is_none() => {
            Err(("when.kb", "breaksAfterExtraReboot needs the update whose second boot is meant".into()))
        }
        Effect::BreaksAfterExtraReboot { effects } => breaks_later(effects),
        _ => Ok(()),
    }
}

fn breaks_later(effects: &[Effect]) -> Result<(), Complaint> {
    if effects.is_empty() || effects.iter().any(|one| matches!(one, Effect::BreaksAfterExtraReboot { .. })) {
        return Err(("effects", "breaksAfterExtraReboot needs effects, and not itself again".into()));
    }
    Ok(())
}
