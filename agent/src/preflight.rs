//! What must hold before anything is touched, and what is worth telling.
//!
//! Everything is looked at, so that one report tells all of it; the first finding that forbids the work is its error.
//! What the machine's owner has set up (BitLocker, time, power) is told and left alone.

mod owners;

pub(crate) use owners::deadlines;

use crate::host::{BitLocker, Host, HostResult, StoreHealth};
use crate::probe::{self, Judged};
use crate::state::error;
use crate::trouble::Trouble;
use windlass_protocol::{AutomaticUpdates, ErrorClass, HostCheck, Verdict};

/// Free space an update needs on the system disk, in bytes: 8 GiB. A cumulative update of Windows Server 2025 has up
/// to 2.5 GB of download and unpacks to several times that; below 8 GB Microsoft's own health checks warn.
const MIN_FREE_BYTES: u64 = 8 << 30;

/// One finding.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub check: HostCheck,
    /// Why the work must not begin, where it must not.
    pub error: Option<Trouble>,
}

/// Looks at the machine; changes nothing. What the component store was found to be is kept in `store` for the next look of
/// the same work.
pub(crate) fn look(host: &dyn Host, automatic: AutomaticUpdates, store: &mut Option<Finding>) -> Vec<Finding> {
    let servicing = must("servicing", servicing(host));
    let idle = servicing.check.verdict == Verdict::Pass;
    let mut findings = vec![
        must("freeSpace", free_space(host)),
        servicing,
        must("reboot", reboot(host)),
        store_once(host, idle, store),
        must("automaticUpdates", owners::automatic_updates(host, automatic)),
        may("power", power(host)),
        told("bitlocker", bitlocker(host)),
        told("clock", probe::clock(None, host)),
    ];
    findings.extend(owners::others(host).into_iter().map(|check| Finding { check, error: None }));
    findings
}

/// What one look came to, and why it forbids the work, where it does.
type Looked = HostResult<(Judged, Option<Trouble>)>;

/// A look that every machine can take: one that fails forbids the work.
fn must(name: &str, looked: Looked) -> Finding {
    match looked {
        Ok((judged, error)) => Finding { check: judged.named(name), error },
        Err(e) => Finding { check: Judged::inconclusive(e.to_string()).named(name), error: Some(e.into()) },
    }
}

/// A look that not every machine can take: one that fails is told.
fn may(name: &str, looked: Looked) -> Finding {
    let mut finding = must(name, looked);
    if finding.check.verdict == Verdict::Inconclusive {
        finding.error = None;
    }
    finding
}

/// Something that is told only.
fn told(name: &str, judged: HostResult<Judged>) -> Finding {
    may(name, judged.map(|judged| (judged, None)))
}

fn unless(good: bool, judged: Judged, class: ErrorClass, text: impl Into<String>) -> (Judged, Option<Trouble>) {
    (judged, (!good).then(|| error(class, text).into()))
}

fn free_space(host: &dyn Host) -> Looked {
    let free = host.free_bytes()?;
    let text = format!("free space: {free} bytes, an update needs {MIN_FREE_BYTES}");
    let good = free >= MIN_FREE_BYTES;
    let judged = Judged::pass_if(good, format!("{free} bytes"), format!("{MIN_FREE_BYTES} bytes"), text.clone());
    Ok(unless(good, judged, ErrorClass::DiskFull, text))
}

/// Work of somebody else comes to its end, and may be no more than what a search of a moment ago left running: it is
/// waited for.
fn servicing(host: &dyn Host) -> Looked {
    let busy = host.servicing_busy()?;
    let detail = if busy { "something is installing on this machine" } else { "nothing is being installed" };
    let judged = Judged::pass_if(!busy, detail, "nothing is being installed", detail);
    let text = "servicing: something else is installing on this machine";
    Ok((judged, busy.then(|| Trouble::Busy(error(ErrorClass::Retriable, text)))))
}

fn reboot(host: &dyn Host) -> Looked {
    let signals = host.reboot_signals()?;
    let by = if signals.update_agent { "the update service" } else { "packages that are pending" };
    let detail = match (signals.due(), signals.servicing_lingers) {
        (true, _) => format!("one is pending, wanted by {by}"),
        (false, true) => "none is pending; servicing's mark of the last one lingers, which means nothing".to_owned(),
        (false, false) => "none is pending".to_owned(),
    };
    let judged = Judged::pass_if(!signals.due(), "", "", detail);
    Ok(unless(!signals.due(), judged, ErrorClass::RebootFirst, format!("reboot: one is pending, wanted by {by}")))
}

/// The component store, asked once, and only while servicing is idle: DISM starts servicing to answer, and servicing lives on
/// for minutes. Asked at each look, it would itself be what the looks wait for.
fn store_once(host: &dyn Host, idle: bool, seen: &mut Option<Finding>) -> Finding {
    match seen {
        Some(seen) => seen.clone(),
        None if idle => seen.insert(may("componentStore", component_store(host))).clone(),
        None => told(
            "componentStore",
            Ok(Judged::inconclusive("not asked: the question starts servicing, which is not idle")),
        ),
    }
}

fn component_store(host: &dyn Host) -> Looked {
    let health = host.component_store()?;
    let good = health == StoreHealth::Healthy;
    let help = match health {
        StoreHealth::Healthy => "nothing is noted against it",
        StoreHealth::Repairable => "it is damaged: run DISM /Online /Cleanup-Image /RestoreHealth",
        StoreHealth::Corrupt => "it is damaged beyond repair: give the machine another image",
    };
    let judged = Judged::pass_if(good, format!("{health:?}"), "Healthy", help);
    Ok(unless(good, judged, ErrorClass::Permanent, format!("component store: {help}")))
}

fn power(host: &dyn Host) -> Looked {
    let battery = host.on_battery()?;
    let detail = if battery { "on battery" } else { "on mains" };
    let text = "power: the machine runs on its battery";
    Ok(unless(!battery, Judged::pass_if(!battery, detail, "on mains", detail), ErrorClass::Retriable, text))
}

/// An update of the boot chain may ask for the recovery key where BitLocker is on. Suspending it is its owner's decision.
fn bitlocker(host: &dyn Host) -> HostResult<Judged> {
    let state = host.bitlocker()?;
    let detail = match state {
        BitLocker::Off => "the system disk is not protected",
        BitLocker::On => "on: a change of the boot chain may ask for the recovery key at the reboot; left as it is",
        BitLocker::Suspended => "its protectors are suspended; left as it is",
        BitLocker::Unknown => "it could not be told",
    };
    Ok(match state {
        BitLocker::Unknown => Judged::inconclusive(detail),
        BitLocker::Off | BitLocker::On | BitLocker::Suspended => {
            Judged::pass_if(true, format!("{state:?}"), "", detail)
        }
    })
}
