//! P3 and P4: services, kubelet, container runtime.

use super::{Judged, against};
use crate::baseline::{Baseline, watched};
use crate::host::{Host, HostResult, Service, StartMode};
use crate::rows::rows;
use jiff::{SignedDuration, Timestamp};
use windlass_protocol::{ServiceState, Verdict};

/// How long a service must run to count as stable, and how long after a boot starting is nothing odd: 300 s, the time
/// after which node-problem-detector's Windows health checker believes a service.
const STABLE: SignedDuration = SignedDuration::from_secs(300);

/// `StatusOk` of the kubelet's `/healthz`.
const HEALTHY: u16 = 200;

/// Services that come and go by themselves, one a line: service, why, source. New ones are added there.
const RESTLESS: &str = include_str!("restless-services.csv");

/// Whether a service comes and goes by itself. That it ran before is no reason for it to run now, also where a baseline of an
/// agent before this one has it.
pub(crate) fn restless(name: &str) -> bool {
    rows::<3>(RESTLESS).any(|[service, ..]| service.eq_ignore_ascii_case(name))
}

/// What ran before runs now, and what started by itself still does.
pub(super) fn as_before(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    let now = host.automatic_services()?;
    let running = before.services.iter().filter(|(_, state)| **state == ServiceState::Running).map(|(name, _)| name);
    let ran: Vec<&String> = running.filter(|name| !restless(name)).collect();
    let down = ran.iter().filter_map(|name| match now.get(*name).copied().unwrap_or(ServiceState::Missing) {
        ServiceState::Running => None,
        ServiceState::Stopped => Some(format!("{name} is stopped")),
        ServiceState::Missing => Some(format!("{name} is missing")),
    });
    let mut wrong: Vec<String> = down.collect();
    let watched = watched(host)?;
    wrong.extend(before.starts.iter().filter_map(|(name, start)| {
        let now = watched.get(name)?.start;
        let worse = *start == StartMode::Automatic && now != StartMode::Automatic;
        worse.then(|| format!("{name} no longer starts by itself ({now:?})"))
    }));
    let threshold = format!("all {} that ran before", ran.len());
    Ok(Judged::all(&wrong, &threshold, format!("{} run as before", ran.len())))
}

/// No watched service was started again long after the boot, and only just now.
pub(super) fn stable(_: &Baseline, host: &dyn Host, now: Timestamp) -> HostResult<Judged> {
    let boot = host.boot_time()?;
    let services = watched(host)?;
    let young: Vec<String> =
        services.iter().filter_map(|(name, service)| restarted(name, service, boot, now)).collect();
    let threshold = format!("no start later than {} s after the boot and less than that ago", STABLE.as_secs());
    Ok(Judged::all(&young, &threshold, format!("{} services are stable", services.len())))
}

fn restarted(name: &str, service: &Service, boot: Timestamp, now: Timestamp) -> Option<String> {
    let started = service.process?.started?;
    let age = now.duration_since(started);
    let late = started.duration_since(boot) > STABLE;
    (late && age < STABLE).then(|| format!("{name} was started again {} s ago", age.as_secs()))
}

/// Kubelet and container runtime answer, where they did before.
pub(super) fn runtime(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    let kubelet = against(&before.kubelet, host.kubelet_health(), |was, now| {
        let good = now == HEALTHY || *was != HEALTHY;
        Judged::pass_if(good, format!("HTTP {now}"), "HTTP 200", format!("the kubelet's /healthz says {now}"))
    })?;
    if kubelet.verdict != Verdict::Pass {
        return Ok(kubelet);
    }
    against(&before.runtime, host.runtime_answers(), |was, now| {
        let said = if now { "answers" } else { "does not answer" };
        let detail = format!("{}; the container runtime {said}", kubelet.detail);
        Judged::pass_if(now || !was, said, "answers", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::WATCHED;
    use crate::rows::lines;

    #[test]
    fn each_row_names_a_service_says_why_and_from_where() {
        let full = |row: &[&str; 3]| row.iter().all(|column| !column.is_empty());
        assert_eq!(rows(RESTLESS).filter(full).count(), lines(RESTLESS).count());
        assert!(restless("trustedinstaller") && !restless("TermService"));
        assert!(WATCHED.iter().all(|watched| !restless(watched)), "what a node is made of is never let go");
    }
}
