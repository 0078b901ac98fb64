//! The story of faults: when each begins on a machine, and when it is over.

use super::Cluster;
use jiff::Timestamp;
use std::collections::BTreeMap;

impl Cluster {
    /// Tells which faults have begun on a machine since this was last asked, and which are over.
    pub(super) fn tell_faults(&mut self, index: usize, name: &str, now: Timestamp) {
        if !self.books.telling {
            return;
        }
        let Some(machine) = self.world.machine(name) else { return };
        let known = &mut self.fleet.kubelets[index].faults;
        let begun: BTreeMap<&str, bool> =
            machine.begun().map(|(fault, goes_on)| (fault.name.as_str(), goes_on)).collect();
        let mut lines = Vec::new();
        for (fault, told) in known.iter_mut().filter(|(fault, told)| **told && !goes_on(&begun, fault)) {
            lines.push(format!("{name}: fault {fault} is over"));
            *told = false;
        }
        for (fault, goes_on) in begun {
            let before = known.get(fault).copied();
            if before == Some(goes_on) || before.is_some() && !goes_on {
                continue;
            }
            lines.push(format!("{name}: fault {fault} begins"));
            if !goes_on {
                lines.push(format!("{name}: fault {fault} is over"));
            }
            known.insert(fault.to_owned(), goes_on);
        }
        for line in lines {
            self.books.tell(now, || line);
        }
    }
}

fn goes_on(begun: &BTreeMap<&str, bool>, fault: &str) -> bool {
    begun.get(fault).copied().unwrap_or(false)
}
