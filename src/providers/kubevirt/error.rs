//! What a refusal of the cluster that runs the machines means to the contract.

use crate::ports::ProviderError;
use std::time::Duration;

/// How long to wait when the API server is too busy and does not say how long.
const RETRY_DEFAULT: Duration = Duration::from_secs(5);
/// Longest wait it may ask for: a longer one would hide it from the step's deadline.
const RETRY_CAP: Duration = Duration::from_mins(5);
/// How much of an API server's text is shown, in characters.
const SHOWN: usize = 300;

/// What a failed request means. `what` names it (`VirtualMachine win-7`).
pub(super) fn meaning(what: &str, error: kube::Error) -> ProviderError {
    let kube::Error::Api(status) = error else {
        // Its text may hold a page of somebody else's answer, and changes with addresses.
        return ProviderError::Transient(format!("{what}: no answer that is understood"));
    };
    let text: String = format!("{what}: {}", status.message).chars().take(SHOWN).collect();
    match status.code {
        401 => ProviderError::Denied(format!("{what}: the credentials are not accepted")),
        403 if status.message.contains("exceeded quota") => ProviderError::Quota(text),
        403 => ProviderError::Denied(text),
        404 => ProviderError::NotFound(format!("{what} is not there")),
        429 => ProviderError::Throttled { retry_after: wait(status.details.map_or(0, |d| d.retry_after_seconds)) },
        // KubeVirt's webhook lets no second restore of a machine begin.
        400 | 422 if !status.message.contains("in progress") => ProviderError::Permanent(text),
        _ => ProviderError::Transient(text),
    }
}

fn wait(seconds: u32) -> Duration {
    let asked = Duration::from_secs(u64::from(seconds));
    if asked.is_zero() { RETRY_DEFAULT } else { asked.min(RETRY_CAP) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use serde_json::json;

    fn of(code: u16, message: &str, retry_after: u32) -> ProviderError {
        let status = json!({"code": code, "message": message, "details": {"retryAfterSeconds": retry_after}});
        let status: Status = serde_json::from_value(status).expect("a status");
        meaning("VirtualMachine win-7", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn each_refusal_has_a_meaning() {
        use ProviderError::{Denied, NotFound, Permanent, Quota, Throttled, Transient};
        assert!(matches!(of(401, "Unauthorized", 0), Denied(_)));
        assert!(
            matches!(of(403, "user x cannot get", 0), Denied(text) if text.contains("VirtualMachine win-7: user x"))
        );
        assert!(matches!(of(403, "exceeded quota: disks", 0), Quota(_)));
        assert!(matches!(of(404, "not found", 0), NotFound(_)));
        assert_eq!(of(429, "busy", 7), Throttled { retry_after: Duration::from_secs(7) });
        assert_eq!(of(429, "busy", 0), Throttled { retry_after: RETRY_DEFAULT });
        assert_eq!(of(429, "busy", 99_999), Throttled { retry_after: RETRY_CAP });
        assert!(matches!(of(422, "spec.x: bad", 0), Permanent(_)));
        assert!(matches!(of(422, "VirtualMachineRestore \"r\" in progress", 0), Transient(_)));
        assert!(matches!(of(409, "conflict", 0), Transient(_)));
        assert!(matches!(of(500, "etcd", 0), Transient(_)));
    }
}
