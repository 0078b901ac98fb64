//! What is known of a class's provider: asked when the class has changed, each hour, and each minute while something is amiss.

use super::sweep::{self, Swept};
use crate::api::SnapshotClass;
use crate::controllers::context::Context;
use crate::controllers::provider;
use crate::domain::Capability;
use crate::plan::conditions::ClassTrouble;
use crate::plan::rollout::StallCode;
use crate::ports::{ProviderError, SnapshotProvider};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long what a provider said holds: orphans are looked for as often.
const ASK_EVERY: Duration = Duration::from_hours(1);
/// How long it holds that something is amiss.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// What is known of a class.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// What its provider can do, by name.
    pub capabilities: Vec<String>,
    /// Why it can not work.
    pub trouble: Option<ClassTrouble>,
    /// What there is to say about orphans.
    pub orphans: Option<String>,
}

impl Look {
    /// How long it holds.
    pub fn holds(&self) -> Duration {
        if self.trouble.is_some() { ASK_AGAIN } else { ASK_EVERY }
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
    /// Forgets a class that is gone.
    pub fn forget(&self, class: &SnapshotClass) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&class.uid().unwrap_or_default());
    }

    /// What is known and still holds.
    fn known(&self, class: &SnapshotClass, now: Timestamp) -> Option<Look> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&class.uid().unwrap_or_default())?;
        let age = Duration::try_from(now.duration_since(known.asked)).unwrap_or_default();
        (known.generation == class.metadata.generation && age < known.look.holds()).then(|| known.look.clone())
    }

    fn learn(&self, class: &SnapshotClass, now: Timestamp, look: &Look) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Known { generation: class.metadata.generation, asked: now, look: look.clone() };
        all.insert(class.uid().unwrap_or_default(), known);
    }
}

/// Looks at a class: what is known, or what its provider says now.
pub(super) async fn at(ctx: &Context, class: &SnapshotClass) -> Look {
    let now = ctx.clock.now();
    if let Some(look) = ctx.looks.known(class, now) {
        return look;
    }
    let look = ask(ctx, class).await;
    ctx.looks.learn(class, now, &look);
    look
}

async fn ask(ctx: &Context, class: &SnapshotClass) -> Look {
    let provider = match ctx.means.providers.of_class(&class.name_any()) {
        Ok(provider) => provider,
        Err(error) => {
            let trouble = Some(trouble(StallCode::SnapshotClassInvalid, &error));
            return Look { trouble, ..Look::default() };
        }
    };
    let can = provider.capabilities();
    let capabilities = Capability::ALL.into_iter().filter(|c| can.has(*c)).map(|c| c.as_str().to_owned()).collect();
    let asked = ask_provider(ctx, class, provider.as_ref()).await;
    let (trouble, orphans) = match asked {
        Ok(Swept { orphans, trouble }) => {
            (trouble.map(|error| self::trouble(StallCode::ProviderNotReady, &error)), orphans)
        }
        Err(error) => (Some(self::trouble(StallCode::ProviderNotReady, &error)), None),
    };
    Look { capabilities, trouble, orphans }
}

async fn ask_provider(
    ctx: &Context,
    class: &SnapshotClass,
    provider: &dyn SnapshotProvider,
) -> Result<Swept, ProviderError> {
    provider::ready(provider).await?;
    if class.metadata.deletion_timestamp.is_some() {
        return Ok(Swept::default());
    }
    sweep::sweep(ctx, class, provider).await
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
    fn a_provider_is_asked_when_its_class_changes_each_hour_and_each_minute_while_something_is_amiss() {
        let looks = Looks::default();
        let asks = |generation, seconds| looks.known(&class(generation), at(seconds)).is_none();
        assert!(asks(1, 0));
        looks.learn(&class(1), at(0), &Look::default());
        assert!(!asks(1, 30) && !asks(1, 3599), "what it said holds");
        assert!(asks(2, 31), "the class has changed");
        assert!(asks(1, 3600), "an hour is over");
        let trouble = Some(ClassTrouble { code: "ProviderNotReady", message: String::new(), for_a_person: true });
        looks.learn(&class(1), at(4000), &Look { trouble, ..Look::default() });
        assert!(!asks(1, 4059), "snapshots come and go meanwhile");
        assert!(asks(1, 4060));
        looks.forget(&class(1));
        assert!(asks(1, 4061));
    }
}
