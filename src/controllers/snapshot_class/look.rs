//! What is known of a class's provider: asked when the class has changed, every few minutes, and each minute while something
//! is amiss. As long as it does not work, no node starts that needs it.

use super::sweep::{self, Swept};
use crate::api::SnapshotClass;
use crate::controllers::context::Context;
use crate::controllers::provider;
use crate::domain::Capability;
use crate::plan::conditions::ClassTrouble;
use crate::plan::stall::StallCode;
use crate::ports::{ProviderError, SnapshotProvider};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long it holds that a provider works: about as many nodes as start in this time wait for one that is away.
const ASK_EVERY: Duration = Duration::from_mins(5);
/// How long it holds that something is amiss.
const ASK_AGAIN: Duration = Duration::from_mins(1);
/// How often orphans are looked for.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// What is known of a class.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// What its provider can do, by name.
    pub capabilities: Vec<String>,
    /// Why its provider can not work at all.
    pub away: Option<String>,
    /// What is amiss.
    pub trouble: Option<ClassTrouble>,
    /// What there is to say about orphans.
    pub orphans: Option<String>,
    /// When they were looked for with success.
    swept: Option<Timestamp>,
}

impl Look {
    /// How long it holds.
    pub fn holds(&self) -> Duration {
        if self.trouble.is_some() { ASK_AGAIN } else { ASK_EVERY }
    }

    fn with_away(self, code: StallCode, error: &ProviderError) -> Self {
        Self { away: Some(error.to_string()), trouble: Some(trouble(code, error)), ..self }
    }
}

struct Known {
    generation: Option<i64>,
    asked: Timestamp,
    look: Look,
}

/// What is known of all classes, by their UIDs. A new leader asks again.
#[derive(Default)]
pub struct Looks(Mutex<HashMap<String, Known>>);

impl Looks {
    /// Of these classes those whose provider can not work, each with why. One that was not asked yet is not among them.
    pub fn away<'a>(&self, classes: impl IntoIterator<Item = &'a SnapshotClass>) -> Vec<(String, String)> {
        let all = self.lock();
        let away = |class: &SnapshotClass| all.get(class.metadata.uid.as_deref()?)?.look.away.clone();
        classes.into_iter().filter_map(|class| Some((class.name_any(), away(class)?))).collect()
    }

    /// Forgets a class that is gone.
    pub fn forget(&self, class: &SnapshotClass) {
        self.lock().remove(&class.uid().unwrap_or_default());
    }

    /// What is known and still holds.
    fn known(&self, class: &SnapshotClass, now: Timestamp) -> Option<Look> {
        let all = self.lock();
        let known = all.get(&class.uid().unwrap_or_default())?;
        let holds = known.generation == class.metadata.generation && !is_over(known.look.holds(), known.asked, now);
        holds.then(|| known.look.clone())
    }

    /// What was last known of orphans: it outlives a change of the class, but not that they were looked for.
    fn orphans(&self, class: &SnapshotClass) -> (Option<String>, Option<Timestamp>) {
        let all = self.lock();
        let Some(Known { generation, look, .. }) = all.get(&class.uid().unwrap_or_default()) else {
            return (None, None);
        };
        (look.orphans.clone(), look.swept.filter(|_| *generation == class.metadata.generation))
    }

    fn learn(&self, class: &SnapshotClass, asked: Timestamp, look: &Look) {
        let known = Known { generation: class.metadata.generation, asked, look: look.clone() };
        self.lock().insert(class.uid().unwrap_or_default(), known);
    }

    /// The map is whole even if a thread panicked while holding it.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over(period: Duration, since: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).unwrap_or_default() >= period
}

/// Looks at a class: what is known, or what its provider says now.
pub(super) async fn at(ctx: &Context, class: &SnapshotClass) -> Look {
    let now = ctx.clock.now();
    if let Some(look) = ctx.looks.known(class, now) {
        return look;
    }
    let look = ask(ctx, class, now).await;
    ctx.looks.learn(class, now, &look);
    look
}

