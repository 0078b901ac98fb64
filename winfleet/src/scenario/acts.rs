//! What people do while a scenario goes on. Only a simulation plays it.

use super::check::Complaint;
use super::moment::{Course, Moment};
use super::{Period, instead, surroundings, updates::optional_date_or_time};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;
use std::collections::BTreeSet;
use std::fmt;
use windlass_protocol::KbId;

/// Something that a person does.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// Its line in the file, from 1.
    pub line: u64,
    /// When.
    pub when: Moment,
    /// What.
    pub deed: Deed,
}

/// An act as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    after: Option<Period>,
    #[serde(default, deserialize_with = "optional_date_or_time")]
    at: Option<Timestamp>,
    act: Deed,
}

/// What a person does.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Deed {
    /// Makes an object.
    Create(Value),
    /// Changes an object by a merge patch.
    Patch {
        /// Its kind.
        kind: Kind,
        /// Its name; of a `NodeUpdate` that of its node, too; of a `PodDisruptionBudget` behind its namespace and a slash.
        name: String,
        /// The patch.
        patch: Value,
    },
    /// Deletes an object.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name; of a `NodeUpdate` that of its node, too.
        name: String,
    },
    /// Looks at the gate of a rollout and approves that it opens.
    Approve {
        /// The rollout.
        rollout: String,
        /// The gate that the person wants to open.
        gate: Gate,
        /// Who.
        #[serde(default = "somebody")]
        approver: String,
        /// Why.
        #[serde(default)]
        comment: Option<String>,
        /// How long it holds.
        #[serde(default = "a_day")]
        expires_after: Period,
    },
    /// Offers an update of the catalogue from now on.
    Publish {
        /// The KB.
        kb: KbId,
    },
    /// Takes it back.
    Withdraw {
        /// The KB.
        kb: KbId,
    },
}

/// A kind of object that people change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "named as the kinds are")]
pub enum Kind {
    UpdatePolicy,
    UpdateRing,
    UpdateRollout,
    UpdateHold,
    NodeUpdate,
    Node,
    PodDisruptionBudget,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A gate that people open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Gate {
    /// A rollout that has halted goes on.
    Resume,
    /// The ring after one with `promotion: Approval` starts.
    Promote,
}

fn somebody() -> String {
    "alice".into()
}

const fn a_day() -> Period {
    Period::hours(24)
}

/// Checks an act.
pub(super) fn check(
    all: &[Spanned<Written>],
    at: usize,
    kbs: &BTreeSet<KbId>,
    course: Course,
) -> Result<(), Complaint> {
    let Written { after, at, act } = &all[at].value;
    match (after, at) {
        (Some(_), Some(_)) => return Err(("at", "either after or at, not both".into())),
        (None, None) => return Err(("after", "after or at is needed".into())),
        _ => course.holds(*after, *at)?,
    }
    match act {
        Deed::Create(object) => {
            surroundings::manifest(object).map_err(|(field, message)| ("act.create", format!("{field} {message}")))
        }
        Deed::Patch { patch, .. } if !patch.is_object() => Err(("act.patch.patch", "must be a map".into())),
        Deed::Publish { kb } | Deed::Withdraw { kb } if !kbs.contains(kb) => {
            Err(("act", format!("{kb} is not in updates{}", instead::of_kbs(kbs))))
        }
        _ => Ok(()),
    }
}

/// An act with the time at which it comes.
pub(super) fn act(written: Spanned<Written>) -> Act {
    let Written { after, at, act } = written.value;
    let when = Moment::of(after, at).unwrap_or(Moment::After(Period::ZERO));
    Act { line: written.referenced.line(), when, deed: act }
}
