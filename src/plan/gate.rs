//! Gates: an ordered list of small checks that a node passes before it may start.
//!
//! The order is the order of what a reader wants to know first: what a person asked for, then what is wrong with the
//! node itself, then what holds all nodes back, then whose turn it is.

use super::budget::Budget;
use super::holds::{HeldBack, HoldSeen};
use super::unworked::Pending;
use super::window::Closed;
use crate::domain::NodeState;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// What holds a node back. Its text is a sentence about the node, without the node's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold<'a> {
    /// A person has paused the rollout.
    Paused,
    /// An UpdateHold stands against it.
    UpdateHeld(HeldBack<'a>),
    /// The rollout starts nothing any more: it was halted or aborted.
    Ended,
    /// Probes fail on nodes of the ring that were updated: it is not known yet whether the update is bad.
    ProbesFail,
    /// The node is not Ready.
    NotReady,
    /// The node is in quarantine since an earlier update.
    Quarantined,
    /// The node update of the machine that had this name before still is in work.
    Predecessor {
        /// That node update.
        update: &'a str,
    },
    /// Another node update holds the node.
    Claimed {
        /// UID of that node update.
        by: &'a str,
    },
    /// No node may start at this time.
    Window(Arc<Closed>),
    /// The provider of its snapshots does not work now: it could neither be snapshotted nor reverted.
    ProviderAway {
        /// The SnapshotClass.
        class: &'a str,
        /// Why.
        why: &'a str,
    },
    /// Many nodes of the ring are not Ready, and none of our work has done it.
    NodesVanished {
        /// So many are not Ready.
        vanished: usize,
        /// Of so many.
        of: usize,
    },
    /// The operator runs on it: it is the last of its ring.
    OwnNode,
    /// Nodes of another domain are in work.
    Domain {
        /// That domain.
        busy: &'a str,
    },
    /// The ring allows no further unavailable node.
    Budget {
        /// How many nodes may be unavailable, and are.
        budget: Budget,
        /// The first by name that is unavailable and not in work.
        away: Option<&'a str>,
    },
}

impl Hold<'_> {
    /// Its CamelCase name, as metric labels have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Paused => "Paused",
            Self::UpdateHeld(_) => "UpdateHeld",
            Self::Ended => "Ended",
            Self::ProbesFail => "ProbesFail",
            Self::NotReady => "NotReady",
            Self::Quarantined => "Quarantined",
            Self::Predecessor { .. } => "Predecessor",
            Self::Claimed { .. } => "Claimed",
            Self::Window(_) => "Window",
            Self::ProviderAway { .. } => "ProviderAway",
            Self::NodesVanished { .. } => "NodesVanished",
            Self::OwnNode => "OwnNode",
            Self::Domain { .. } => "Domain",
            Self::Budget { .. } => "Budget",
        }
    }
}

impl fmt::Display for Hold<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("the rollout is paused"),
            Self::UpdateHeld(held) => write!(f, "{held}"),
            Self::Ended => f.write_str("the rollout starts no further node"),
            Self::ProbesFail => f.write_str("probes fail on updated nodes of its ring"),
            Self::NotReady => f.write_str("is not Ready"),
            Self::Quarantined => f.write_str("is in quarantine (taint windlass.dev/quarantine)"),
            Self::Predecessor { update } => write!(f, "node update {update} of the machine before it is still in work"),
            Self::Claimed { by } => write!(f, "is claimed by node update {by}"),
            Self::Window(closed) => write!(f, "{closed}"),
            Self::ProviderAway { class, why } => {
                write!(f, "the provider of SnapshotClass {class} does not work: {why}")
            }
            Self::NodesVanished { vanished, of } => {
                write!(f, "{vanished} of {of} nodes of the ring are not Ready, and not by an update")
            }
            Self::OwnNode => f.write_str("runs the operator and goes last"),
            Self::Domain { busy: "" } => f.write_str("nodes without a failure domain are in work"),
            Self::Domain { busy } => write!(f, "nodes of {busy} are in work"),
            Self::Budget { budget: Budget { max, spent, in_work }, away } => {
                let unavailable = spent.saturating_sub(*in_work);
                write!(f, "the ring's budget of {max} is spent: {in_work} in work, {unavailable} unavailable")?;
                away.map_or(Ok(()), |first| write!(f, " ({first})"))
            }
        }
    }
}

/// A node before the gates.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its failure domain; empty when it has none.
    pub domain: &'a str,
    /// The node, and what is to be done with it.
    pub pending: Pending<'a>,
}

impl<'a> Candidate<'a> {
    fn node(&self) -> &'a NodeState {
        self.pending.node
    }

    /// What candidates are ordered by.
    pub fn rank(&self) -> (&'a str, &'a str) {
        (self.domain, self.node().node.name.as_str())
    }
}

