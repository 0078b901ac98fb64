//! The story of what is wrong around the operator: when each trouble begins, and when it is over.

use super::{Setup, What};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use winfleet::scenario::HypervisorEffect;

/// What is told of the troubles up to the simulation's end.
pub fn told(setup: &Setup, end: Timestamp) -> Vec<(Timestamp, String)> {
    let around = setup.troubles.iter().map(|trouble| (trouble.from, trouble.until, words(trouble.what)));
    let slow = setup.scenario.hypervisor.troubles.iter().filter_map(|trouble| match trouble.effect {
        HypervisorEffect::Slow { by } => {
            let words = format!("the hypervisor's tasks take {} longer", span(by.to_std()));
            Some((trouble.begins(setup.start), trouble.ends(setup.start), words))
        }
        _ => None,
    });
    let lines = around.chain(slow).flat_map(|(from, until, words)| {
        [(from, format!("trouble begins: {words}")), (until, format!("trouble is over: {words}"))]
    });
    lines.filter(|(at, _)| *at <= end).collect()
}

fn words(what: What) -> String {
    match what {
        What::Down => "the API server does not answer".to_owned(),
        What::Slow(by) => format!("the API server answers {} later", span(by)),
        What::Conflicts(every) => format!("one of {every} writes meets another that came before"),
        What::Stale(by) => format!("the operator's caches are {} late", span(by)),
        What::EvictionsRefused => "the API server refuses evictions".to_owned(),
        What::Refused(method, plural, _) => format!("the API server refuses the operator's {method} of {plural}"),
        What::HypervisorDown => "the hypervisor does not answer".to_owned(),
        What::HypervisorThrottled(of, after) => {
            format!("the hypervisor refuses one of {of} requests, to be asked again after {}", span(after))
        }
        What::HypervisorLate(by) => format!("the hypervisor answers {} later", span(by)),
    }
}

fn span(time: Duration) -> String {
    format!("{:#}", SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX))
}
