//! Faults that are drawn by chance: what goes wrong around the operator, and with some machines.

use super::Setup;
use super::acts::Act;
use super::calls::{Boundary, Kill, Trouble, What, When};
use crate::config::Faults;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;
use windlass_protocol::KbId;
use winfleet::scenario::{Deed, Effect, Fault, Gate, Heals, Period, Phase, Where};

/// Keeps these draws apart from others of the same seed.
const SALT: u64 = 0x5eed_fa17;
/// In which time after the start troubles begin, as a power of two of seconds: from at once to nine hours. Each doubling is
/// as likely as the next, so that fleets whose updates take seconds are met as well as those whose take hours.
const WITHIN: f64 = 15.0;
/// How long is watched after the end: snapshots that are retained for an hour, as those of our fleets, must have gone by then,
/// with all the patience that the auditor has.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(4);
/// Error codes of Windows Update that a download or an installation ends with: a lost connection, a full component store.
const CODES: [u32; 2] = [0x8024_402C, 0x800F_0922];

/// Adds faults to a setup, as its seed has it.
pub fn add(setup: &mut Setup, faults: Faults) {
    let (troubles, kills, machines) = match faults {
        Faults::None => return,
        Faults::Light => (2, 1, 1),
        Faults::Heavy => (8, 6, 4),
    };
    setup.afterwards = AFTERWARDS;
    let mut rng = Rng::with_seed(setup.seed ^ SALT);
    for _ in 0..rng.usize(0..=troubles) {
        setup.troubles.push(trouble(&mut rng, setup.start));
    }
    for _ in 0..rng.usize(0..=kills) {
        setup.kills.push(kill(&mut rng, setup.start));
    }
    let kbs: Vec<KbId> = setup.scenario.updates.iter().map(|update| update.kb).collect();
    for number in 0..rng.usize(0..=machines) {
        let kb = if kbs.is_empty() { None } else { rng.choice(kbs.iter().copied()) };
        setup.scenario.faults.push(fault(&mut rng, number, kb));
    }
    let rollouts = setup.manifests.iter().filter(|manifest| manifest.object["kind"] == "UpdateRollout");
    let approvals = rollouts.flat_map(|rollout| approvals(&mut rng, setup.start, &rollout.object)).collect::<Vec<_>>();
    setup.acts.extend(approvals);
}

/// A person who lets a rollout go on that has halted, whenever it is looked at.
fn approvals(rng: &mut Rng, start: Timestamp, rollout: &Value) -> Vec<Act> {
    let what = Deed::Approve {
        rollout: rollout["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        gate: Gate::Resume,
        approver: "alice".to_owned(),
        comment: None,
        expires_after: Period::hours(1),
    };
    (0..rng.usize(0..=2)).map(|_| Act { at: start + early(rng), what: what.clone() }).collect()
}

fn trouble(rng: &mut Rng, start: Timestamp) -> Trouble {
    let from = start + early(rng);
    let what = match rng.u8(0..8) {
        0 => What::Down,
        1 => What::Slow(Duration::from_millis(rng.u64(100..20_000))),
        2 => What::Conflicts(rng.u64(2..10)),
        3 => What::Stale(Duration::from_secs(rng.u64(1..60))),
        4 => What::EvictionsRefused,
        5 => What::HypervisorDown,
        6 => What::HypervisorThrottled(rng.u64(2..5), Duration::from_secs(rng.u64(1..30))),
        _ => What::HypervisorLate(Duration::from_secs(rng.u64(1..20))),
    };
    Trouble { from, until: from + early(rng), what }
}

fn kill(rng: &mut Rng, start: Timestamp) -> Kill {
    let side = if rng.bool() { Boundary::Before } else { Boundary::After };
    let when = if rng.bool() { When::Call(rng.u64(1..2000), side) } else { When::At(start + early(rng)) };
    Kill { when, down_for: Duration::from_secs(rng.u64(1..120)) }
}

/// A time that is rather short than long.
fn early(rng: &mut Rng) -> SignedDuration {
    SignedDuration::from_secs_f64((rng.f64() * WITHIN).exp2())
}

/// A fault of some machines: with an update, or without.
fn fault(rng: &mut Rng, number: usize, kb: Option<KbId>) -> Fault {
    let (phase, effect) = effect(rng);
    let of_update = matches!(phase, Phase::Stage | Phase::Install | Phase::Boot | Phase::Running);
    let heals = [Heals::Restore, Heals::Restart, Heals::Never][rng.usize(0..3)];
    Fault {
        name: format!("chance-{number}"),
        when: winfleet::scenario::When {
            phase: Some(phase),
            kb: kb.filter(|_| of_update && rng.u8(0..4) > 0),
            delay: Period::seconds(rng.u32(0..600)),
            ..winfleet::scenario::When::default()
        },
        r#where: Where { chance: Some(0.02 + rng.f64() * 0.3), ..Where::default() },
        effects: vec![effect],
        lasts: None,
        ramps: None,
        intermittent: None,
        times: rng.bool().then(|| rng.u32(1..4)),
        heals,
    }
}

fn effect(rng: &mut Rng) -> (Phase, Effect) {
    let by = Period::seconds(rng.u32(30..3600));
    let hresult = CODES[rng.usize(0..CODES.len())];
    match rng.u8(0..18) {
        0 => (Phase::Stage, Effect::DownloadFails { hresult }),
        1 => (Phase::Stage, Effect::UpdateWithdrawn),
        2 => (Phase::Install, Effect::InstallFails { hresult }),
        3 => (Phase::Install, Effect::InstallHangs),
        4 => (Phase::Install, Effect::BuildUnchanged),
        5 => (Phase::Install, Effect::RoundsNeeded { n: 2 }),
        6 => (Phase::Boot, Effect::RebootNeverReturns),
        7 => (Phase::Boot, Effect::BootLoop),
        8 => (Phase::Boot, Effect::SlowBoot { by }),
        9 => (Phase::Running, Effect::PodNetworkDead),
        10 => (Phase::Running, Effect::DnsDead),
        11 => (Phase::Running, Effect::NewPodsDoNotStart),
        12 => (Phase::Running, Effect::KubeletDead),
        13 => (Phase::Running, Effect::MachineReplaced),
        14 => (Phase::Snapshot, Effect::SnapshotFails),
        15 => (Phase::Snapshot, Effect::SnapshotTimesOutButExists),
        16 => (Phase::Restore, Effect::RestoreFails),
        _ => (Phase::Restore, Effect::RestoreDetachesRoot),
    }
}