async fn ask(ctx: &Context, class: &SnapshotClass, now: Timestamp) -> Look {
    let (orphans, swept) = ctx.looks.orphans(class);
    let mut look = Look { orphans, swept, ..Look::default() };
    let provider = match ctx.means.providers.of_class(&class.name_any()) {
        Ok(provider) => provider,
        Err(error) => return look.with_away(StallCode::SnapshotClassInvalid, &error),
    };
    let can = provider.capabilities();
    look.capabilities = Capability::ALL.into_iter().filter(|c| can.has(*c)).map(|c| c.as_str().to_owned()).collect();
    if let Err(error) = provider::ready(provider.as_ref()).await {
        return look.with_away(StallCode::ProviderNotReady, &error);
    }
    if look.swept.is_some_and(|swept| !is_over(SWEEP_EVERY, swept, now)) {
        return look;
    }
    let error = match look_for_orphans(ctx, class, provider.as_ref(), look.orphans.as_deref()).await {
        Ok(found) => {
            look.orphans = found.orphans;
            found.trouble
        }
        // What is not listed says nothing new: a busy provider would else have orphans and not have them in turn.
        Err(error) => Some(error),
    };
    look.swept = error.is_none().then_some(now);
    look.trouble = error.map(|error| trouble(StallCode::ProviderNotReady, &error));
    look
}

async fn look_for_orphans(
    ctx: &Context,
    class: &SnapshotClass,
    provider: &dyn SnapshotProvider,
    told: Option<&str>,
) -> Result<Swept, ProviderError> {
    if class.metadata.deletion_timestamp.is_some() {
        return Ok(Swept::default());
    }
    sweep::sweep(ctx, class, provider, told).await
}

fn trouble(code: StallCode, error: &ProviderError) -> ClassTrouble {
    ClassTrouble { code: code.as_str(), message: error.to_string(), for_a_person: provider::is_for_a_person(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn class(generation: i64) -> SnapshotClass {
        let metadata = json!({"name": "sim", "uid": "c-1", "generation": generation});
        let spec = json!({"provider": {"simulated": {"endpoint": "http://127.0.0.1:1"}}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a class")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    #[test]
    fn a_provider_is_asked_when_its_class_changes_every_few_minutes_and_each_minute_while_something_is_amiss() {
        let looks = Looks::default();
        let asks = |generation, seconds| looks.known(&class(generation), at(seconds)).is_none();
        assert!(asks(1, 0));
        looks.learn(&class(1), at(0), &Look::default());
        assert!(!asks(1, 30) && !asks(1, 299), "what it said holds");
        assert!(asks(2, 31), "the class has changed");
        assert!(asks(1, 300), "five minutes are over");
        let trouble = Some(ClassTrouble { code: "ProviderNotReady", message: String::new(), for_a_person: true });
        looks.learn(&class(1), at(4000), &Look { trouble, ..Look::default() });
        assert!(!asks(1, 4059), "snapshots come and go meanwhile");
        assert!(asks(1, 4060));
        looks.forget(&class(1));
        assert!(asks(1, 4061));
    }

    #[test]
    fn what_is_known_of_orphans_outlives_a_change_of_the_class_but_the_search_does_not() {
        let looks = Looks::default();
        let orphans = || Some("snap-1".to_owned());
        looks.learn(&class(1), at(0), &Look { orphans: orphans(), swept: Some(at(0)), ..Look::default() });
        assert_eq!(looks.orphans(&class(1)), (orphans(), Some(at(0))));
        assert_eq!(looks.orphans(&class(2)), (orphans(), None));
    }

    #[test]
    fn classes_whose_provider_is_away_are_named_and_none_that_is_gone() {
        let looks = Looks::default();
        looks.learn(&class(1), at(0), &Look::default());
        assert_eq!(looks.away([&class(1)]), []);
        looks.learn(&class(1), at(1), &Look { away: Some("no answer".into()), ..Look::default() });
        assert_eq!(looks.away([&class(1)]), [("sim".to_owned(), "no answer".to_owned())]);
        let mut made_anew = class(1);
        made_anew.metadata.uid = Some("c-2".into());
        assert_eq!(looks.away([&made_anew]), []);
    }
}