/// The open ring, as its gates see it.
#[derive(Clone, Debug)]
pub struct Gatehouse<'a> {
    /// What stops the whole rollout.
    pub stopped: Option<Hold<'a>>,
    /// The UpdateHolds that are about this rollout now.
    pub holds: Vec<&'a HoldSeen>,
    /// Why no node may start at this time.
    pub window: Option<Arc<Closed>>,
    /// How many nodes may be unavailable, and are.
    pub budget: Budget,
    /// The first node by name that is unavailable and not in work.
    pub away: Option<&'a str>,
    /// The SnapshotClass of the ring, and why its provider does not work, when it does not.
    pub provider_away: Option<(&'a str, &'a str)>,
    /// Nodes of the ring that are there.
    pub present: usize,
    /// Nodes that are not Ready, and not ours.
    pub vanished: usize,
    /// Domains with nodes in work, when one domain only may have some; `None` when that does not matter.
    pub domains: Option<BTreeSet<&'a str>>,
    /// Nodes of the ring that are pending or in work.
    pub unfinished: usize,
    /// Name of the node the operator runs on.
    pub operator_node: Option<&'a str>,
}

type Gate = for<'a> fn(&Gatehouse<'a>, &Candidate<'a>) -> Option<Hold<'a>>;

/// The gates, in the order in which they are asked; the first that holds a node back gives the reason.
const GATES: [Gate; 12] = [
    running,
    not_held,
    ready,
    not_quarantined,
    name_is_free,
    unclaimed,
    in_window,
    provider_works,
    not_vanished,
    own_node_last,
    in_domain,
    in_budget,
];

impl<'a> Gatehouse<'a> {
    /// Asks all gates about one node, and books it when it may start: the next one is asked with what is left.
    ///
    /// # Errors
    /// What holds the node back.
    pub fn admit(&mut self, candidate: &Candidate<'a>) -> Result<(), Hold<'a>> {
        if let Some(hold) = GATES.iter().find_map(|gate| gate(self, candidate)) {
            return Err(hold);
        }
        self.budget.spend(candidate.node().available());
        if let Some(domains) = &mut self.domains {
            domains.insert(candidate.domain);
        }
        Ok(())
    }
}

fn running<'a>(house: &Gatehouse<'a>, _: &Candidate<'a>) -> Option<Hold<'a>> {
    house.stopped.clone()
}

fn not_held<'a>(house: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    let Pending { node, to, pinned, .. } = candidate.pending;
    house.holds.iter().find_map(|hold| hold.holds_back(&node.labels, &pinned.updates, to)).map(Hold::UpdateHeld)
}

fn ready<'a>(_: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    (!candidate.node().readiness.is_ready()).then_some(Hold::NotReady)
}

fn not_quarantined<'a>(_: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    candidate.node().quarantined.then_some(Hold::Quarantined)
}

fn name_is_free<'a>(_: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    candidate.pending.predecessor.map(|update| Hold::Predecessor { update })
}

/// A pending node has no node update of ours, so whoever has claimed it is another's.
fn unclaimed<'a>(_: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    candidate.node().claimed_by.as_deref().map(|by| Hold::Claimed { by })
}

fn in_window<'a>(house: &Gatehouse<'a>, _: &Candidate<'a>) -> Option<Hold<'a>> {
    house.window.clone().map(Hold::Window)
}

fn provider_works<'a>(house: &Gatehouse<'a>, _: &Candidate<'a>) -> Option<Hold<'a>> {
    house.provider_away.map(|(class, why)| Hold::ProviderAway { class, why })
}

/// More than the budget, and more than a fifth of the ring: below that it is the budget's business alone.
fn not_vanished<'a>(house: &Gatehouse<'a>, _: &Candidate<'a>) -> Option<Hold<'a>> {
    let many = house.vanished > house.budget.max && house.vanished * 5 > house.present;
    many.then_some(Hold::NodesVanished { vanished: house.vanished, of: house.present })
}

fn own_node_last<'a>(house: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    let own = house.operator_node == Some(candidate.node().node.name.as_str());
    (own && house.unfinished > 1).then_some(Hold::OwnNode)
}

fn in_domain<'a>(house: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    let busy = house.domains.as_ref()?.iter().find(|domain| **domain != candidate.domain)?;
    Some(Hold::Domain { busy })
}

fn in_budget<'a>(house: &Gatehouse<'a>, candidate: &Candidate<'a>) -> Option<Hold<'a>> {
    (!house.budget.allows(candidate.node().available()))
        .then_some(Hold::Budget { budget: house.budget, away: house.away })
}
