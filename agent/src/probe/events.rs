//! P10: new kinds of critical events since the boot.

use super::{Judged, against, minus};
use crate::baseline::Baseline;
use crate::host::{EventSpan, Host, HostResult};
use crate::rows::rows;
use jiff::Timestamp;

/// Kinds that come with some updates and mean nothing, one a line: kind, why, source. New ones are added there.
const HARMLESS: &str = include_str!("harmless-events.csv");

/// No kind of critical event is new, but for those that are known to be harmless.
pub(super) fn new_kinds(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    against(&before.events, host.critical_events(EventSpan::SinceBoot), |was, now| {
        let (harmless, grave): (Vec<String>, Vec<String>) =
            minus(&now, was).into_iter().partition(|kind| why_harmless(kind).is_some());
        let detail = match (grave.is_empty(), harmless.is_empty()) {
            (false, _) => format!("new: {}", grave.join(", ")),
            (true, true) => "no new kind of critical event".to_owned(),
            (true, false) => format!("only harmless ones are new: {}", harmless.join(", ")),
        };
        Judged::pass_if(grave.is_empty(), format!("{} new kinds", grave.len()), "0 new kinds", detail)
    })
}

/// Why a kind of event is harmless, if it is.
fn why_harmless(kind: &str) -> Option<&'static str> {
    rows::<3>(HARMLESS).find(|[harmless, ..]| harmless.eq_ignore_ascii_case(kind)).map(|[_, why, _]| why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::lines;
    use crate::shape::events as shape;

    /// A kind that no event has would excuse nothing.
    #[test]
    fn each_row_is_the_kind_of_a_real_event() {
        for [row, _, _] in rows(HARMLESS) {
            let mut words = row.splitn(3, '/');
            let (source, id) = (words.next().expect("a source"), words.next().expect("a number"));
            let service = words.next().map(shape::binary).unwrap_or_default();
            let prefix = if ["DistributedCOM", "TPM-WMI"].contains(&source) { "Microsoft-Windows-" } else { "" };
            let event = shape::sample(&format!("{prefix}{source}"), id, "ein Dienst", &service);
            assert_eq!(shape::kind(&event).as_deref(), Some(row));
        }
    }

    /// KB5049983 of January 2025: this event at each boot, and nothing wrong.
    #[test]
    fn the_retired_broker_of_2025_is_harmless() {
        let broker = "5300670072006D00420072006F006B00650072000000";
        let event = shape::sample("Service Control Manager", "7023", "System Guard Runtime Monitor Broker", broker);
        assert!(why_harmless(&shape::kind(&event).expect("a kind")).is_some());
    }

    /// The updates of Windows since October 2025 tell at each boot how far Secure Boot's certificates of 2023 are. What was
    /// tried and failed (the firmware refused: 1795; an error while a variable was written: 1796; a boot manager or a
    /// certificate that it builds on is not there: 1797, 1798) is something else.
    #[test]
    fn what_secure_boot_has_yet_to_do_is_harmless_and_what_it_failed_at_is_not() {
        let harmless = |id: &str| {
            let event = shape::sample("Microsoft-Windows-TPM-WMI", id, "", "");
            why_harmless(&shape::kind(&event).expect("a kind")).is_some()
        };
        for id in ["1801", "1802", "1803"] {
            assert!(harmless(id), "{id}");
        }
        for id in ["1032", "1795", "1796", "1797", "1798"] {
            assert!(!harmless(id), "{id}");
        }
    }

    #[test]
    fn each_row_says_what_why_and_from_where() {
        assert_eq!(rows::<3>(HARMLESS).count(), lines(HARMLESS).count(), "each line has three parts");
        for [kind, why, source] in rows(HARMLESS) {
            assert!(kind.split('/').nth(1).is_some_and(|id| id.parse::<u32>().is_ok()), "{kind}");
            assert!(!why.is_empty() && !source.is_empty(), "{kind}");
        }
        assert!(why_harmless("service control manager/7023/SgrmBroker").is_some());
        assert!(why_harmless("BugCheck/1001").is_none());
    }
}
