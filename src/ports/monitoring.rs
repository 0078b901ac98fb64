//! Who knows how well things work: a Prometheus, or whatever speaks its language.

use futures::future::BoxFuture;

/// Answers queries about how well things work.
///
/// # The contract
/// A call ends within seconds, changes nothing, and may be made as often as one likes.
pub trait Monitoring: Send + Sync {
    /// The values of an instant query at this address, one for each series, in any order. No value means that there is no
    /// data; NaN is a value.
    ///
    /// # Errors
    /// [`MonitoringError`]. What it says does not move from call to call while the cause is the same.
    fn query<'a>(&'a self, address: &'a str, query: &'a str) -> BoxFuture<'a, Result<Vec<f64>, MonitoringError>>;
}

/// Why a query gave no answer, in words. It may pass: the same query is asked again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MonitoringError(pub String);
