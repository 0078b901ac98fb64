//! What takes long: one job at a time, in a thread of its own.

use super::border::unexpected;
use crate::host::{HostError, HostResult, Job};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

/// `WU_E_OPERATIONINPROGRESS`.
const IN_PROGRESS: u32 = 0x8024_0009;

/// The one job of this process.
#[derive(Default)]
pub(super) struct Jobs(Option<Receiver<HostResult<Job>>>);

impl Jobs {
    /// Begins a job. It sleeps in Windows, not in a loop, and ends with the process at the latest.
    pub fn begin(&mut self, work: impl FnOnce() -> HostResult<Job> + Send + 'static) -> HostResult<()> {
        if self.0.is_some() {
            return Err(HostError::new(IN_PROGRESS, "a job of this process is at work"));
        }
        let (sender, result) = channel();
        thread::spawn(move || sender.send(work()));
        self.0 = Some(result);
        Ok(())
    }

    /// Hands a result over once.
    pub fn poll(&mut self) -> HostResult<Job> {
        let Some(result) = &self.0 else { return Ok(Job::Idle) };
        match result.try_recv() {
            Err(TryRecvError::Empty) => Ok(Job::Running),
            Ok(result) => {
                self.0 = None;
                result
            }
            Err(TryRecvError::Disconnected) => {
                self.0 = None;
                Err(unexpected("the job ended without a result"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(jobs: &mut Jobs) -> HostResult<Job> {
        loop {
            match jobs.poll() {
                Ok(Job::Running) => thread::yield_now(),
                ended => return ended,
            }
        }
    }

    #[test]
    fn a_result_is_handed_over_once() {
        let mut jobs = Jobs::default();
        assert_eq!(jobs.poll(), Ok(Job::Idle));
        jobs.begin(|| Ok(Job::Downloaded(vec![]))).expect("it begins");
        assert!(jobs.begin(|| Ok(Job::Idle)).is_err_and(|e| e.hresult == IN_PROGRESS));
        assert_eq!(poll(&mut jobs), Ok(Job::Downloaded(vec![])));
        assert_eq!(jobs.poll(), Ok(Job::Idle));
        jobs.begin(|| Err(HostError::new(0x8024_0044, "no"))).expect("it begins");
        assert!(poll(&mut jobs).is_err_and(|e| e.hresult == 0x8024_0044));
        assert_eq!(jobs.poll(), Ok(Job::Idle));
    }
}
