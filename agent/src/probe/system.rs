//! P11 to P14: drivers, disks, BitLocker, free space, pending reboots, time, domain, memory.

use super::{Judged, against, lost, minus};
use crate::baseline::Baseline;
use crate::host::{BitLocker, Driver, Host, HostResult, MemoryUse, SYSTEM_DISK};
use jiff::{SignedDuration, Timestamp};

/// How far a clock may be off: 5 minutes, the skew that Kerberos takes by default (RFC 4120, and Windows' own policy).
pub(crate) const MOST_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Free space that a machine must have left when it is judged, in bytes: 2 GiB, ours. It is enough to go on working with, and
/// far below what is asked for before an update (`preflight`): what the update itself takes of that must not count against
/// the machine, neither after it nor on a disk that was restored to when the download was on it already.
const LEAST_FREE_BYTES: u64 = 2 << 30;

/// Growth of memory in bytes per minute that is a leak: 20 MB, far above what a machine's start-up shows over the time
/// that is looked at, and below what the leak of March 2024 (KB5035857) did to domain controllers.
const MOST_GROWTH: u64 = 20_000_000;

/// Time since the boot that is assumed at least, so that what a start-up takes at once is not read as a slope.
const LEAST_TIME: SignedDuration = SignedDuration::from_mins(5);

/// The drivers of before are there and their devices work. A newer version is what an update may bring.
pub(super) fn drivers(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    against(&before.drivers, host.drivers(), |was, now| {
        let broken: Vec<String> = now.iter().filter_map(|d| broke(d, was)).collect();
        if broken.is_empty() {
            lost("drivers", &names(was), &names(&now))
        } else {
            Judged::all(&broken, "no device with a problem", String::new())
        }
    })
}

fn names(drivers: &[Driver]) -> Vec<String> {
    drivers.iter().map(|d| d.service.clone()).collect()
}

fn broke(driver: &Driver, was: &[Driver]) -> Option<String> {
    let before = was.iter().any(|d| d.device == driver.device && d.problem != 0);
    (driver.problem != 0 && !before).then(|| format!("{} has problem {}", driver.device, driver.problem))
}

/// The machine's own disks of before are online. That of the system is: the machine runs from it, whichever it is now.
///
/// The baseline of an agent before this one has that disk by its serial number, and does not say which of them it is. It
/// has no number any more where it is known, so that one of the numbers, and only one, may be gone.
pub(super) fn disks(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    let mut online: Vec<String> = host.disks()?.into_iter().map(|disk| disk.name).collect();
    let numbered = !before.disks.iter().any(|name| name == SYSTEM_DISK);
    let known = online.iter().any(|name| name == SYSTEM_DISK);
    online.push(SYSTEM_DISK.to_owned());
    if numbered
        && known
        && let [number] = &minus(&before.disks, &online)[..]
    {
        online.push(number.clone());
    }
    Ok(lost("disks", &before.disks, &online))
}

/// BitLocker protects what it protected. (Protectors that were suspended for the reboots may be back.)
pub(super) fn bitlocker(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    against(&before.bitlocker, host.bitlocker(), |was, now| {
        if now == BitLocker::Unknown && *was != now {
            return Judged::inconclusive("it could not be told");
        }
        let good = *was == now || matches!((was, now), (BitLocker::Suspended, BitLocker::On) | (BitLocker::Unknown, _));
        let detail = format!("{now:?} on the system disk, {was:?} before");
        Judged::pass_if(good, format!("{now:?}"), format!("{was:?}"), detail)
    })
}

/// There is room to go on working.
pub(super) fn free_space(host: &dyn Host) -> HostResult<Judged> {
    let free = host.free_bytes()?;
    let detail = format!("{free} bytes free, {LEAST_FREE_BYTES} are wanted");
    Ok(Judged::pass_if(free >= LEAST_FREE_BYTES, format!("{free} bytes"), format!("{LEAST_FREE_BYTES} bytes"), detail))
}

/// No reboot is due.
pub(super) fn reboot(host: &dyn Host) -> HostResult<Judged> {
    let signals = host.reboot_signals()?;
    let detail = if signals.due() { "a reboot is pending" } else { "no reboot is pending" };
    Ok(Judged::pass_if(!signals.due(), detail, "no reboot is pending", detail))
}

/// The clock is right enough for Kerberos and TLS, or no worse than it was: a server that never answers (a firewall
/// between), and a clock that nobody sets, are no doing of an update. A machine without a time server has nothing to be
/// compared with.
pub(crate) fn clock(before: Option<&Baseline>, host: &dyn Host) -> HostResult<Judged> {
    let threshold = format!("less than {} s", MOST_SKEW.as_secs());
    let was = before.map(|before| &before.clock);
    Ok(match (host.clock_ahead(), was) {
        (Err(e), Some(Err(_))) => Judged::pass_if(true, "", "", format!("not to be read, now as before: {e}")),
        (Err(e), Some(Ok(_)) | None) => return Err(e),
        (Ok(None), _) => Judged::pass_if(true, "", threshold, "the machine has no time server"),
        (Ok(Some(ahead)), was) => {
            let before = was.and_then(|was| was.as_ref().ok().copied().flatten());
            let off_before = before.filter(|before| before.abs() >= MOST_SKEW);
            let as_it_was = off_before.filter(|before| (ahead - *before).abs() < MOST_SKEW);
            let detail = match as_it_was {
                Some(before) => format!("{} s off its time server, {} s before", ahead.as_secs(), before.as_secs()),
                None => format!("{} s off its time server", ahead.as_secs()),
            };
            let good = ahead.abs() < MOST_SKEW || as_it_was.is_some();
            Judged::pass_if(good, format!("{} s", ahead.as_secs()), threshold, detail)
        }
    })
}

/// The domain trusts the machine, where it did before.
pub(super) fn domain(before: &Baseline, host: &dyn Host, _: Timestamp) -> HostResult<Judged> {
    against(&before.secure_channel, host.secure_channel(), |was, now| {
        let word = |channel: Option<bool>| match channel {
            None => "in no domain",
            Some(true) => "the secure channel holds",
            Some(false) => "the secure channel is broken",
        };
        Judged::pass_if(now == *was || now == Some(true), word(now), word(*was), word(now))
    })
}

/// Neither the kernel's pools nor LSASS grow as fast as those that leak.
pub(super) fn memory(before: &Baseline, host: &dyn Host, now: Timestamp) -> HostResult<Judged> {
    let up = now.duration_since(host.boot_time()?).max(LEAST_TIME);
    against(&before.memory, host.memory(), |was, used| {
        let slope = |pick: fn(&MemoryUse) -> u64| per_minute(pick(&used).saturating_sub(pick(was)), up);
        let (lsass, pool) = (slope(|m| m.lsass_bytes), slope(|m| m.pool_bytes));
        let worst = lsass.max(pool);
        let detail = format!("since the boot, above what it was: LSASS {lsass}, kernel pools {pool} bytes per minute");
        Judged::pass_if(worst < MOST_GROWTH, format!("{worst} bytes/min"), format!("{MOST_GROWTH} bytes/min"), detail)
    })
}

fn per_minute(bytes: u64, time: SignedDuration) -> u64 {
    let minutes = u64::try_from(time.as_secs() / 60).unwrap_or(1).max(1);
    bytes / minutes
}
