//! UpdateHolds: what must not be installed now, and who may not start.

use super::fleet::Fleet;
use super::selector::matches;
use crate::api::{DesiredState, NodeSelector, PinnedUpdate, UpdateHold, UpdateHoldSpec};
use crate::domain::{Build, Labels};
use jiff::Timestamp;
use std::fmt;

/// One UpdateHold, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldSeen {
    /// Its name.
    pub name: String,
    /// Why it is there, with its link.
    pub reason: String,
    /// From when on it holds nothing any more.
    pub expires_at: Option<Timestamp>,
    /// What it holds back.
    pub what: Held,
    /// Names of the rollouts it is about; empty means all.
    pub rollouts: Vec<String>,
    /// The nodes it is about; `None` means all.
    pub selector: Option<NodeSelector>,
}

/// What a hold holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// All updates: nothing starts.
    Everything,
    /// Some updates.
    Updates {
        /// These KBs.
        kbs: Vec<String>,
        /// What leads to one of these builds, both ends included.
        builds: Option<(Build, Build)>,
    },
}

impl HoldSeen {
    /// Reads an UpdateHold. One whose builds do not parse holds everything: better a node too few than one too many.
    pub fn read(hold: &UpdateHold) -> Self {
        let UpdateHoldSpec { reason, link, expires_at, updates, scope } = hold.spec.clone();
        let range = |text: &str| text.parse::<Build>().ok();
        let what = updates.map_or(Some(Held::Everything), |updates| match updates.builds {
            None => Some(Held::Updates { kbs: updates.kbs, builds: None }),
            Some(of) => Some(Held::Updates { kbs: updates.kbs, builds: Some((range(&of.from)?, range(&of.to)?)) }),
        });
        Self {
            name: hold.metadata.name.clone().unwrap_or_default(),
            reason: link.map_or(reason.clone(), |link| format!("{reason} ({link})")),
            expires_at: expires_at.map(|at| at.0),
            what: what.unwrap_or(Held::Everything),
            rollouts: scope.as_ref().map(|scope| scope.rollouts.clone()).unwrap_or_default(),
            selector: scope.and_then(|scope| scope.node_selector),
        }
    }

    /// An UpdateHold that does not parse. What it wants is unknown, so that nothing starts until somebody has looked.
    pub fn unreadable(name: &str, error: &str) -> Self {
        Self {
            name: name.to_owned(),
            reason: format!("it can not be read, so that it holds everything: {error}"),
            expires_at: None,
            what: Held::Everything,
            rollouts: Vec::new(),
            selector: None,
        }
    }

    /// Whether it holds anything of this rollout at this time.
    pub fn is_about(&self, rollout: &str, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires| now < expires)
            && (self.rollouts.is_empty() || self.rollouts.iter().any(|name| name == rollout))
    }

    /// Whether it pauses a rollout that it is about as a whole.
    pub fn pauses(&self) -> bool {
        self.what == Held::Everything && self.selector.is_none()
    }

    /// What of an installation that leads to this build it holds back, if it is about the node.
    pub fn holds_back(&self, labels: &Labels, updates: &[PinnedUpdate], to: Build) -> Option<HeldBack<'_>> {
        if self.selector.as_ref().is_some_and(|selector| !matches(selector, labels)) {
            return None;
        }
        let what = match &self.what {
            Held::Everything => None,
            Held::Updates { kbs, builds } => {
                let kb = kbs.iter().find(|kb| updates.iter().any(|update| update.kb == **kb)).cloned();
                let build = builds.filter(|(from, last)| (*from..=*last).contains(&to)).map(|_| format!("build {to}"));
                Some(kb.or(build)?)
            }
        };
        Some(HeldBack { hold: self, what })
    }
}

/// What a hold holds back of one node's installation. Its text is a sentence that names the hold and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack<'a> {
    /// The hold.
    pub hold: &'a HoldSeen,
    /// The KB or the build; `None` means all that could be installed.
    pub what: Option<String>,
}

impl fmt::Display for HeldBack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HoldSeen { name, reason, .. } = self.hold;
        match &self.what {
            Some(what) => write!(f, "{what} is held by UpdateHold {name}: {reason}"),
            None => write!(f, "held by UpdateHold {name}: {reason}"),
        }
    }
}

/// The hold that pauses this rollout as a whole, unless a person has paused it anyway.
pub(super) fn pausing<'a>(fleet: &Fleet<'a>, now: Timestamp) -> Option<&'a HoldSeen> {
    fleet.holds_now(now).find(|hold| hold.pauses() && fleet.desired == DesiredState::Running)
}

/// When the next of the holds that are about this rollout expires.
pub(super) fn next_expiry(fleet: &Fleet<'_>, now: Timestamp) -> Option<Timestamp> {
    fleet.holds_now(now).filter_map(|hold| hold.expires_at).min()
}

/// Why a node in work must not go on to its installation, if it must not. A hold that names no update lets nodes in work
/// be finished, as a pause does.
pub fn against<'a>(
    holds: &'a [HoldSeen],
    rollout: &str,
    labels: &Labels,
    (updates, to): (&[PinnedUpdate], Build),
    now: Timestamp,
) -> Option<HeldBack<'a>> {
    let about = holds.iter().filter(|hold| hold.is_about(rollout, now) && hold.what != Held::Everything);
    about.into_iter().find_map(|hold| hold.holds_back(labels, updates, to))
}
