//! From a SnapshotClass to its provider. The only place that knows which providers there are.

use super::KubeSecrets;
use super::aws::{self, Aws};
use super::kubevirt::KubeVirt;
use super::simulated::Simulated;
use crate::api::{DeletionPolicy, Guarded, Provider, SnapshotClass, SnapshotClassSpec};
use crate::ports::{ProviderError, Secrets, SnapshotProvider, SnapshotProviders};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{ObjectRef, Store};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Finds providers by the SnapshotClasses that are watched. A provider is kept as long as its class is unchanged, so that
/// its connections are.
pub struct Registry {
    classes: Store<Guarded<SnapshotClass>>,
    surroundings: Surroundings,
    shared: aws::Shared,
    made: Mutex<HashMap<String, Made>>,
}

/// What providers are made with, beside their class.
#[derive(Clone)]
pub struct Surroundings {
    /// Tags what is ours: the UID of the `kube-system` namespace.
    pub installation: String,
    /// Where credentials come from.
    pub secrets: Arc<dyn Secrets>,
    /// This cluster.
    pub client: kube::Client,
}

impl Surroundings {
    /// Those of an operator that runs in this cluster, in this namespace.
    ///
    /// # Errors
    /// The namespace `kube-system` can not be read.
    pub async fn of(client: &kube::Client, namespace: &str) -> kube::Result<Self> {
        let system = kube::Api::<Namespace>::all(client.clone()).get("kube-system").await?;
        Ok(Self {
            installation: system.metadata.uid.unwrap_or_default(),
            secrets: Arc::new(KubeSecrets::new(client.clone(), namespace)),
            client: client.clone(),
        })
    }
}

struct Made {
    spec: SnapshotClassSpec,
    provider: Arc<dyn SnapshotProvider>,
}

impl Registry {
    /// A registry over a watched store.
    pub fn new(classes: Store<Guarded<SnapshotClass>>, surroundings: Surroundings) -> Self {
        Self { classes, surroundings, shared: aws::Shared::default(), made: Mutex::default() }
    }
}

impl SnapshotProviders for Registry {
    fn of_class(&self, class: &str) -> Result<Arc<dyn SnapshotProvider>, ProviderError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // A provider takes part in what providers share, as the rate of requests: that of a class that is gone must not.
        made.retain(|class, _| self.classes.get(&ObjectRef::new(class)).is_some());
        let missing = || ProviderError::Transient(format!("there is no SnapshotClass {class}"));
        let class_seen = self.classes.get(&ObjectRef::new(class)).ok_or_else(missing)?;
        let unreadable = |e| ProviderError::Transient(format!("SnapshotClass {class} can not be read: {e}"));
        let spec = &class_seen.0.as_ref().map_err(unreadable)?.spec;
        if let Some(kept) = made.get(class).filter(|kept| kept.spec == *spec) {
            return Ok(kept.provider.clone());
        }
        let provider = self.make(class, spec)?;
        made.insert(class.to_owned(), Made { spec: spec.clone(), provider: provider.clone() });
        Ok(provider)
    }

    fn deletion_policy(&self, class: &str) -> DeletionPolicy {
        let class = self.classes.get(&ObjectRef::new(class));
        class.and_then(|class| Some(class.parsed()?.spec.deletion_policy)).unwrap_or_default()
    }

    fn place(&self, class: &str) -> Vec<String> {
        let class = self.classes.get(&ObjectRef::new(class));
        class.and_then(|class| Some(class.parsed()?.spec.provider.place())).unwrap_or_default()
    }
}

