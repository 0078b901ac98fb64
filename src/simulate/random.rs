//! Faults that are drawn by chance: what goes wrong around the operator, and with some machines.

use super::Setup;
use super::calls::{Boundary, Kill, Trouble, What, When};
use crate::config::Faults;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// What chance has nothing to do with other draws of the same seed.
const SALT: u64 = 0x5eed_fa17;
/// In which time after the start troubles begin, in seconds: a rollout of a small fleet is under way then.
const WITHIN: u64 = 12 * 3600;

/// Adds faults to a setup, as its seed has it.
pub fn add(setup: &mut Setup, faults: Faults) {
    let (troubles, kills) = match faults {
        Faults::None => return,
        Faults::Light => (2, 1),
        Faults::Heavy => (8, 6),
    };
    let mut rng = Rng::with_seed(setup.seed ^ SALT);
    for _ in 0..rng.usize(0..=troubles) {
        setup.troubles.push(trouble(&mut rng, setup.start));
    }
    for _ in 0..rng.usize(0..=kills) {
        setup.kills.push(kill(&mut rng, setup.start));
    }
}

fn trouble(rng: &mut Rng, start: Timestamp) -> Trouble {
    let from = start + seconds(rng.u64(0..WITHIN));
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
    Trouble { from, until: from + seconds(rng.u64(30..1800)), what }
}

fn kill(rng: &mut Rng, start: Timestamp) -> Kill {
    let side = if rng.bool() { Boundary::Before } else { Boundary::After };
    let when =
        if rng.bool() { When::Call(rng.u64(1..2000), side) } else { When::At(start + seconds(rng.u64(0..WITHIN))) };
    Kill { when, down_for: Duration::from_secs(rng.u64(1..120)) }
}

fn seconds(count: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(count).unwrap_or(i64::MAX))
}
