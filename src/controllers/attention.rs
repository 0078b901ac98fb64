//! Since when the steps in work have been looked at without a pause.
//!
//! It lives in memory: after a restart nobody has looked yet, which only gives a step a little more time.

use crate::domain::StepKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much later than it was due a look may come and be none that was missed: the API server has slow moments, and passes
/// wait for each other.
const LATE: SignedDuration = SignedDuration::from_mins(2);

/// The looks at steps in work.
#[derive(Debug, Default)]
pub(super) struct Attention {
    /// The last one, by the node update's UID.
    looks: Mutex<HashMap<String, Look>>,
}

#[derive(Debug)]
struct Look {
    key: StepKey,
    since: Timestamp,
    /// When the next one is due.
    due: Timestamp,
}

impl Attention {
    /// Since when the step has been looked at without a pause; `now`, where nobody has looked, or not for a while.
    pub(super) fn since(&self, key: &StepKey, now: Timestamp) -> Timestamp {
        let looks = self.lock();
        let look = looks.get(&key.node_update_uid).filter(|look| look.key == *key && now <= look.due + LATE);
        look.map_or(now, |look| look.since)
    }

    /// The step was looked at, and the next look is due after this time.
    pub(super) fn looked(&self, key: &StepKey, now: Timestamp, next: Duration) {
        let since = self.since(key, now);
        let due = now.checked_add(next).unwrap_or(Timestamp::MAX);
        self.lock().insert(key.node_update_uid.clone(), Look { key: key.clone(), since, due });
    }

    /// Forgets a node update that has ended.
    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Step;

    #[test]
    fn a_look_that_was_missed_begins_anew() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let key = |step| StepKey { node_update_uid: "u".into(), step, round: 1, attempt: 1 };
        let (attention, verify) = (Attention::default(), key(Step::Verify));
        assert_eq!(attention.since(&verify, at(5)), at(5), "nobody has looked");
        attention.looked(&verify, at(5), Duration::from_mins(1));
        attention.looked(&verify, at(65), Duration::from_mins(1));
        assert_eq!(attention.since(&verify, at(125 + 120)), at(5), "a little late");
        assert_eq!(attention.since(&verify, at(125 + 121)), at(246), "too late");
        assert_eq!(attention.since(&key(Step::Restore), at(125)), at(125), "another step");
        attention.forget("u");
        assert_eq!(attention.since(&verify, at(70)), at(70));
    }
}
