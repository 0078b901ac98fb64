//! What is frozen into many objects: read once, and shared by all that say the same.
//!
//! Each node update carries the policy by which it is made, and a rollout's status its rings. They never change: a thousand
//! node updates of one ring have one policy in memory, and a copy of such an object costs no copy of it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How many different values of a kind are known at most: the rings and policies of some rollouts.
const KNOWN: usize = 64;

/// A value that never changes, shared by all who have the same.
#[derive(Debug)]
pub struct Frozen<T>(Arc<T>);

/// The values of a kind that somebody has.
#[derive(Debug)]
pub struct Pool<T>(Mutex<Vec<Weak<T>>>);

/// A kind of value that is shared where it is read.
pub trait Pooled: PartialEq + Sized + 'static {
    /// All values of it.
    fn pool() -> &'static Pool<Self>;
}

/// Makes kinds of values shared.
macro_rules! pooled {
    ($($kind:ty),*) => {$(
        impl $crate::api::frozen::Pooled for $kind {
            fn pool() -> &'static $crate::api::frozen::Pool<Self> {
                static POOL: $crate::api::frozen::Pool<$kind> = $crate::api::frozen::Pool::new();
                &POOL
            }
        }
    )*};
}
pub(super) use pooled;

impl<T: PartialEq> Pool<T> {
    /// A pool without values.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The one value that is the same as this.
    fn share(&self, value: T) -> Arc<T> {
        // The list is whole even if a thread panicked while holding it.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.iter().rev().filter_map(Weak::upgrade).find(|same| **same == value) {
            return same;
        }
        known.retain(|one| one.strong_count() > 0);
        if known.len() >= KNOWN {
            known.remove(0);
        }
        let value = Arc::new(value);
        known.push(Arc::downgrade(&value));
        value
    }
}

impl<T: PartialEq> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Frozen<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Frozen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Tests make one that says something else, as if it had been frozen so.
#[cfg(test)]
impl<T: Clone> std::ops::DerefMut for Frozen<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq> PartialEq for Frozen<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T: Pooled> From<T> for Frozen<T> {
    fn from(value: T) -> Self {
        Self(T::pool().share(value))
    }
}

impl<T: Serialize> Serialize for Frozen<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Pooled + Deserialize<'de>> Deserialize<'de> for Frozen<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

impl<T: JsonSchema> JsonSchema for Frozen<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_there_once_and_gone_when_nobody_has_it() {
        let pool = Pool::new();
        let first = pool.share("a".to_owned());
        assert!(Arc::ptr_eq(&first, &pool.share("a".to_owned())));
        let other = pool.share("b".to_owned());
        assert_eq!(*other, "b");
        drop(first);
        let again = pool.share("c".to_owned());
        assert_eq!(pool.0.lock().expect("a list").len(), 2, "nobody has the first any more");
        drop((other, again));
    }

    #[test]
    fn no_more_are_known_than_there_may_be() {
        let pool = Pool::new();
        let all: Vec<_> = (0..2 * KNOWN).map(|number| pool.share(number)).collect();
        assert_eq!(pool.0.lock().expect("a list").len(), KNOWN);
        let last = 2 * KNOWN - 1;
        assert!(Arc::ptr_eq(&all[last], &pool.share(last)));
        assert!(!Arc::ptr_eq(&all[0], &pool.share(0)), "it is shared no more, and says the same");
    }
}