impl Registry {
    fn make(&self, class: &str, spec: &SnapshotClassSpec) -> Result<Arc<dyn SnapshotProvider>, ProviderError> {
        let refuse = |why: &dyn std::fmt::Display| ProviderError::Permanent(format!("SnapshotClass {class}: {why}"));
        let Surroundings { installation, secrets, .. } = &self.surroundings;
        // The schema lets no second one through; what a newer version wrote may have one that is not known here.
        match &spec.provider {
            Provider { aws: Some(settings), kubevirt: None, simulated: None } => {
                Ok(Arc::new(Aws::new(settings, installation, secrets, &self.shared)))
            }
            Provider { aws: None, kubevirt: Some(settings), simulated: None } => {
                Ok(Arc::new(KubeVirt::new(settings, &self.surroundings)))
            }
            Provider { aws: None, kubevirt: None, simulated: Some(settings) } => {
                Ok(Arc::new(Simulated::new(settings, installation).map_err(|e| refuse(&e))?))
            }
            Provider { aws: None, kubevirt: None, simulated: None } => {
                Err(refuse(&"spec.provider names no provider that this version has"))
            }
            Provider { .. } => Err(refuse(&"spec.provider names several providers, exactly one must be set")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::{reflector::store::Writer, watcher};

    fn class(endpoint: Option<&str>) -> Guarded<SnapshotClass> {
        let simulated = endpoint.map(|endpoint| crate::api::Simulated { endpoint: endpoint.to_owned() });
        class_of(Provider { simulated, ..Provider::default() })
    }

    fn class_of(provider: Provider) -> Guarded<SnapshotClass> {
        let (deletion_policy, orphans) = (DeletionPolicy::Delete, crate::api::Orphans::Report);
        let spec = SnapshotClassSpec { provider, deletion_policy, orphans, price: None };
        Guarded::of(SnapshotClass::new("sim", spec))
    }

    struct NoSecrets;

    impl Secrets for NoSecrets {
        fn read<'a>(&'a self, name: &'a str) -> crate::ports::Answer<'a, crate::ports::SecretData> {
            Box::pin(async move { Err(ProviderError::Denied(format!("there is no Secret {name}"))) })
        }
    }

    fn surroundings() -> Surroundings {
        let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::empty()))
        });
        Surroundings {
            installation: "cluster-1".to_owned(),
            secrets: Arc::new(NoSecrets),
            client: kube::Client::new(nobody, "default"),
        }
    }

    #[tokio::test]
    async fn a_provider_is_kept_until_its_class_changes() {
        let mut writer = Writer::default();
        let registry = Registry::new(writer.as_reader(), surroundings());
        let apply = |writer: &mut Writer<_>, class| writer.apply_watcher_event(&watcher::Event::Apply(class));
        assert!(matches!(registry.of_class("sim"), Err(ProviderError::Transient(_))));
        apply(&mut writer, class(Some("http://127.0.0.1:1")));
        let first = registry.of_class("sim").expect("a provider");
        assert!(Arc::ptr_eq(&first, &registry.of_class("sim").expect("a provider")));
        apply(&mut writer, class(Some("http://127.0.0.1:2")));
        assert_eq!(registry.place("sim"), ["simulated.endpoint=http://127.0.0.1:2"]);
        let second = registry.of_class("sim").expect("a provider");
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(Arc::strong_count(&first), 1, "the one of before is not kept");
        writer.apply_watcher_event(&watcher::Event::Delete(class(Some("http://127.0.0.1:2"))));
        assert!(registry.of_class("other").is_err());
        assert_eq!(Arc::strong_count(&second), 1, "a class that is gone keeps none");
        let two =
            serde_json::json!({"simulated": {"endpoint": "http://127.0.0.1:1"}, "aws": {"region": "eu-central-1"}});
        let two = class_of(serde_json::from_value(two).expect("a provider"));
        for (bad, why) in [
            (class(None), "names no provider"),
            (class(Some("nonsense")), "SnapshotClass sim"),
            (two, "several providers"),
        ] {
            apply(&mut writer, bad);
            let error = registry.of_class("sim").map(|_| ()).expect_err("no provider");
            let told = matches!(&error, ProviderError::Permanent(text) if text.contains("SnapshotClass sim") && text.contains(why));
            assert!(told, "{error}");
        }
    }
}
