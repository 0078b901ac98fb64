//! What there is in the place of something that is named and is not there.

use super::MachineSpec;
use std::collections::BTreeSet;
use windlass_protocol::KbId;

/// How many names are listed.
const MOST: usize = 12;

/// The end of a sentence: the names that there are.
pub fn of_names(names: &BTreeSet<&str>) -> String {
    if names.is_empty() { "; there is none".to_owned() } else { format!("; there is: {}", listed(names)) }
}

/// The end of a sentence: for each label that no machine has with this value, the values that machines have.
pub fn of_labels<'a>(wanted: impl Iterator<Item = (&'a str, &'a str)>, machines: &[MachineSpec]) -> String {
    let one = |(key, value): (&str, &str)| {
        let there: BTreeSet<&str> =
            machines.iter().filter_map(|machine| machine.labels.get(key)).map(String::as_str).collect();
        match (there.contains(value), there.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("; no machine has the label {key}{}", other_labels(machines)),
            (false, false) => format!("; machines have {key}: {}", listed(&there)),
        }
    };
    wanted.map(one).collect()
}

fn other_labels(machines: &[MachineSpec]) -> String {
    let keys: BTreeSet<&str> = machines.iter().flat_map(|machine| machine.labels.keys()).map(String::as_str).collect();
    if keys.is_empty() { String::new() } else { format!("; machines have the labels {}", listed(&keys)) }
}

/// The end of a sentence: the OS builds that machines have, where none has one of those that are wanted.
pub(super) fn of_os_builds(wanted: &[String], machines: &[MachineSpec]) -> String {
    let there: BTreeSet<String> = machines.iter().map(|machine| machine.group.build.os_build()).collect();
    if wanted.is_empty() || wanted.iter().any(|one| there.contains(one)) {
        return String::new();
    }
    format!("; machines have the OS builds {}", listed(&there.iter().map(String::as_str).collect()))
}

/// The end of a sentence: the machines that there are.
pub fn of_machines(machines: &[MachineSpec]) -> String {
    of_names(&machines.iter().map(|machine| machine.name.as_str()).collect())
}

/// The end of a sentence: the updates that there are.
pub fn of_kbs<'a>(kbs: impl IntoIterator<Item = &'a KbId>) -> String {
    let kbs: BTreeSet<String> = kbs.into_iter().map(KbId::to_string).collect();
    of_names(&kbs.iter().map(String::as_str).collect())
}

/// The end of a sentence: the traits that machines have, where one that is wanted is not among them.
pub(super) fn of_traits(wanted: &[String], machines: &[MachineSpec]) -> String {
    let there: BTreeSet<&str> = machines.iter().flat_map(|machine| &machine.group.traits).map(String::as_str).collect();
    match (wanted.iter().all(|one| there.contains(one.as_str())), there.is_empty()) {
        (true, _) => String::new(),
        (false, true) => "; no machine has any trait".to_owned(),
        (false, false) => format!("; machines have the traits {}", listed(&there)),
    }
}

/// The names, or the first ones of very many.
fn listed(names: &BTreeSet<&str>) -> String {
    let shown = names.iter().copied().take(MOST).collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}
