//! Facts of all objects of a kind, kept from one pass to the next: an object that has not changed is not read again.

use kube::Resource;
use std::sync::Arc;

/// The facts that were read, in the order of the objects' names, and the objects that they were read of.
#[derive(Debug)]
pub struct Reading<K, F> {
    facts: Vec<F>,
    sources: Vec<Source<K>>,
}

/// What facts were read of; `None` when they say something else since, and have to be read again.
type Source<K> = Option<Arc<K>>;

impl<K, F> Default for Reading<K, F> {
    fn default() -> Self {
        Self { facts: Vec::new(), sources: Vec::new() }
    }
}

impl<K: Resource, F> Reading<K, F> {
    /// Reads what is there now, as far as it is not what was there before.
    pub fn renew(&mut self, mut objects: Vec<Arc<K>>, read: impl Fn(&K) -> F) {
        // A store has no order, and what is decided must not depend on chance.
        objects.sort_unstable_by(|a, b| name(a).cmp(&name(b)));
        if self.are_of(&objects) {
            // Mostly no object has come or gone, and few have changed: nothing is moved for those that have not.
            for (object, (source, facts)) in objects.into_iter().zip(self.sources.iter_mut().zip(&mut self.facts)) {
                if source.as_ref().is_none_or(|source| !Arc::ptr_eq(source, &object)) {
                    *facts = read(&object);
                    *source = Some(object);
                }
            }
            return;
        }
        let sources = std::mem::take(&mut self.sources).into_iter();
        let known = sources.zip(std::mem::take(&mut self.facts)).filter_map(|(source, facts)| Some((source?, facts)));
        let mut known = known.peekable();
        self.facts.reserve(objects.len());
        self.sources.reserve(objects.len());
        for object in objects {
            while known.next_if(|(source, _)| name(source) < name(&object)).is_some() {}
            let same = known.next_if(|(source, _)| Arc::ptr_eq(source, &object));
            self.facts.push(same.map_or_else(|| read(&object), |(_, facts)| facts));
            self.sources.push(Some(object));
        }
    }

    /// Whether what was read is of objects of the same names.
    fn are_of(&self, objects: &[Arc<K>]) -> bool {
        let same = |(source, object): (&Source<K>, &Arc<K>)| source.as_ref().is_some_and(|s| name(s) == name(object));
        self.sources.len() == objects.len() && self.sources.iter().zip(objects).all(same)
    }

    /// The facts, in the order of the objects' names.
    pub fn facts(&self) -> &[F] {
        &self.facts
    }

    /// Changes facts for this once.
    pub fn correct(&mut self, change: impl Fn(&mut F) -> bool) {
        for (facts, source) in self.facts.iter_mut().zip(&mut self.sources) {
            if change(facts) {
                *source = None;
            }
        }
    }

    /// Puts facts of an object in their place that no store shows yet; `place` is how many there are before it.
    pub fn add(&mut self, place: usize, facts: F) {
        self.facts.insert(place, facts);
        self.sources.insert(place, None);
    }
}

fn name<K: Resource>(object: &Arc<K>) -> Option<&str> {
    object.meta().name.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Node;
    use std::cell::RefCell;

    fn node(name: &str) -> Arc<Node> {
        let json = serde_json::json!({"metadata": {"name": name}});
        Arc::new(serde_json::from_value(json).expect("a Node"))
    }

    #[test]
    fn only_what_is_new_is_read() {
        let read = RefCell::new(Vec::new());
        let mut reading = Reading::default();
        let mut renew = |objects: &[&Arc<Node>]| {
            reading.renew(objects.iter().map(|node| Arc::clone(node)).collect(), |node: &Node| {
                let name = node.metadata.name.clone().unwrap_or_default();
                read.borrow_mut().push(name.clone());
                name
            });
            (reading.facts().join(""), read.take().join(""))
        };
        let told = |facts: &str, read: &str| (facts.to_owned(), read.to_owned());
        let (a, b, c, d) = (node("a"), node("b"), node("c"), node("d"));
        assert_eq!(renew(&[&c, &a]), told("ac", "ac"));
        assert_eq!(renew(&[&a, &c, &b]), told("abc", "b"));
        assert_eq!(renew(&[&node("b"), &a, &d]), told("abd", "bd"), "one has changed, one is gone, one is new");
        assert_eq!(renew(&[&d, &a]), told("ad", ""));
    }

    #[test]
    fn what_was_changed_by_hand_is_read_again() {
        let mut reading = Reading::default();
        let (a, b) = (node("a"), node("c"));
        let objects = || vec![Arc::clone(&a), Arc::clone(&b)];
        reading.renew(objects(), |_: &Node| 1);
        reading.correct(|facts| std::mem::replace(facts, 2) == 1);
        reading.add(1, 9);
        assert_eq!(reading.facts(), [2, 9, 2]);
        reading.renew(objects(), |_| 3);
        assert_eq!(reading.facts(), [3, 3]);
    }
}
