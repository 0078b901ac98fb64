//! Writes one kind, and reads its own writes: a store shows them only after a moment.

use kube::api::{Patch, PatchParams, PostParams};
use kube::core::object::HasStatus;
use kube::core::{ClusterResourceScope, ObjectMeta, Request};
use kube::{Api, Client, Resource, ResourceExt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one write may take: the client itself sets no bound.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another write came first: the pass was decided on what is no longer true, and is dropped.
    #[error("{name}: changed meanwhile")]
    Conflict {
        /// Name of the object.
        name: String,
    },
    /// The object is gone.
    #[error("{name}: gone")]
    Gone {
        /// Name of the object.
        name: String,
    },
    /// The API server does not take it, and would not by trying again.
    #[error("{name}: refused: {message}")]
    Refused {
        /// Name of the object.
        name: String,
        /// The API server's words.
        message: String,
    },
    /// No answer in time.
    #[error("{name}: no answer within {}s", WRITE_TIMEOUT.as_secs())]
    TimedOut {
        /// Name of the object.
        name: String,
    },
    /// The call failed.
    #[error("{name}: {source}")]
    Api {
        /// Name of the object.
        name: String,
        /// Why.
        source: Box<kube::Error>,
    },
}

impl RecordError {
    /// Its label in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Gone { .. } => "gone",
            Self::Refused { .. } => "refused",
            Self::TimedOut { .. } => "timed_out",
            Self::Api { .. } => "api",
        }
    }

    fn of(name: &str, error: kube::Error) -> Self {
        let name = name.to_owned();
        match error {
            kube::Error::Api(status) => match status.code {
                409 => Self::Conflict { name },
                404 => Self::Gone { name },
                400 | 403 | 413 | 422 => Self::Refused { name, message: status.message.clone() },
                _ => Self::Api { name, source: Box::new(kube::Error::Api(status)) },
            },
            source => Self::Api { name, source: Box::new(source) },
        }
    }
}

/// The objects of one kind, as far as they are written.
pub struct Ledger<K> {
    api: Api<K>,
    written: Mutex<HashMap<String, Arc<K>>>,
}

impl<K> Ledger<K>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    /// A ledger that writes with this client.
    pub fn new(client: Client) -> Self {
        Self { api: Api::all(client), written: Mutex::default() }
    }

    /// The newest that is known of an object: what the store shows, or what was written and is not shown yet. Once the
    /// store shows it, what was written is forgotten: this is asked with what the store shows, and with nothing else.
    pub fn latest(&self, shown: Arc<K>) -> Arc<K> {
        let mut written = self.lock();
        let name = shown.name_any();
        match written.get(&name) {
            Some(ours) if is_newer(ours.as_ref(), shown.as_ref()) => Arc::clone(ours),
            Some(_) => {
                written.remove(&name);
                shown
            }
            None => shown,
        }
    }

    /// Adds or removes a finalizer of ours, if nobody else has written meanwhile. `None`: it was so already.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn set_finalizer(&self, object: &K, finalizer: &str, there: bool) -> Result<Option<Arc<K>>, RecordError> {
        if object.finalizers().iter().any(|f| f == finalizer) == there {
            return Ok(None);
        }
        let mut finalizers: Vec<_> = object.finalizers().iter().filter(|f| *f != finalizer).cloned().collect();
        if there {
            finalizers.push(finalizer.to_owned());
        }
        self.change_metadata(object, ("finalizers", serde_json::json!(finalizers))).await.map(Some)
    }

    /// Takes an annotation off, if nobody else has written meanwhile.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn take_off_annotation(&self, object: &K, annotation: &str) -> Result<Arc<K>, RecordError> {
        self.change_metadata(object, ("annotations", serde_json::json!({ annotation: null }))).await
    }

    async fn change_metadata(&self, object: &K, (field, value): (&str, Value)) -> Result<Arc<K>, RecordError> {
        let name = object.name_any();
        let metadata = serde_json::json!({ "resourceVersion": object.resource_version(), field: value });
        let (params, patch) = (PatchParams::default(), Patch::Merge(serde_json::json!({ "metadata": metadata })));
        let answer = self.api.patch(&name, &params, &patch);
        self.answered(&name, answer).await
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Keeps what was written. What was written before outlives a write that failed, whatever it failed for: the store
    /// may show what is older still, and decided on that, a step that is done would be done again.
    /// It is boxed: a pass that may write is not to be as large as the client's futures.
    fn answered<'a>(
        &'a self,
        name: &'a str,
        answer: impl Future<Output = kube::Result<K>> + 'a,
    ) -> impl Future<Output = Result<Arc<K>, RecordError>> + 'a {
        let answer = tokio::time::timeout(WRITE_TIMEOUT, Box::pin(answer));
        async move {
            let answer = answer.await.map_err(|_| RecordError::TimedOut { name: name.to_owned() })?;
            match answer {
                Ok(mut object) => {
                    object.meta_mut().managed_fields = None;
                    let object = Arc::new(object);
                    self.lock().insert(name.to_owned(), Arc::clone(&object));
                    Ok(object)
                }
                Err(error) => {
                    let error = RecordError::of(name, error);
                    if matches!(error, RecordError::Gone { .. }) {
                        self.forget(name);
                    }
                    Err(error)
                }
            }
        }
    }

    /// The map is whole even if a thread panicked while holding it.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<K>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Ledger<K>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + HasStatus<Status: DeserializeOwned>,
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    /// Replaces the status with that of `object`, if nobody else has written meanwhile.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn replace_status(&self, object: K) -> Result<Arc<K>, RecordError> {
        let name = object.name_any();
        let answer = self.write_status(&name, object);
        self.answered(&name, answer).await
    }

    /// Of the answer, metadata and status are read: as nobody has written meanwhile, the rest is what was sent.
    async fn write_status(&self, name: &str, mut object: K) -> kube::Result<K> {
        let body = serde_json::to_vec(&object).map_err(kube::Error::SerdeError)?;
        let requests = Request::new(self.api.resource_url());
        let request = requests.replace_subresource("status", name, &PostParams::default(), body);
        let request = request.map_err(kube::Error::BuildRequest)?;
        let answer: Written<K::Status> = self.api.clone().into_client().request(request).await?;
        *object.meta_mut() = answer.metadata;
        *object.status_mut() = answer.status;
        Ok(object)
    }
}

