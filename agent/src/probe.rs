//! The machine against its baseline: probes P3 to P5 and P10 to P14 of the catalogue, and the build.
//!
//! Every check says what it measured, what would pass, and why. What could not be read, or has nothing to be compared
//! with, is inconclusive, and never a pass; but what could not be read before the update either is as it was.

mod events;
mod network;
mod services;
mod system;

pub(crate) use services::restless;
pub(crate) use system::clock;

use crate::baseline::{Baseline, Read};
use crate::host::{Host, HostResult};
use jiff::Timestamp;
use std::collections::BTreeSet;
use windlass_protocol::{HostCheck, HostProbe, Verdict};

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    verdict: Verdict,
    value: String,
    threshold: String,
    detail: String,
}

impl Judged {
    fn new(
        verdict: Verdict,
        value: impl Into<String>,
        threshold: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { verdict, value: value.into(), threshold: threshold.into(), detail: detail.into() }
    }

    /// A pass or a failure.
    pub fn pass_if(
        good: bool,
        value: impl Into<String>,
        threshold: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(if good { Verdict::Pass } else { Verdict::Fail }, value, threshold, detail)
    }

    /// Passes where nothing is wrong; `good` is the detail then.
    fn all(wrong: &[String], threshold: &str, good: String) -> Self {
        let detail = if wrong.is_empty() { good } else { wrong.join(", ") };
        let value = if wrong.is_empty() { "0 differences".to_owned() } else { format!("{} wrong", wrong.len()) };
        Self::pass_if(wrong.is_empty(), value, threshold, detail)
    }

    pub fn inconclusive(why: impl Into<String>) -> Self {
        Self::new(Verdict::Inconclusive, "", "", why)
    }

    /// As a check of this name.
    pub fn named(self, name: &str) -> HostCheck {
        let Self { verdict, value, threshold, detail } = self;
        HostCheck { name: name.to_owned(), verdict, value, threshold, detail }
    }
}

/// Checks the machine at `now`.
pub(crate) fn checks(
    probe: &HostProbe,
    baseline: Option<&Baseline>,
    host: &dyn Host,
    now: Timestamp,
) -> Vec<HostCheck> {
    let compared = |name: &str, judge: fn(&Baseline, &dyn Host, Timestamp) -> HostResult<Judged>| {
        let judged = baseline.map_or_else(
            || Ok(Judged::inconclusive("there is no baseline to compare with")),
            |before| judge(before, host, now),
        );
        check(name, judged)
    };
    vec![
        check("build", build(probe, host)),
        compared("services", services::as_before),
        compared("restarts", services::stable),
        compared("runtime", services::runtime),
        compared("networks", network::networks),
        compared("hns", network::hns),
        compared("adapters", network::adapters),
        compared("events", events::new_kinds),
        compared("drivers", system::drivers),
        compared("disks", system::disks),
        compared("bitlocker", system::bitlocker),
        check("freeSpace", system::free_space(host)),
        check("reboot", system::reboot(host)),
        check("clock", system::clock(baseline, host)),
        compared("domain", system::domain),
        compared("memory", system::memory),
    ]
}

fn check(name: &str, judged: HostResult<Judged>) -> HostCheck {
    judged.unwrap_or_else(|e| Judged::inconclusive(e.to_string())).named(name)
}

/// Judges what is read now against what was read before. Where both fail, the machine is as it was; where only one does,
/// nothing is known.
fn against<T>(before: &Read<T>, now: HostResult<T>, judge: impl FnOnce(&T, T) -> Judged) -> HostResult<Judged> {
    match (before, now) {
        (Ok(before), Ok(now)) => Ok(judge(before, now)),
        (Ok(_), Err(e)) => Err(e),
        (Err(why), Ok(_)) => Ok(Judged::new(Verdict::Pass, "", "", format!("it could not be read before: {why}"))),
        (Err(_), Err(e)) => Ok(Judged::new(Verdict::Pass, "", "", format!("not to be read, now as before: {e}"))),
    }
}

fn build(probe: &HostProbe, host: &dyn Host) -> HostResult<Judged> {
    let (here, want) = (host.build()?, probe.expected_build);
    if probe.exact {
        return Ok(Judged::pass_if(
            here == want,
            here.to_string(),
            want.to_string(),
            format!("{here}, exactly {want} is wanted"),
        ));
    }
    let good = here.same_os(want) && here >= want;
    Ok(Judged::pass_if(
        good,
        here.to_string(),
        format!("at least {want}"),
        format!("{here}, at least {want} is wanted"),
    ))
}

/// What the baseline has must still be there; more is no fault.
fn lost(what: &str, before: &[String], now: &[String]) -> Judged {
    let gone = minus(before, now);
    let detail = if gone.is_empty() {
        format!("all {} {what} are there", before.len())
    } else {
        format!("{what} lost: {}", gone.join(", "))
    };
    let threshold = format!("all {} of before", before.len());
    Judged::pass_if(gone.is_empty(), format!("{} lost", gone.len()), threshold, detail)
}

/// What is in `all` and not in `less`, sorted, each once.
fn minus(all: &[String], less: &[String]) -> Vec<String> {
    let less: BTreeSet<_> = less.iter().collect();
    let rest: BTreeSet<_> = all.iter().filter(|name| !less.contains(name)).cloned().collect();
    rest.into_iter().collect()
}
