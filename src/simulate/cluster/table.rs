//! The objects of one kind, by their names.

use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The objects of one kind, by `name`, or by `namespace/name` where they have a namespace.
#[derive(Clone, Debug)]
pub struct Table<K>(BTreeMap<String, Arc<K>>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Resource> Table<K> {
    /// The object of this key.
    pub fn get(&self, key: &str) -> Option<&Arc<K>> {
        self.0.get(key)
    }

    /// All objects, in the order of their keys.
    pub fn all(&self) -> impl Iterator<Item = &Arc<K>> {
        self.0.values()
    }

    /// The objects of a namespace, in the order of their names.
    pub fn within<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Arc<K>> {
        let prefix = format!("{namespace}/");
        self.0.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, object)| object)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, object: Arc<K>) -> Option<Arc<K>> {
        self.0.insert(key_of(object.as_ref()), object)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<K>> {
        self.0.remove(key)
    }
}

/// The key of an object.
pub fn key_of<K: Resource>(object: &K) -> String {
    key(object.meta().namespace.as_deref(), &object.name_any())
}

/// The key of a name.
pub fn key(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}
