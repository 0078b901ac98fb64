//! The machine against its baseline.
//!
//! What could not be read, or has nothing to be compared with, is inconclusive: never a pass.

use crate::host::{DriverClass, EventSpan, Host, HostResult};
use crate::preflight::MIN_FREE_BYTES;
use std::collections::BTreeSet;
use windlass_protocol::{Baseline, HostCheck, HostProbe, ServiceState, Verdict};

/// Writes down the machine as it is before the update.
pub(crate) fn baseline(host: &dyn Host) -> HostResult<Baseline> {
    Ok(Baseline {
        build: host.build()?,
        services: host.automatic_services()?,
        networks: networks(host)?,
        disks: host.disks()?,
        drivers: drivers(host)?,
        critical_events: host.critical_events(EventSpan::Kept)?,
        free_bytes: host.free_bytes()?,
    })
}

fn networks(host: &dyn Host) -> HostResult<Vec<String>> {
    Ok(host.host_networks()?.into_iter().map(|n| n.name).collect())
}

fn drivers(host: &dyn Host) -> HostResult<Vec<String>> {
    let all = host.drivers()?.into_iter().filter(|d| d.class == DriverClass::Network);
    Ok(all.map(|d| d.service).collect())
}

/// Checks the machine.
pub(crate) fn checks(probe: &HostProbe, baseline: Option<&Baseline>, host: &dyn Host) -> Vec<HostCheck> {
    vec![
        check("build", build(probe, host)),
        check("services", compared(baseline, |b| services(b, host))),
        check("networks", compared(baseline, |b| Ok(lost("host networks", &b.networks, &networks(host)?)))),
        check("disks", compared(baseline, |b| Ok(lost("disks", &b.disks, &host.disks()?)))),
        check("drivers", compared(baseline, |b| Ok(lost("network drivers", &b.drivers, &drivers(host)?)))),
        check("events", compared(baseline, |b| events(b, host))),
        check("freeSpace", free_space(host)),
        check("reboot", reboot(host)),
    ]
}

type Judged = (Verdict, String);

fn check(name: &str, judged: HostResult<Judged>) -> HostCheck {
    let (verdict, detail) = judged.unwrap_or_else(|e| (Verdict::Inconclusive, e.to_string()));
    HostCheck { name: name.to_owned(), verdict, detail }
}

fn compared(baseline: Option<&Baseline>, judge: impl FnOnce(&Baseline) -> HostResult<Judged>) -> HostResult<Judged> {
    baseline.map_or_else(|| Ok((Verdict::Inconclusive, "there is no baseline".to_owned())), judge)
}

fn pass_if(good: bool, detail: String) -> Judged {
    (if good { Verdict::Pass } else { Verdict::Fail }, detail)
}

fn build(probe: &HostProbe, host: &dyn Host) -> HostResult<Judged> {
    let (here, want) = (host.build()?, probe.expected_build);
    if probe.exact {
        return Ok(pass_if(here == want, format!("{here}, exactly {want} is wanted")));
    }
    Ok(pass_if(here.same_os(want) && here >= want, format!("{here}, at least {want} is wanted")))
}

fn services(baseline: &Baseline, host: &dyn Host) -> HostResult<Judged> {
    let now = host.automatic_services()?;
    let running =
        || baseline.services.iter().filter(|(_, state)| **state == ServiceState::Running).map(|(name, _)| name);
    let down: Vec<String> = running()
        .filter_map(|name| match now.get(name).copied().unwrap_or(ServiceState::Missing) {
            ServiceState::Running => None,
            ServiceState::Stopped => Some(format!("{name} is stopped")),
            ServiceState::Missing => Some(format!("{name} is missing")),
        })
        .collect();
    let detail = if down.is_empty() { format!("{} run as before", running().count()) } else { down.join(", ") };
    Ok(pass_if(down.is_empty(), detail))
}

/// What the baseline has must still be there; more is no fault.
fn lost(what: &str, before: &[String], now: &[String]) -> Judged {
    let gone = minus(before, now);
    let detail = if gone.is_empty() {
        format!("all {} {what} are there", before.len())
    } else {
        format!("{what} lost: {}", gone.join(", "))
    };
    pass_if(gone.is_empty(), detail)
}

fn events(baseline: &Baseline, host: &dyn Host) -> HostResult<Judged> {
    let new = minus(&host.critical_events(EventSpan::SinceBoot)?, &baseline.critical_events);
    let detail =
        if new.is_empty() { "no new kind of critical event".to_owned() } else { format!("new: {}", new.join(", ")) };
    Ok(pass_if(new.is_empty(), detail))
}

fn free_space(host: &dyn Host) -> HostResult<Judged> {
    let free = host.free_bytes()?;
    Ok(pass_if(free >= MIN_FREE_BYTES, format!("{free} bytes free, {MIN_FREE_BYTES} are wanted")))
}

fn reboot(host: &dyn Host) -> HostResult<Judged> {
    let signals = host.reboot_signals()?;
    let detail = if signals.due() { "a reboot is pending" } else { "no reboot is pending" };
    Ok(pass_if(!signals.due(), detail.to_owned()))
}

/// What is in `all` and not in `less`, sorted, each once.
fn minus(all: &[String], less: &[String]) -> Vec<String> {
    let less: BTreeSet<_> = less.iter().collect();
    let rest: BTreeSet<_> = all.iter().filter(|name| !less.contains(name)).cloned().collect();
    rest.into_iter().collect()
}
