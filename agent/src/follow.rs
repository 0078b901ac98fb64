//! Following the armed task to its end, for the commands that wait for it.

use crate::host::{Host, TaskState, later};
use crate::report::standing;
use crate::run::{Pass, Step};
use crate::state::State;
use crate::{POLL, RETRY};
use jiff::{SignedDuration, Timestamp};
use windlass_protocol::Progress;

/// How long a task may take to come off the machine once its work is at an end: 2 minutes, ours. It takes less than a
/// second, and one more start where it died just then. After that the report says that it is still armed.
const TAKES_OFF: SignedDuration = SignedDuration::from_mins(2);

/// One wait for the task.
#[derive(Debug, Default)]
pub(crate) struct Follow {
    /// Since when the work is seen at its end.
    ended: Option<Timestamp>,
}

impl Follow {
    /// Says what the work came to, or to look again. The end is told once the task is off: one that died before, on its
    /// way or while it took itself off, is started again, for nothing on the machine would do so before the next boot.
    ///
    /// # Guarantees
    /// It ends at once where nobody is at work or where the next move is not the task's: a leave or a reboot is awaited.
    ///
    /// # Assumptions
    /// `task` was looked at before `state`: one that ends between the two must not seem to have left its work.
    pub fn step(&mut self, task: TaskState, state: &State, host: &mut dyn Host, now: Timestamp) -> Step {
        let boot_id = host.boot_id()?;
        let outcome = standing(state, task, &boot_id, now);
        let elsewhere = outcome.progress == Progress::RebootNeeded || state.reboot_asked(&boot_id);
        let at_work = outcome.progress == Progress::InProgress;
        if elsewhere || task == TaskState::Absent || (!at_work && self.is_late(now)) {
            return Ok(Pass::End(outcome));
        }
        if task == TaskState::Running {
            return Ok(Pass::Again(POLL));
        }
        host.start_task()?;
        Ok(Pass::Again(RETRY))
    }

    /// When the end is told although the task is not off; none while the work is not seen at its end.
    pub fn gives_up_at(&self) -> Option<Timestamp> {
        self.ended.map(|ended| later(ended, TAKES_OFF))
    }

    fn is_late(&mut self, now: Timestamp) -> bool {
        self.ended.get_or_insert(now);
        self.gives_up_at().is_some_and(|at| now >= at)
    }
}
