//! What there is in the place of something that is named and is not there.

use super::MachineSpec;
use std::collections::BTreeSet;

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
            (false, true) => format!("; no machine has the label {key}"),
            (false, false) => format!("; machines have {key}: {}", listed(&there)),
        }
    };
    wanted.map(one).collect()
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

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
