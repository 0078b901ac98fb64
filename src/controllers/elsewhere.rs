//! A snapshot is deleted only where it was made. A provider takes one that is not there for deleted: asked in another place, it
//! would say so of a snapshot that is still there, and its record, the only thing that knows it, would go.

use super::context::Context;
use super::provider;
use crate::api::NodeSnapshot;
use crate::domain::NodeRef;
use crate::observe::Stores;
use crate::ports::{Handle, ProviderError, SnapshotFacts, SnapshotProvider};
use kube::ResourceExt;

/// Makes sure that the class still leads to the place where the snapshot was made. Where its settings are others than then,
/// the snapshot itself is looked for: another Secret may be of the same account.
///
/// # Errors
/// [`ProviderError::Permanent`] with the fields that are to be put back, which is told as an event as well, once; and what
/// the provider says when it can not look.
pub(super) async fn refuse(
    ctx: &Context,
    provider: &dyn SnapshotProvider,
    snapshot: &NodeSnapshot,
) -> Result<(), ProviderError> {
    let class = &snapshot.spec.class_name;
    let accepted = provider.accepts(&node(snapshot));
    let Some(moved) = moved(&snapshot.spec.place, &ctx.means.providers.place(class), accepted) else { return Ok(()) };
    let seen = provider.inspect(&Handle::new(snapshot.spec.handle.clone())).await;
    let Err(error) = verdict(seen, || words(snapshot, &moved)) else { return Ok(()) };
    if let ProviderError::Permanent(text) = &error {
        tell(ctx, snapshot, &moved, text).await;
    }
    Err(error)
}

/// Once for what is to be put back: the rest of the text may be a provider's words, with another number in each answer.
async fn tell(ctx: &Context, snapshot: &NodeSnapshot, moved: &str, text: &str) {
    let is_new = ctx.is_news(format!("{} {moved}", snapshot.uid().unwrap_or_default()));
    if let Some(class) = Stores::get(&ctx.stores.classes, &snapshot.spec.class_name).filter(|_| is_new) {
        ctx.events.node_snapshot(snapshot, &class, "MadeElsewhere", text).await;
    }
}

/// The node that the snapshot is of, as far as it is on record.
fn node(snapshot: &NodeSnapshot) -> NodeRef {
    let spec = &snapshot.spec;
    NodeRef {
        name: spec.node_name.clone(),
        uid: spec.node_uid.clone(),
        provider_id: spec.provider_id.clone(),
        system_uuid: String::new(),
    }
}

/// What has to be put back so that a class leads to where a snapshot was made; `None` when it does. Older records do not
/// have the place: of them, the machine tells the provider and the region.
fn moved(then: &[String], now: &[String], accepted: Result<(), ProviderError>) -> Option<String> {
    let back = |setting: &String| {
        let (field, value) = setting.split_once('=').unwrap_or((setting, ""));
        if value.is_empty() {
            format!("spec.provider.{field} unset")
        } else {
            format!("spec.provider.{field}: {value}")
        }
    };
    let lost: Vec<_> = then.iter().filter(|setting| !now.contains(setting)).map(back).collect();
    if !lost.is_empty() {
        return Some(lost.join(", "));
    }
    accepted.err().map(|error| format!("a spec.provider that takes its machine: {error}"))
}

fn words(snapshot: &NodeSnapshot, moved: &str) -> String {
    let (handle, class) = (&snapshot.spec.handle, &snapshot.spec.class_name);
    format!(
        "snapshot {handle} was made elsewhere than where SnapshotClass {class} leads now, and can not be deleted: that wants {moved}"
    )
}

/// What follows from looking for the snapshot where the class leads now: what is found there is there, in whatever state.
fn verdict(seen: Result<SnapshotFacts, ProviderError>, words: impl FnOnce() -> String) -> Result<(), ProviderError> {
    match seen {
        Ok(_) | Err(ProviderError::Failed(_)) => Ok(()),
        Err(ProviderError::NotFound(_)) => Err(ProviderError::Permanent(words())),
        Err(error) if provider::is_for_a_person(&error) => {
            Err(ProviderError::Permanent(format!("{} ({error})", words())))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::samples;
    use crate::ports::Consistency;

    fn place(settings: &[&str]) -> Vec<String> {
        settings.iter().map(|setting| (*setting).to_owned()).collect()
    }

    #[test]
    fn a_class_that_leads_elsewhere_is_told_by_the_fields_to_put_back() {
        let refused = || Err(ProviderError::Permanent("it is in eu-west-1".into()));
        let then = place(&["aws.region=eu-central-1", "aws.endpoint=", "aws.credentialsSecret=prod"]);
        let now = place(&["aws.region=eu-west-1", "aws.endpoint=", "aws.credentialsSecret=prod"]);
        assert_eq!(moved(&then, &then, Ok(())), None);
        assert_eq!(moved(&then, &now, refused()).as_deref(), Some("spec.provider.aws.region: eu-central-1"));
        let now = place(&["aws.region=eu-central-1", "aws.endpoint=https://x", "aws.credentialsSecret=other"]);
        let back = moved(&then, &now, Ok(())).expect("it leads elsewhere");
        assert_eq!(back, "spec.provider.aws.endpoint unset, spec.provider.aws.credentialsSecret: prod");
        let now = place(&["kubevirt.namespace=b", "kubevirt.credentialsSecret="]);
        assert!(moved(&then, &now, Ok(())).is_some(), "it is another provider");
        // A record of before, without the place.
        assert_eq!(moved(&[], &now, Ok(())), None);
        assert!(moved(&[], &now, refused()).is_some_and(|back| back.contains("eu-west-1")));
    }

    #[test]
    fn what_is_not_found_elsewhere_is_not_taken_for_deleted() {
        let facts = SnapshotFacts {
            captured_at: jiff::Timestamp::UNIX_EPOCH,
            restorable: true,
            restorable_until: None,
            size_bytes: None,
            consistency: Consistency::Crash,
            indications: Vec::new(),
        };
        let words = || words(&samples::snapshot("s", "r"), "spec.provider.aws.region: eu-central-1");
        let of = |seen| verdict(seen, words);
        assert_eq!(of(Ok(facts)), Ok(()), "another way to the same place");
        assert_eq!(of(Err(ProviderError::Failed("bad".into()))), Ok(()), "it is there");
        for error in [ProviderError::NotFound("snap-1".into()), ProviderError::Denied("no right".into())] {
            let refused = of(Err(error));
            let told = matches!(&refused, Err(ProviderError::Permanent(text))
                if ["snap-1", "SnapshotClass sim", "aws.region"].iter().all(|word| text.contains(word)));
            assert!(told, "{refused:?}");
        }
        let passes = ProviderError::Transient("no answer".into());
        assert_eq!(of(Err(passes.clone())), Err(passes), "it is asked again");
    }
}
