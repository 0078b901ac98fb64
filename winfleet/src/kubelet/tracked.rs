//! What one worker keeps of one pod.

use super::{
    after,
    lifecycle::Containers,
    logs::{LogOwner, LogStore},
    machine::MachineFacts,
    pod::{Phase, PodView},
    pod_status,
    process::Process,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use std::time::{Duration, Instant};

/// First wait after a failed write; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest wait after a failed write.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How long the API server may show another readiness than was written before it is written again: the node-lifecycle
/// controller sets pods to not ready on a node it lost, and an older event of ours may still be on its way.
const RECONCILE_AFTER: Duration = Duration::from_secs(5);

/// A pod on this machine.
#[derive(Debug)]
pub struct Tracked {
    /// The pod, as it was last seen.
    pub pod: PodView,
    /// Whether the Pod object is gone.
    pub gone: bool,
    /// Whether this kubelet deleted it; the watch will say when it is gone.
    pub deleted: bool,
    /// What the container runtime has of it.
    pub containers: Containers,
    /// Its program, while it runs.
    pub process: Option<Process>,
    /// The exit code of its program, until the lifecycle took note of it.
    pub exit: Option<i32>,
    /// Its address, from the first sandbox to the last.
    pub ip: String,
    /// The status that was written last, and when.
    pub written: Option<(PodStatus, Instant)>,
    /// Writes that failed in a row.
    pub failures: u32,
    /// Not to be written before.
    pub retry_at: Timestamp,
    /// When the last event about its sandbox was told.
    pub told: Option<Instant>,
}

impl Tracked {
    /// Takes on a pod that is seen for the first time.
    pub fn new(pod: PodView, facts: &MachineFacts, ip: String) -> Self {
        let containers = Containers::adopt(&pod, facts.boot, Timestamp::now());
        Self {
            pod,
            gone: false,
            deleted: false,
            containers,
            process: None,
            exit: None,
            ip,
            written: None,
            failures: 0,
            retry_at: Timestamp::MIN,
            told: None,
        }
    }

    /// The name of its log.
    pub fn owner(&self) -> LogOwner<'_> {
        LogOwner { namespace: &self.pod.namespace, name: &self.pod.name, uid: &self.pod.uid }
    }

    /// Ends its program, if it runs, and with it its log.
    pub fn kill(&mut self, logs: &LogStore) {
        if self.process.take().is_some() {
            logs.close(self.owner());
        }
    }

    /// The status to be written now, if any, and when to look again whether the API server has it.
    pub fn status_due(&self) -> (Option<PodStatus>, Option<Timestamp>) {
        if self.pod.phase == Phase::Terminal {
            return (None, None);
        }
        let status = pod_status::of(&self.pod, &self.containers, &self.ip);
        match &self.written {
            Some((written, at)) if *written == status => {
                let doubted = self.pod.ready != pod_status::is_ready(&self.containers);
                let left = RECONCILE_AFTER.saturating_sub(at.elapsed());
                match (doubted, left.is_zero()) {
                    (false, _) => (None, None),
                    (true, true) => (Some(status), None),
                    (true, false) => (None, Some(after(Timestamp::now(), left))),
                }
            }
            _ => (Some(status), None),
        }
    }

    /// Notes that a write failed; returns when to try again.
    pub fn failed(&mut self, now: Timestamp) -> Timestamp {
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(LONGEST_RETRY);
        self.failures += 1;
        self.retry_at = after(now, wait);
        self.retry_at
    }
}
