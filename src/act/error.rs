//! Why an effect could not be done. Facts about the node are no errors: they are results of the step.

use kube::core::Status;
use std::{future::Future, time::Duration};

/// How long one call to the API server may take: the client itself sets no bound, and a request into a black hole would
/// occupy its reconcile for ever.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What an API server says of an admission webhook that it could not ask (its `ErrCallingWebhook`).
const WEBHOOK_AWAY: &str = "failed calling webhook";

/// Why a call to the API server gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer in time.
    #[error("no answer within {}s", CALL_TIMEOUT.as_secs())]
    TimedOut,
    /// Refused, or never sent.
    #[error("{}", words(.0))]
    Kube(#[from] kube::Error),
}

/// The API server's own words where it refused: the error's text repeats them and adds all fields of the answer, of which a
/// sentence in a status has no room, and nobody a use.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// Makes one call, bounded in time. It is boxed: else each effect, and each pass that waits for one, would be as large as
/// the client's futures, and be moved about with them.
pub(super) fn call<T>(request: impl Future<Output = kube::Result<T>>) -> impl Future<Output = Result<T, ApiError>> {
    let answer = tokio::time::timeout(CALL_TIMEOUT, Box::pin(request));
    async move {
        match answer.await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ApiError::TimedOut),
        }
    }
}

impl ApiError {
    /// The API server's own words, where it refused.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            Self::Kube(_) | Self::TimedOut => None,
        }
    }

    /// The status code of a refusal.
    pub(super) fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// Whether the object is not there.
    pub(super) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether an object of that name is there already.
    pub(super) fn is_there_already(&self) -> bool {
        self.status().is_some_and(|status| status.reason == "AlreadyExists")
    }

    /// Whether another write came first, or the name is taken.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether the request itself is not one the API server takes: asking again at once changes nothing.
    fn is_refused(&self) -> bool {
        self.status().is_some_and(|status| match status.code {
            409 | 410 | 429 => false,
            // A webhook that has to be asked (`failurePolicy: Fail`) and is away: nobody but its owner can change that,
            // and no other code tells it from a fault of the API server.
            500 => status.message.contains(WEBHOOK_AWAY),
            code => (400..500).contains(&code),
        })
    }
}

/// Why an effect could not be done. Each variant says what was being done; that is the metric's label, too.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum ActError {
    #[error("reading node {name}: {source}")]
    GetNode { name: String, source: ApiError },
    #[error("patching node {name}: {source}")]
    PatchNode { name: String, source: ApiError },
    #[error("node {name}: it is gone, or another machine has its name")]
    NodeChanged { name: String },
    #[error("listing the pods of node {name}: {source}")]
    ListPods { name: String, source: ApiError },
    #[error("evicting pod {pod}: {source}")]
    Evict { pod: String, source: ApiError },
    #[error("listing the disruption budgets of namespace {namespace}: {source}")]
    ListBudgets { namespace: String, source: ApiError },
    #[error("creating pod {pod}: {source}")]
    CreatePod { pod: String, source: ApiError },
    #[error("deleting pods in namespace {namespace}: {source}")]
    DeletePods { namespace: String, source: ApiError },
    #[error("creating NodeSnapshot {name}: {source}")]
    CreateSnapshot { name: String, source: ApiError },
}

impl ActError {
    /// Its label in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::GetNode { .. } => "get_node",
            Self::PatchNode { .. } => "patch_node",
            Self::NodeChanged { .. } => "node_changed",
            Self::ListPods { .. } => "list_pods",
            Self::Evict { .. } => "evict",
            Self::ListBudgets { .. } => "list_budgets",
            Self::CreatePod { .. } => "create_pod",
            Self::DeletePods { .. } => "delete_pods",
            Self::CreateSnapshot { .. } => "create_snapshot",
        }
    }

    /// Whether the API server refuses the request as such: a missing right, an admission rule or a webhook of one that is
    /// away, a missing namespace. Somebody has to change that; until then whoever asked waits within a deadline and says
    /// on what.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::NodeChanged { .. } => false,
            Self::GetNode { source, .. }
            | Self::PatchNode { source, .. }
            | Self::ListPods { source, .. }
            | Self::Evict { source, .. }
            | Self::ListBudgets { source, .. }
            | Self::CreatePod { source, .. }
            | Self::DeletePods { source, .. }
            | Self::CreateSnapshot { source, .. } => source.is_refused(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_to_change_is_told_from_what_passes() {
        let away = "Internal error occurred: failed calling webhook \"validation.gatekeeper.sh\": failed to call webhook: \
                    Post \"https://gatekeeper.svc:443/v1/admit\": dial tcp 10.0.0.9:443: connect: connection refused";
        for (code, message, refused) in [
            (403, "pods \"p\" is forbidden: exceeded quota", true),
            (404, "namespaces \"windlass-agents\" not found", true),
            (422, "invalid", true),
            (500, away, true),
            (500, "etcdserver: request timed out", false),
            (409, "the object has been modified", false),
            (429, "too many requests", false),
            (503, "the server is currently unable to handle the request", false),
        ] {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            let source = ApiError::Kube(kube::Error::Api(Box::new(status)));
            let error = ActError::CreatePod { pod: "windlass-agents/p".into(), source };
            assert_eq!(error.is_refused(), refused, "{code} {message}");
            assert_eq!(error.to_string(), format!("creating pod windlass-agents/p: {message}"));
        }
    }
}
