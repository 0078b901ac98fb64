//! The auditor as an observer of a simulation.

use super::{Auditor, By};
use crate::simulate::{Actor, Broken, Event, Object, Observer, ProviderCall, View};
use jiff::Timestamp;
use std::sync::Arc;

impl Observer for Auditor {
    fn see(&mut self, at: Timestamp, event: &Event<'_>, view: &View<'_>) {
        match event {
            Event::Wrote { actor, before, after } => self.wrote(at, *actor, (*before, *after), view),
            Event::Provider { what: ProviderCall::Restore, subject, key, .. } => self.restore(at, subject, key),
            Event::Unanswered => self.unanswered(at),
            Event::End => self.end(at, view.world),
            Event::Provider { .. } | Event::Machine { .. } | Event::Killed { .. } | Event::Started { .. } => {}
        }
    }

    fn checked(&self) -> u64 {
        Auditor::checked(self)
    }

    fn broken(&self) -> Vec<Broken> {
        let broken = |breach: &super::Breach| Broken {
            invariant: breach.invariant.to_string(),
            at: breach.at,
            message: breach.message.clone(),
        };
        self.found().iter().map(broken).collect()
    }
}

/// The parts of a change that are objects of one kind.
macro_rules! change {
    ($change:expr, $kind:ident) => {
        (
            kind($change.0, |object| if let Object::$kind(it) = object { Some(it) } else { None }),
            kind($change.1, |object| if let Object::$kind(it) = object { Some(it) } else { None }),
        )
    };
}

fn kind<'a, K>(object: Option<&'a Object>, pick: fn(&'a Object) -> Option<&'a Arc<K>>) -> Option<&'a Arc<K>> {
    object.and_then(pick)
}

impl Auditor {
    fn wrote(&mut self, at: Timestamp, actor: Actor, change: (Option<&Object>, Option<&Object>), view: &View<'_>) {
        let by = if matches!(actor, Actor::Operator(_)) { By::Operator } else { By::Others };
        match change.1.or(change.0) {
            Some(Object::Node(_)) => self.node(at, by, change!(change, Node)),
            Some(Object::Pod(_)) => self.pod(at, change!(change, Pod)),
            Some(Object::NodeUpdate(_)) => self.update(at, change!(change, NodeUpdate), view.world),
            Some(Object::Rollout(_)) => self.rollout(at, change!(change, Rollout)),
            Some(Object::Snapshot(_)) => self.snapshot(at, change!(change, Snapshot), view.world),
            Some(Object::Approval(_)) => self.approval(at, by, change!(change, Approval)),
            Some(Object::Class(_)) => self.class(at, change!(change, Class)),
            Some(Object::Hold(_)) => self.hold(at, change!(change, Hold)),
            _ => {}
        }
    }
}
