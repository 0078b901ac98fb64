//! P5, and the adapters of P11: host networks, the Host Network Service, addresses, routes.

use super::{Judged, against, lost};
use crate::baseline::Baseline;
use crate::host::{Adapter, EventSpan, Host, HostNetwork, HostResult, Route, is_apipa};
use jiff::Timestamp;

/// Name of the Host Network Service.
const HNS: &str = "hns";

/// Threads at which HNS counts as deadlocked: 200, as in the network health script of Azure's node images (`AgentBaker`).
const MOST_THREADS: u32 = 200;

/// Free ports of the dynamic range below which connections fail: 10, from the same script.
const FEWEST_PORTS: u32 = 10;

/// States of an endpoint that lead nowhere (HNS schema, `State`).
const BAD_STATES: [&str; 3] = ["Degraded", "Destroyed", "Detached"];

/// How Windows names the host's side of virtual networks. HNS makes these adapters anew, with other addresses.
const VIRTUAL: &str = "vEthernet";

/// What the service manager logs when a service ends by itself (events 7031 and 7034).
const CRASHES: [&str; 2] = ["Service Control Manager/7031/hns", "Service Control Manager/7034/hns"];

/// The networks of before are there, and no host address on them is one that the machine gave itself.
pub(super) fn networks(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    against(&before.networks, host.host_networks(), |was, now| {
        let judged = lost("host networks", &names(was), &names(&now));
        let lone = now.iter().find(|n| n.management_ip.is_some_and(is_apipa));
        match lone {
            Some(network) => {
                let detail =
                    format!("host network {} has an address that the machine gave itself (APIPA)", network.name);
                Judged::pass_if(false, "169.254.0.0/16", "an address of the network", detail)
            }
            None => judged,
        }
    })
}

fn names(networks: &[HostNetwork]) -> Vec<String> {
    networks.iter().map(|n| n.name.clone()).collect()
}

/// The Host Network Service is neither deadlocked nor did it crash, and no endpoint leads nowhere.
pub(super) fn hns(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    if before.networks.is_err() {
        return against(&before.networks, host.host_networks(), |_, _| Judged::inconclusive(""));
    }
    let mut wrong = vec![];
    // A service that does not run has none; that it does not is the concern of another check.
    let process = host.service(HNS)?.and_then(|s| s.process);
    let Some(threads) = process.map_or(Some(0), |p| p.threads) else {
        return Ok(Judged::inconclusive("the threads of hns could not be counted"));
    };
    if threads > MOST_THREADS {
        wrong.push(format!("hns has {threads} threads, which is a deadlock"));
    }
    let bad = |state: &str| BAD_STATES.iter().any(|b| b.eq_ignore_ascii_case(state));
    let endpoints = host.host_endpoints()?;
    wrong.extend(endpoints.iter().filter(|e| bad(&e.state)).map(|e| format!("endpoint {} is {}", e.id, e.state)));
    // A log that can not be read is the concern of another check.
    let events = host.critical_events(EventSpan::SinceBoot).unwrap_or_default();
    wrong.extend(events.into_iter().filter(|e| CRASHES.iter().any(|c| c.eq_ignore_ascii_case(e))));
    let ports = host.dynamic_ports_left()?;
    if ports <= FEWEST_PORTS {
        wrong.push(format!("{ports} dynamic ports are left"));
    }
    let good = format!("{} endpoints, {threads} threads, {ports} dynamic ports left", endpoints.len());
    let threshold =
        format!("at most {MOST_THREADS} threads, more than {FEWEST_PORTS} ports, no endpoint in a bad state");
    Ok(Judged::all(&wrong, &threshold, good))
}

/// The adapters of before are there and up, with their fixed addresses, name servers and ways out.
pub(super) fn adapters(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    let adapters = against(&before.adapters, host.adapters(), |was, now| {
        let mut wrong: Vec<String> = was.iter().filter(|a| !is_virtual(a)).filter_map(|a| changed(a, &now)).collect();
        wrong.extend(was.iter().flat_map(|a| addresses_lost(a, &now)));
        Judged::all(&wrong, "as before the update", format!("{} adapters are as before", was.len()))
    })?;
    if adapters.verdict != windlass_protocol::Verdict::Pass {
        return Ok(adapters);
    }
    against(&before.routes, host.routes(), |was, now| {
        let wrong: Vec<String> = was.iter().filter(|r| is_way_out(r)).filter_map(|r| route_lost(r, &now)).collect();
        Judged::all(&wrong, "as before the update", adapters.detail.clone())
    })
}

fn is_virtual(adapter: &Adapter) -> bool {
    adapter.name.starts_with(VIRTUAL)
}

fn changed(was: &Adapter, now: &[Adapter]) -> Option<String> {
    let name = &was.name;
    let Some(same) = now.iter().find(|a| a.mac == was.mac && !is_virtual(a)) else {
        return Some(format!("adapter {name} ({}) is gone", was.mac));
    };
    // The address of a bridged adapter moves to its virtual side: all adapters are looked at for it.
    let dns_anywhere = now.iter().any(|a| !a.dns_servers.is_empty());
    if was.up && !same.up {
        return Some(format!("adapter {name} is down"));
    }
    if same.has_apipa() && !was.has_apipa() {
        return Some(format!("adapter {name} gave itself an address (APIPA)"));
    }
    (!was.dns_servers.is_empty() && !dns_anywhere).then(|| format!("adapter {name} lost its name servers"))
}

/// Fixed addresses that no adapter has any more. A bridge may move one to another adapter.
fn addresses_lost(was: &Adapter, now: &[Adapter]) -> Vec<String> {
    let fixed = was.addresses.iter().filter(|a| !was.dhcp && a.is_ipv4() && !is_apipa(**a));
    let gone = fixed.filter(|address| !now.iter().any(|a| a.addresses.contains(address)));
    gone.map(|address| format!("address {address} is gone")).collect()
}

/// Default routes, and routes to a single address: what a cloud's metadata service is reached by.
fn is_way_out(route: &Route) -> bool {
    route.prefix == 0 || (route.prefix == 32 && is_apipa(route.destination))
}

fn route_lost(was: &Route, now: &[Route]) -> Option<String> {
    let there = now.iter().any(|r| r.destination == was.destination && r.prefix == was.prefix);
    (!there).then(|| format!("the route to {}/{} is gone", was.destination, was.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::events as shape;

    /// A crash by a name that no event gives would never be seen.
    #[test]
    fn a_crash_is_seen_in_a_real_event() {
        for (crash, id) in CRASHES.iter().zip(["7031", "7034"]) {
            let event = shape::sample("Service Control Manager", id, "Host Network Service", &shape::binary(HNS));
            assert_eq!(shape::kind(&event).as_deref(), Some(*crash));
        }
    }
}