/// What is read of the answer to a written status.
#[derive(Deserialize)]
#[serde(bound = "S: DeserializeOwned")]
struct Written<S> {
    metadata: ObjectMeta,
    status: Option<S>,
}

/// Whether `a` is a later state of the same object than `b`. Resource versions are numbers that grow
/// (KEP-5504; what is no number is not compared, and the store is believed).
fn is_newer<K: Resource>(a: &K, b: &K) -> bool {
    let version = |object: &K| object.meta().resource_version.as_ref().and_then(|v| v.parse::<u64>().ok());
    a.meta().uid == b.meta().uid && matches!((version(a), version(b)), (Some(ours), Some(shown)) if ours > shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Node;

    fn node(uid: &str, version: &str) -> Node {
        let value = serde_json::json!({"metadata": {"name": "n", "uid": uid, "resourceVersion": version}});
        serde_json::from_value(value).expect("a Node")
    }

    #[test]
    fn only_a_later_state_of_the_same_object_is_newer() {
        assert!(is_newer(&node("u", "10"), &node("u", "9")));
        assert!(!is_newer(&node("u", "9"), &node("u", "10")));
        assert!(!is_newer(&node("u", "9"), &node("u", "9")));
        assert!(!is_newer(&node("u", "10"), &node("v", "9")), "made anew");
        assert!(!is_newer(&node("u", "x"), &node("u", "9")));
    }

    /// A ledger, and the codes its writes are answered with in turn; each write makes the next version from 10 on.
    fn ledger(codes: &'static [u16]) -> Ledger<Node> {
        let mut calls = codes.iter().zip(10_u32..);
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let (&code, version) = calls.next().expect("no more writes");
            let body = match code {
                200 => serde_json::to_vec(&node("u", &version.to_string())),
                _ => serde_json::to_vec(&serde_json::json!({"code": code, "message": "m", "reason": "r"})),
            };
            let body = kube::client::Body::from(body.expect("JSON"));
            std::future::ready(http::Response::builder().status(code).body(body))
        });
        Ledger::new(Client::new(service, "default"))
    }

    #[tokio::test]
    async fn what_was_written_outlives_a_write_that_fails_till_the_object_is_gone() {
        let ledger = ledger(&[200, 409, 500, 422, 404]);
        let shown = Arc::new(node("u", "9"));
        let mut latest = Vec::new();
        for _ in 0..5 {
            let _ = ledger.set_finalizer(&shown, "windlass.dev/f", true).await;
            latest.push(ledger.latest(Arc::clone(&shown)).resource_version().expect("a version"));
        }
        assert_eq!(latest, ["10", "10", "10", "10", "9"]);
    }

    #[test]
    fn a_refusal_says_what_may_be_done() {
        let label = |code: u16| {
            let status = serde_json::from_value(serde_json::json!({
                "code": code, "message": "m", "reason": "r", "status": "Failure",
            }))
            .expect("a Status");
            RecordError::of("n", kube::Error::Api(status)).label()
        };
        let got = [409, 404, 422, 413, 403, 500, 429].map(label);
        assert_eq!(got, ["conflict", "gone", "refused", "refused", "refused", "api", "api"]);
    }
}
