//! The pinned set against what the source offers and the machine has. Pure.

use crate::host::{FoundUpdate, HostError, ItemResult, Presence};
use crate::hresult::{Class, class, is_failure};
use crate::state::error;
use serde::{Deserialize, Serialize};
use windlass_protocol::{AgentError, Build, ErrorClass, PinnedUpdate, UpdateResult, UpdateState};

/// The classification under which the catalogue offers a new Windows version. Never taken: in November 2024 such an
/// offer (KB5044284) upgraded servers that had asked for a security update.
const UPGRADES: &str = "Upgrades";

/// One pinned update, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Tracked {
    pub pinned: PinnedUpdate,
    pub state: UpdateState,
    /// The HRESULT of the last operation on it, 0 for success.
    pub hresult: u32,
    /// The build it leads to, once the source said so.
    pub target_build: Option<Build>,
    pub exclusive: bool,
}

impl Tracked {
    pub fn new(pinned: PinnedUpdate) -> Self {
        Self { pinned, state: UpdateState::Missing, hresult: 0, target_build: None, exclusive: false }
    }

    pub fn result(&self) -> UpdateResult {
        UpdateResult { kb: self.pinned.kb, state: self.state, hresult: self.hresult }
    }

    /// Whether this is the update that the source names.
    fn is(&self, update_id: &str, revision: u32) -> bool {
        self.pinned.update_id.eq_ignore_ascii_case(update_id) && self.pinned.revision == revision
    }

    /// Takes over what a search found, on a machine of build `here`.
    pub fn see(&mut self, found: &[FoundUpdate], here: Build) {
        let exact = found.iter().find(|f| self.is(&f.offer.update_id, f.offer.revision));
        if let Some(f) = exact {
            self.target_build = f.offer.target_build.or(self.target_build);
            self.exclusive = f.exclusive;
        }
        self.state = match exact.map(|f| f.presence) {
            Some(Presence::Installed) => UpdateState::Installed,
            Some(Presence::PendingReboot) => UpdateState::PendingReboot,
            Some(Presence::Downloaded) => UpdateState::Staged,
            Some(Presence::Offered) => UpdateState::Offered,
            None => self.without_offer(found, here),
        };
    }

    /// An update that is no longer found is fine where the machine has its KB in another revision, or its build.
    fn without_offer(&self, found: &[FoundUpdate], here: Build) -> UpdateState {
        if found.iter().any(|f| f.presence == Presence::Installed && f.offer.kb == self.pinned.kb) {
            UpdateState::Installed
        } else if self.reached(here) {
            UpdateState::NotApplicable
        } else {
            UpdateState::Missing
        }
    }

    /// Whether a machine of build `here` is known to be at or past what this update leads to.
    fn reached(&self, here: Build) -> bool {
        self.target_build.is_some_and(|target| here.same_os(target) && here >= target)
    }

    /// Whether a machine of build `here` has it as far as can be told without the source: its build is reached, or, where it
    /// names none, it was installed.
    fn shown(&self, here: Build) -> bool {
        use UpdateState::{Installed, NotApplicable, PendingReboot};
        let told = matches!(self.state, Installed | NotApplicable | PendingReboot);
        if self.target_build.is_some() { self.reached(here) } else { told }
    }

    /// Whether the source says the machine does not want it although it is behind: that is no success.
    pub fn refused(&self, here: Build) -> bool {
        self.state == UpdateState::NotApplicable && self.target_build.is_some() && !self.reached(here)
    }

    /// Takes over what a download or an installation came to. Says whether a pending reboot was in the way of an
    /// installation, which leaves it staged.
    fn take(&mut self, hresult: u32, reboot_required: bool, done: UpdateState) -> bool {
        self.hresult = hresult;
        self.state = match class(hresult) {
            // "There is nothing to do" for an update that was asked for: the source took it back meanwhile.
            Class::AlreadyDone if is_failure(hresult) => UpdateState::Missing,
            Class::AlreadyDone if reboot_required => UpdateState::PendingReboot,
            Class::AlreadyDone => done,
            Class::RebootNeeded => UpdateState::PendingReboot,
            Class::NotApplicable => UpdateState::NotApplicable,
            Class::RebootFirst if done == UpdateState::Installed => return true,
            Class::RebootFirst
            | Class::Busy
            | Class::Retriable
            | Class::Configuration
            | Class::DiskFull
            | Class::ComponentStore
            | Class::Permanent => UpdateState::Failed,
        };
        false
    }
}

/// Why an update would change the Windows version, if it would.
pub(crate) fn feature_upgrade(found: &[FoundUpdate], tracked: &Tracked, here: Build) -> Option<String> {
    let f = found.iter().find(|f| tracked.is(&f.offer.update_id, f.offer.revision))?;
    if f.offer.classification.eq_ignore_ascii_case(UPGRADES) {
        return Some(format!("{} is classified {UPGRADES}", f.offer.kb));
    }
    let target = f.offer.target_build.filter(|target| !target.same_os(here))?;
    Some(format!("{} leads from Windows {} to {}", f.offer.kb, here.os_build(), target.os_build()))
}

