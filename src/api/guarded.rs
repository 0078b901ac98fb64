//! An object of ours as a watch shows it: shared, or the reason why it does not parse.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::sync::Arc;

/// An object that is shared by all who read it; one that does not parse is its error, and stops nothing else.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<Arc<K>, InvalidObject>);

impl<K> Guarded<K> {
    /// An object that parses.
    pub fn of(object: impl Into<Arc<K>>) -> Self {
        Self(Ok(object.into()))
    }

    /// The object, if it parses.
    pub fn parsed(&self) -> Option<&Arc<K>> {
        self.0.as_ref().ok()
    }
}

impl<'de, K: Deserialize<'de> + Resource> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DeserializeGuard::deserialize(deserializer).map(|guard| Self(guard.0.map(Arc::new)))
    }
}

impl<K: Resource + Clone> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|invalid| &invalid.metadata, |object| object.meta())
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|invalid| &mut invalid.metadata, |object| Arc::make_mut(object).meta_mut())
    }
}
