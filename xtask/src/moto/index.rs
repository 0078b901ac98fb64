//! Which snapshots have which tags. moto looks through all tags of all resources for each snapshot that it compares: with
//! hundreds of them it takes a second for one answer. Told the ids, it takes a millisecond.

use super::front::Params;
use super::xml::elements;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tags of each snapshot.
#[derive(Default)]
pub(super) struct Index(Mutex<BTreeMap<String, BTreeMap<String, String>>>);

/// What is to be asked in place of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Narrowed {
    /// The same.
    Same,
    /// About these snapshots.
    To(Params),
    /// Nothing: there are none.
    Nothing,
}

impl Index {
    /// Learns from a call that moto has answered well.
    pub fn learn(&self, action: &str, params: &Params, reply: &str) {
        match action {
            "CreateSnapshots" => {
                let tag = |n: usize| {
                    let value = |part: &str| params.get(&format!("TagSpecification.1.Tag.{n}.{part}")).cloned();
                    Some((value("Key")?, value("Value").unwrap_or_default()))
                };
                let tags: BTreeMap<_, _> = (1..).map_while(tag).collect();
                for id in elements(reply, "snapshotId") {
                    self.lock().insert(id.to_owned(), tags.clone());
                }
            }
            "DeleteSnapshot" => _ = self.lock().remove(params.get("SnapshotId").map_or("", String::as_str)),
            _ => {}
        }
    }

    /// What to ask in place of this call.
    pub fn narrow(&self, action: &str, params: &Params) -> Narrowed {
        let filter = |n: usize| {
            let tag = params.get(&format!("Filter.{n}.Name"))?.strip_prefix("tag:")?;
            Some((tag, params.get(&format!("Filter.{n}.Value.1"))?))
        };
        let wanted: Vec<_> = (1..).map_while(filter).collect();
        if action != "DescribeSnapshots" || wanted.is_empty() {
            return Narrowed::Same;
        }
        let all = self.lock();
        let fits = |tags: &BTreeMap<String, String>| wanted.iter().all(|(tag, value)| tags.get(*tag) == Some(value));
        let ids: Vec<_> = all.iter().filter(|(_, tags)| fits(tags)).map(|(id, _)| id.clone()).collect();
        if ids.is_empty() {
            return Narrowed::Nothing;
        }
        let kept = params.iter().filter(|(name, _)| !name.starts_with("Filter."));
        let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
        Narrowed::To(kept.chain((1..).map(|n| format!("SnapshotId.{n}")).zip(ids)).collect())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_question_about_tags_becomes_one_about_ids() {
        let index = Index::default();
        let tags = [("TagSpecification.1.Tag.1.Key", "k"), ("TagSpecification.1.Tag.1.Value", "v")];
        index.learn(
            "CreateSnapshots",
            &params(&tags),
            "<snapshotId>snap-1</snapshotId><snapshotId>snap-2</snapshotId>",
        );
        let asked = |value| params(&[("Filter.1.Name", "tag:k"), ("Filter.1.Value.1", value)]);
        assert_eq!(index.narrow("DescribeSnapshots", &asked("w")), Narrowed::Nothing);
        assert_eq!(index.narrow("DescribeVolumes", &asked("v")), Narrowed::Same);
        index.learn("DeleteSnapshot", &params(&[("SnapshotId", "snap-1")]), "");
        let one = params(&[("SnapshotId.1", "snap-2")]);
        assert_eq!(index.narrow("DescribeSnapshots", &asked("v")), Narrowed::To(one));
    }
}