/// Why an update is not the one that was pinned, although it has its identity: the source knows it by another KB.
pub(crate) fn other_kb(found: &[FoundUpdate], tracked: &Tracked) -> Option<String> {
    let f = found.iter().find(|f| tracked.is(&f.offer.update_id, f.offer.revision))?;
    let (pinned, offered) = (tracked.pinned.kb, f.offer.kb);
    (pinned != offered).then(|| format!("{pinned} is pinned, but the source knows {} as {offered}", f.offer.update_id))
}

/// `E_UNEXPECTED`: given to an update that was asked for, and of which the service then said nothing.
const UNEXPECTED: u32 = 0x8000_FFFF;

/// Takes over the results for those that were `asked` of a download (`done` is `Staged`) or an installation
/// (`Installed`). Says whether a pending reboot was in the way of any.
pub(crate) fn take_results(
    updates: &mut [Tracked],
    asked: &[PinnedUpdate],
    items: &[ItemResult],
    done: UpdateState,
) -> bool {
    let mut blocked = false;
    for update in updates.iter_mut().filter(|u| asked.contains(&u.pinned)) {
        let item = items.iter().find(|i| update.is(&i.update_id, i.revision));
        let (hresult, reboot) = item.map_or((UNEXPECTED, false), |i| (i.hresult, i.reboot_required));
        blocked |= update.take(hresult, reboot, done);
    }
    blocked
}

/// The whole pinned set.
pub(crate) fn all(updates: &[Tracked]) -> Vec<PinnedUpdate> {
    updates.iter().map(|u| u.pinned.clone()).collect()
}

/// Those that still want downloading.
pub(crate) fn to_download(updates: &[Tracked]) -> Vec<PinnedUpdate> {
    updates.iter().filter(|u| u.state == UpdateState::Offered).map(|u| u.pinned.clone()).collect()
}

/// Those to install next: an exclusive one alone, else all the others at once. Empty when none is left.
pub(crate) fn next_batch(updates: &[Tracked]) -> Vec<PinnedUpdate> {
    let mut staged = updates.iter().filter(|u| u.state == UpdateState::Staged);
    match staged.clone().find(|u| u.exclusive) {
        Some(alone) => vec![alone.pinned.clone()],
        None => staged.by_ref().map(|u| u.pinned.clone()).collect(),
    }
}

/// Whether the build shows that all are in: that of at least one is known, and none speaks against it.
pub(crate) fn shown_by_build(updates: &[Tracked], here: Build) -> bool {
    updates.iter().any(|u| u.target_build.is_some()) && updates.iter().all(|u| u.shown(here))
}

/// Takes over what the build shows.
pub(crate) fn take_shown(updates: &mut [Tracked], here: Build) {
    updates.iter_mut().filter(|u| u.reached(here)).for_each(|u| u.state = UpdateState::Installed);
}

/// The error of the first that failed, if any did.
pub(crate) fn first_failure(updates: &[Tracked], what: &str) -> Option<AgentError> {
    let failed = updates.iter().find(|u| u.state == UpdateState::Failed)?;
    Some(HostError::new(failed.hresult, format!("{what} of {}", failed.pinned.kb)).into())
}

/// # Errors
/// Not offered, when the source no longer gives any of them.
pub(crate) fn none_missing(updates: &[Tracked]) -> Result<(), AgentError> {
    let missing = names(updates.iter().filter(|u| u.state == UpdateState::Missing));
    if missing.is_empty() {
        return Ok(());
    }
    Err(error(ErrorClass::NotOffered, format!("updates: neither installed nor offered: {missing}")))
}

