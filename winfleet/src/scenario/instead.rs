//! What there is in the place of something that is named and is not there.

use super::MachineSpec;
use std::collections::BTreeSet;

/// The end of a sentence: the names that there are.
pub fn of_names<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    let names: BTreeSet<&str> = names.into_iter().copied().collect();
    if names.is_empty() {
        return "; there is none".to_owned();
    }
    format!("; there is: {}", names.into_iter().collect::<Vec<_>>().join(", "))
}

/// The end of a sentence: for each label that no machine has with this value, the values that machines have.
pub fn of_labels<'a>(wanted: impl Iterator<Item = (&'a str, &'a str)>, machines: &[MachineSpec]) -> String {
    let one = |(key, value): (&str, &str)| {
        let there: BTreeSet<&str> =
            machines.iter().filter_map(|machine| machine.labels.get(key)).map(String::as_str).collect();
        match (there.contains(value), there.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("; no machine has the label {key}"),
            (false, false) => format!("; machines have {key}: {}", there.into_iter().collect::<Vec<_>>().join(", ")),
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
        (false, false) => format!("; machines have the traits {}", there.into_iter().collect::<Vec<_>>().join(", ")),
    }
}
