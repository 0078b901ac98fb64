//! `arm`: nonce B, the one-shot task, and following it until a reboot is requested or it ends.

use crate::POLL;
use crate::follow::Follow;
use crate::host::{Host, TaskState, later};
use crate::run::{Pass, Step};
use crate::state::{Loaded, NONCE_B_FILE, State, Work, WorkKey, error};
use crate::trouble::Trouble;
use jiff::{SignedDuration, Timestamp};
use windlass_protocol::{AgentPhase, Command, ErrorClass, PinnedUpdate, Source, Ticket, UpdateState};

/// One `arm` in the making.
#[derive(Debug)]
pub(crate) struct Arm {
    ticket: Ticket,
    key: WorkKey,
    source: Source,
    updates: Vec<PinnedUpdate>,
    reboot_not_after: Option<Timestamp>,
    max_reboots: u32,
    timeout: SignedDuration,
    begun: bool,
    follow: Follow,
}

impl Arm {
    /// Takes up the request; another command than `arm` arms nothing.
    pub fn new(ticket: &Ticket, command: Command) -> Self {
        let mut arm = Self {
            ticket: ticket.clone(),
            key: WorkKey::new(ticket, ""),
            source: Source::WindowsUpdate,
            updates: vec![],
            reboot_not_after: None,
            max_reboots: 0,
            timeout: SignedDuration::ZERO,
            begun: false,
            follow: Follow::default(),
        };
        if let Command::Arm { source, updates, nonce_b, reboot_not_after, max_reboots, timeout_seconds } = command {
            arm.key.nonce_b = nonce_b;
            arm.source = source;
            arm.updates = updates;
            arm.reboot_not_after = reboot_not_after;
            arm.max_reboots = max_reboots;
            arm.timeout = SignedDuration::from_secs(i64::try_from(timeout_seconds).unwrap_or(i64::MAX));
        }
        arm
    }

    /// Begins, or finds its own work, then follows.
    pub fn step(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        if !self.begun {
            self.begun = self.begin(host, now)?;
        }
        if self.begun { self.go_on(host, now) } else { Ok(Pass::Again(POLL)) }
    }

    /// Hands the work to the task, or finds that it has it. Says `false` where a task is just ending: not yet.
    fn begin(&self, host: &mut dyn Host, now: Timestamp) -> Result<bool, Trouble> {
        // The task first: what is read of one that does not run is its last word, and may be written over.
        let task = host.task()?;
        let before = Loaded::read(host)?.writable()?;
        if let Some(other) = before.as_ref().filter(|s| s.node_update_uid != self.ticket.node_update_uid && s.active())
        {
            let text = format!("task: the work of node update {} is not at its end", other.node_update_uid);
            return Err(error(ErrorClass::Retriable, text).into());
        }
        // A task that runs is the only writer. Its work is followed where it is the same step's; what another step left it
        // with must end first, lest its end be taken for that of this one.
        if task == TaskState::Running {
            let same = |work: &Work| work.key.same_step(&self.key);
            return Ok(before.is_some_and(|s| s.active() && s.work.as_ref().is_some_and(same)));
        }
        let boot_id = host.boot_id()?;
        let mut state = self.own(before.as_ref(), &boot_id)?;
        let active = state.active();
        match state.work.as_mut().filter(|work| work.key == self.key) {
            Some(_) if !active => return Ok(true),
            // The same question may be asked again with another leave: the last one holds.
            Some(work) => work.reboot_not_after = self.reboot_not_after,
            None => {
                self.take_up(&mut state, &boot_id, now);
                host.replace(NONCE_B_FILE, self.key.nonce_b.as_bytes())?;
            }
        }
        state.note(&self.ticket);
        state.save(host)?;
        host.register_task()?;
        host.start_task()?;
        Ok(true)
    }

    /// The document this works on. What is to be installed must have been staged; a mere reboot needs nothing.
    fn own(&self, before: Option<&State>, boot_id: &str) -> Result<State, Trouble> {
        let own = before.filter(|s| s.node_update_uid == self.ticket.node_update_uid);
        let mine = own.and_then(|s| s.work.as_ref()).is_some_and(|w| w.key == self.key);
        if let Some(state) = own.filter(|s| mine || s.active() || (self.updates.is_empty() && s.mutated)) {
            return Ok(state.clone());
        }
        if self.updates.is_empty() {
            let mut state = State::new(&self.ticket.node_update_uid, boot_id.to_owned());
            if let Some(before) = before {
                state.take_over(before);
            }
            return Ok(state);
        }
        let Some(state) = own.filter(|s| s.baseline.is_some()) else {
            return Err(error(ErrorClass::Permanent, "updates: nothing was staged by this node update").into());
        };
        match self.updates.iter().find(|p| !state.updates.iter().any(|u| u.pinned == **p)) {
            Some(p) => Err(error(ErrorClass::Permanent, format!("updates: {} was not staged", p.kb)).into()),
            None => Ok(state.clone()),
        }
    }

    /// Makes the work the document's. What is under way already goes on under the new question.
    fn take_up(&self, state: &mut State, boot_id: &str, now: Timestamp) {
        let asked = state.work.take().and_then(|w| w.reboot_asked_in).filter(|_| state.active());
        let boots_before = state.boots_seen(boot_id);
        state.work = Some(Work {
            key: self.key.clone(),
            source: self.source.clone(),
            reboot_not_after: self.reboot_not_after,
            max_reboots: self.max_reboots,
            install_not_after: later(now, self.timeout),
            reboot_asked_in: asked,
            boots_before,
        });
        if state.active() {
            return;
        }
        state.see_boot(boot_id);
        state.error = None;
        state.phase = if self.updates.is_empty() { AgentPhase::RebootRequested } else { AgentPhase::Install };
        for update in state.updates.iter_mut().filter(|u| u.state == UpdateState::Failed) {
            update.state = UpdateState::Offered;
        }
    }

    fn go_on(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        // In this order: see [`Follow::step`].
        let task = host.task()?;
        let Some(state) = Loaded::read(host)?.writable()? else {
            return Err(error(ErrorClass::Permanent, "state: it was removed while the task had the work").into());
        };
        let asked = state.reboot_asked(&host.boot_id()?);
        if state.phase == AgentPhase::RebootRequested && self.may_reboot(now) && !asked {
            // A task that had no leave has ended, or will: it is taken up again with ours.
            if task != TaskState::Running {
                self.begin(host, now)?;
            }
            return Ok(Pass::Again(POLL));
        }
        self.follow.step(task, &state, host, now)
    }

    /// The moments at which time alone may change what it waits for.
    pub fn turns(&self) -> [Option<Timestamp>; 2] {
        [self.reboot_not_after, self.follow.gives_up_at()]
    }

    fn may_reboot(&self, now: Timestamp) -> bool {
        self.reboot_not_after.is_some_and(|not_after| now < not_after)
    }
}