/// The KBs of those that are given, sorted, as text.
pub(crate) fn names<'a>(updates: impl Iterator<Item = &'a Tracked>) -> String {
    let mut kbs: Vec<_> = updates.map(|u| u.pinned.kb).collect();
    kbs.sort_unstable();
    kbs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_protocol::OfferedUpdate;

    const HERE: Build = Build::new(10, 0, 20348, 2527);
    const NEXT: Build = Build::new(10, 0, 20348, 2582);

    fn found(revision: u32, change: impl FnOnce(&mut FoundUpdate)) -> FoundUpdate {
        let mut f = FoundUpdate {
            offer: OfferedUpdate {
                update_id: "id-1".into(),
                revision,
                kb: "KB5040437".parse().expect("a KB"),
                title: "t".into(),
                classification: "Security Updates".into(),
                released: jiff::Timestamp::UNIX_EPOCH,
                size_bytes: 1,
                target_build: Some(NEXT),
            },
            presence: Presence::Offered,
            exclusive: false,
            deadline: None,
        };
        change(&mut f);
        f
    }

    fn tracked() -> Tracked {
        let kb = "KB5040437".parse().expect("a KB");
        Tracked::new(PinnedUpdate { update_id: "ID-1".into(), revision: 2, kb })
    }

    fn seen(list: &[FoundUpdate], here: Build) -> UpdateState {
        let mut t = tracked();
        t.see(list, here);
        t.state
    }

    #[test]
    fn exactly_the_pinned_revision_counts() {
        assert_eq!(seen(&[found(2, |_| ())], HERE), UpdateState::Offered);
        assert_eq!(seen(&[found(2, |f| f.presence = Presence::Downloaded)], HERE), UpdateState::Staged);
        assert_eq!(seen(&[found(2, |f| f.presence = Presence::PendingReboot)], HERE), UpdateState::PendingReboot);
        assert_eq!(seen(&[found(2, |f| f.presence = Presence::Installed)], HERE), UpdateState::Installed);
        assert_eq!(seen(&[found(3, |_| ())], HERE), UpdateState::Missing, "another revision is another update");
        assert_eq!(
            seen(&[found(3, |f| f.presence = Presence::Installed)], HERE),
            UpdateState::Installed,
            "its KB is there"
        );
        assert_eq!(seen(&[], HERE), UpdateState::Missing);
    }

    #[test]
    fn superseded_is_fine_only_where_the_build_is_reached() {
        let mut t = tracked();
        t.see(&[found(2, |_| ())], HERE);
        t.see(&[], NEXT);
        assert_eq!(t.state, UpdateState::NotApplicable);
        assert!(!t.refused(NEXT));
        assert!(t.refused(HERE), "not wanted, and yet behind");
    }

    #[test]
    fn the_build_shows_what_it_can_and_no_more() {
        use UpdateState::{Installed, Missing, PendingReboot, Staged};
        let one = |state, target_build| Tracked { state, target_build, ..tracked() };
        for (set, shown) in [
            (vec![one(PendingReboot, Some(NEXT))], true),
            (vec![one(PendingReboot, Some(NEXT)), one(PendingReboot, None)], true),
            (vec![one(PendingReboot, Some(NEXT)), one(Staged, None)], false),
            (vec![one(PendingReboot, Some(NEXT)), one(Missing, None)], false),
            (vec![one(Installed, None)], false),
            (vec![one(PendingReboot, Some(Build::new(10, 0, 20348, 2583)))], false),
            (vec![one(PendingReboot, Some(Build::new(10, 0, 17763, 1)))], false),
            (vec![], false),
        ] {
            assert_eq!(shown_by_build(&set, NEXT), shown, "{set:?}");
        }
        let mut set = [one(PendingReboot, Some(NEXT)), one(PendingReboot, None)];
        take_shown(&mut set, NEXT);
        assert_eq!(set.map(|u| u.state), [Installed, PendingReboot]);
    }

    #[test]
    fn feature_upgrades_are_seen_by_class_and_by_version() {
        let upgrade = |change: fn(&mut FoundUpdate)| feature_upgrade(&[found(2, change)], &tracked(), HERE);
        assert_eq!(upgrade(|_| ()), None);
        assert!(upgrade(|f| f.offer.classification = "upgrades".into()).is_some_and(|why| why.contains("Upgrades")));
        assert!(
            upgrade(|f| f.offer.target_build = Some(Build::new(10, 0, 26100, 1)))
                .is_some_and(|why| why.contains("10.0.26100"))
        );
    }

    #[test]
    fn exclusive_updates_go_alone() {
        let staged = |id: &str, exclusive| {
            let mut t = tracked();
            t.pinned.update_id = id.into();
            (t.state, t.exclusive) = (UpdateState::Staged, exclusive);
            t
        };
        let mut set = [staged("a", false), staged("b", true), staged("c", false)];
        assert_eq!(next_batch(&set).iter().map(|p| p.update_id.as_str()).collect::<Vec<_>>(), ["b"]);
        set[1].state = UpdateState::PendingReboot;
        assert_eq!(next_batch(&set).iter().map(|p| p.update_id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }

    /// What each class of code makes of one update's installation.
    #[test]
    fn each_result_has_its_state() {
        let cases = [
            (0, false, UpdateState::Installed, false),
            (0, true, UpdateState::PendingReboot, false),
            (0x0024_0005, false, UpdateState::PendingReboot, false),
            (0x0024_0006, false, UpdateState::Installed, false),
            (0x8024_0024, false, UpdateState::Missing, false),
            (0x8024_0017, false, UpdateState::NotApplicable, false),
            (0x8024_0016, false, UpdateState::Staged, true),
            (0x800F_0922, false, UpdateState::Failed, false),
            (0x8000_4005, false, UpdateState::Failed, false),
        ];
        for (hresult, reboot_required, state, blocked) in cases {
            let mut set = [tracked()];
            set[0].state = UpdateState::Staged;
            let asked = next_batch(&set);
            let item = ItemResult { update_id: "id-1".into(), revision: 2, hresult, reboot_required };
            assert_eq!(take_results(&mut set, &asked, &[item], UpdateState::Installed), blocked, "{hresult:#X}");
            assert_eq!((set[0].state, set[0].hresult), (state, hresult), "{hresult:#X}");
        }
    }

    #[test]
    fn what_the_service_keeps_silent_about_has_failed() {
        let mut set = [tracked()];
        set[0].state = UpdateState::Staged;
        let asked = next_batch(&set);
        take_results(&mut set, &asked, &[], UpdateState::Installed);
        assert_eq!((set[0].state, set[0].hresult), (UpdateState::Failed, UNEXPECTED));
    }
}
