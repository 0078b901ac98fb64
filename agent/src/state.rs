//! The one document on disk: where the work stands.
//!
//! `{"version":1,"sha256":"...","state":{...}}`, the checksum over the text of `state`. It is replaced as a whole, so
//! that a power cut leaves the old or the new one; whatever else is found there is [`Loaded::Unreadable`].

use crate::baseline::Baseline;
use crate::host::{Host, HostResult};
use crate::pinned::Tracked;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use windlass_protocol::{AgentError, AgentPhase, ErrorClass, Nonces, RequestError, Source, Ticket, UpdateState};

/// Name of the state file in the agent's folder.
pub const STATE_FILE: &str = "state.json";

/// Name of the file with the value written before the snapshot.
pub const NONCE_A_FILE: &str = "nonce-a";

/// Name of the file with the value written after the snapshot.
pub const NONCE_B_FILE: &str = "nonce-b";

/// Where `reset` puts a state file that it could not read.
pub(crate) const UNREADABLE_FILE: &str = "state.unreadable.json";

/// The marker that the agent leaves when it gave up and disarmed itself: why, in words, for whoever finds the machine
/// without the cluster.
pub(crate) const DISARMED_FILE: &str = "disarmed.txt";

/// Version of the document. One of another version is not interpreted.
const VERSION: u32 = 1;

/// Where the work of one node update stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct State {
    /// The node update this is about.
    pub node_update_uid: String,
    pub phase: AgentPhase,
    /// The pinned set, and what became of each.
    pub updates: Vec<Tracked>,
    /// The machine before the update; there from `Staged` on.
    pub baseline: Option<Baseline>,
    /// Whether an installation was ever begun.
    pub mutated: bool,
    /// The boot in which this was last written.
    pub boot_id: String,
    /// Boots seen since the document was made.
    pub boots: u32,
    /// Those of them that happened while the task had the work: what the limit of reboots counts. (A snapshot that
    /// needs the power off is no reboot of ours.)
    pub reboots: u32,
    /// What the armed task is to do.
    pub work: Option<Work>,
    /// The value of `NoAutoUpdate` to put back, while the agent holds automatic updates off.
    pub taken_policy: Option<TakenPolicy>,
    /// Why it failed; of work that is done, why the source could not be asked at the end.
    pub error: Option<AgentError>,
    /// The last question of each step that was worked on: an earlier one that comes late is stale.
    pub asked: BTreeMap<String, Asked>,
}

/// One question that was worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Asked {
    pub round: u32,
    pub attempt: u32,
    pub challenge: String,
}

/// What the armed task is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Work {
    pub key: WorkKey,
    pub source: Source,
    pub reboot_not_after: Option<Timestamp>,
    pub max_reboots: u32,
    pub install_not_after: Timestamp,
    /// The boot in which Windows was asked to reboot.
    pub reboot_asked_in: Option<String>,
    /// Boots seen when this question was taken up. Those before are none that the work has made: a reboot that was pending,
    /// or the power that a snapshot takes.
    #[serde(default)]
    pub boots_before: u32,
}

/// Tells one piece of work from the next: the same question finds its own work, a new one starts anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WorkKey {
    pub step: String,
    pub round: u32,
    pub attempt: u32,
    pub nonce_b: String,
}

impl WorkKey {
    pub fn new(ticket: &Ticket, nonce_b: &str) -> Self {
        Self { step: ticket.step.clone(), round: ticket.round, attempt: ticket.attempt, nonce_b: nonce_b.to_owned() }
    }

    /// Whether both are attempts of one step in one round.
    pub fn same_step(&self, other: &Self) -> bool {
        (&self.step, self.round) == (&other.step, other.round)
    }
}

/// The value that the agent replaced, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TakenPolicy {
    pub no_auto_update: Option<u32>,
}

impl State {
    /// Makes the document of a node update of which nothing was done yet.
    pub fn new(node_update_uid: &str, boot_id: String) -> Self {
        Self {
            node_update_uid: node_update_uid.to_owned(),
            phase: AgentPhase::Idle,
            updates: vec![],
            baseline: None,
            mutated: false,
            boot_id,
            boots: 0,
            reboots: 0,
            work: None,
            taken_policy: None,
            error: None,
            asked: BTreeMap::new(),
        }
    }

    /// Takes over what outlives the work of `before`: a policy that is held off, and, of the same node update, the
    /// boots counted so far.
    pub fn take_over(&mut self, before: &Self) {
        self.taken_policy = before.taken_policy;
        if before.node_update_uid == self.node_update_uid {
            self.boots = before.boots + u32::from(before.boot_id != self.boot_id);
            self.reboots = before.reboots;
            self.asked.clone_from(&before.asked);
        }
    }

    /// Notes a question that is worked on from now.
    pub fn note(&mut self, ticket: &Ticket) {
        let Ticket { round, attempt, challenge, .. } = ticket.clone();
        self.asked.insert(ticket.step.clone(), Asked { round, attempt, challenge });
    }

    /// Refuses a question that a later one of the same step overtook, or that pretends to be the one that was asked.
    ///
    /// # Errors
    /// [`RequestError::Stale`], naming the part of the ticket.
    pub fn refuse_stale(&self, ticket: &Ticket) -> Result<(), RequestError> {
        let Some(seen) = self.asked.get(&ticket.step).filter(|_| self.node_update_uid == ticket.node_update_uid) else {
            return Ok(());
        };
        let stale = |field, asked: &dyn ToString, seen: &dyn ToString| {
            Err(RequestError::Stale { field, asked: asked.to_string(), seen: seen.to_string() })
        };
        if ticket.round < seen.round {
            return stale("round", &ticket.round, &seen.round);
        }
        let same_round = ticket.round == seen.round;
        if same_round && ticket.attempt < seen.attempt {
            return stale("attempt", &ticket.attempt, &seen.attempt);
        }
        if same_round && ticket.attempt == seen.attempt && ticket.challenge != seen.challenge {
            return stale("challenge", &ticket.challenge, &seen.challenge);
        }
        Ok(())
    }

    /// Whether the armed task has, or should have, the work in hand.
    pub fn active(&self) -> bool {
        use AgentPhase::{Install, PostBoot, RebootRequested, Rescan};
        matches!(self.phase, Install | RebootRequested | PostBoot | Rescan)
    }

    /// Notes a boot that was not seen before; says whether there was one.
    pub fn see_boot(&mut self, boot_id: &str) -> bool {
        let new = self.rebooted(boot_id);
        if new {
            boot_id.clone_into(&mut self.boot_id);
            self.boots += 1;
            self.reboots += u32::from(self.active());
        }
        new
    }

    /// Whether Windows was asked for a reboot that has not happened yet.
    pub fn reboot_asked(&self, boot_id: &str) -> bool {
        self.phase == AgentPhase::RebootRequested
            && self.work.as_ref().is_some_and(|w| w.reboot_asked_in.as_deref() == Some(boot_id))
    }

    /// Whether the machine booted since this was written: the task has yet to note it.
    pub fn rebooted(&self, boot_id: &str) -> bool {
        self.boot_id != boot_id
    }

    /// The boots seen so far, with one that the task has yet to note.
    pub fn boots_seen(&self, boot_id: &str) -> u32 {
        self.boots + u32::from(self.rebooted(boot_id))
    }

    /// Whether the operator's leave to reboot is valid at `now`.
    pub fn may_reboot(&self, now: Timestamp) -> bool {
        self.work.as_ref().and_then(|w| w.reboot_not_after).is_some_and(|not_after| now < not_after)
    }

    /// Whether any update is in this state.
    pub fn any(&self, state: UpdateState) -> bool {
        self.updates.iter().any(|u| u.state == state)
    }

    /// Moves to a phase, on disk first: a caller acts only after this returned.
    pub fn enter(&mut self, phase: AgentPhase, host: &mut dyn Host) -> HostResult<()> {
        self.phase = phase;
        self.save(host)
    }

    /// Gives up, on disk.
    pub fn fail(&mut self, error: AgentError, host: &mut dyn Host) -> HostResult<()> {
        self.error = Some(error);
        self.enter(AgentPhase::Failed, host)
    }

    /// Writes the document.
    pub fn save(&self, host: &mut dyn Host) -> HostResult<()> {
        host.replace(STATE_FILE, encode(self).as_bytes())
    }
}

/// What the state file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// There is none.
    Nothing,
    State(Box<State>),
    /// Torn, foreign or of another version; the text says what was seen.
    Unreadable(String),
}

impl Loaded {
    /// Reads the state file.
    pub fn read(host: &dyn Host) -> HostResult<Self> {
        let Some(bytes) = host.read(STATE_FILE)? else { return Ok(Self::Nothing) };
        Ok(match decode(&bytes) {
            Ok(state) => Self::State(Box::new(state)),
            Err(seen) => Self::Unreadable(seen),
        })
    }

    /// The state, if it can be read.
    pub fn state(&self) -> Option<&State> {
        match self {
            Self::State(state) => Some(state),
            Self::Nothing | Self::Unreadable(_) => None,
        }
    }

    /// The state for a command that would write it.
    ///
    /// # Errors
    /// Permanent, when there is one that can not be read: what it says is not overwritten.
    pub fn writable(self) -> Result<Option<State>, AgentError> {
        match self {
            Self::Nothing => Ok(None),
            Self::State(state) => Ok(Some(*state)),
            Self::Unreadable(seen) => Err(unreadable(&seen)),
        }
    }
}

/// The error of a state file that can not be read.
pub(crate) fn unreadable(seen: &str) -> AgentError {
    error(ErrorClass::Permanent, format!("{STATE_FILE}: {seen}; `reset` puts it aside"))
}

/// An error without an HRESULT.
pub(crate) fn error(class: ErrorClass, message: impl Into<String>) -> AgentError {
    AgentError { class, message: message.into(), hresult: None }
}

/// Reads the two proofs of a restore.
pub(crate) fn nonces(host: &dyn Host) -> HostResult<Nonces> {
    let text = |name| host.read(name).map(|f| f.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    Ok(Nonces { a: text(NONCE_A_FILE)?, b: text(NONCE_B_FILE)? })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    sha256: String,
    state: Box<RawValue>,
}

fn encode(state: &State) -> String {
    // Serialising owned strings, numbers and enums can not fail.
    let text = serde_json::to_string(state).unwrap_or_default();
    format!(r#"{{"version":{VERSION},"sha256":"{}","state":{text}}}"#, checksum(&text))
}

fn decode(bytes: &[u8]) -> Result<State, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(bytes).map_err(|e| format!("torn or foreign: {e}"))?;
    if version != VERSION {
        return Err(format!("written in version {version}, this agent reads {VERSION}"));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|e| format!("foreign: {e}"))?;
    let text = document.state.get();
    if checksum(text) != document.sha256 {
        return Err("torn: its checksum does not match".to_owned());
    }
    serde_json::from_str(text).map_err(|e| format!("foreign: {e}"))
}

fn checksum(text: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String can not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What the fuzzer needs of this room; built for it alone.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads a state file, and writes what was read.
    ///
    /// # Errors
    /// What was seen instead.
    pub fn state(bytes: &[u8]) -> Result<Vec<u8>, String> {
        super::decode(bytes).map(|state| super::encode(&state).into_bytes())
    }

    /// Any text as the state of a file with a good checksum.
    pub fn sealed(text: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(text);
        let sum = super::checksum(&text);
        format!(r#"{{"version":{},"sha256":"{sum}","state":{text}}}"#, super::VERSION).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> State {
        let mut state = State::new("uid-1", "7".into());
        state.phase = AgentPhase::Staged;
        state.taken_policy = Some(TakenPolicy { no_auto_update: None });
        state
    }

    #[test]
    fn reads_back_what_it_wrote() {
        assert_eq!(decode(encode(&sample()).as_bytes()), Ok(sample()));
    }

    #[test]
    fn says_what_it_saw_instead() {
        let good = encode(&sample());
        for (text, seen) in [
            ("", "torn"),
            (&good[..good.len() / 2], "torn"),
            (&good.replace("uid-1", "uid-2"), "checksum"),
            (&good.replace("\"version\":1", "\"version\":2"), "version 2"),
            (r#"{"version":1}"#, "foreign"),
            (r#"{"hello":1}"#, "foreign"),
        ] {
            let error = decode(text.as_bytes()).expect_err(text);
            assert!(error.contains(seen), "{error} should say {seen}");
        }
    }

    #[test]
    fn a_question_that_was_overtaken_is_stale() {
        let ticket = |step: &str, round, attempt, challenge: &str| Ticket {
            node_update_uid: "uid-1".into(),
            step: step.into(),
            round,
            attempt,
            challenge: challenge.into(),
        };
        let mut state = sample();
        state.note(&ticket("Install", 2, 2, "c"));
        let refused = |t: Ticket| state.refuse_stale(&t).map_err(|e| e.to_string());
        for (late, field) in [
            (ticket("Install", 1, 3, "c"), "ticket.round"),
            (ticket("Install", 2, 1, "c"), "ticket.attempt"),
            (ticket("Install", 2, 2, "d"), "ticket.challenge"),
        ] {
            assert!(refused(late.clone()).is_err_and(|e| e.starts_with(field)), "{late:?}");
        }
        for new in [ticket("Install", 2, 2, "c"), ticket("Install", 2, 3, "d"), ticket("Install", 3, 1, "d")] {
            assert_eq!(refused(new), Ok(()));
        }
        assert_eq!(refused(ticket("Reboot", 0, 1, "d")), Ok(()), "each step counts for itself");
        let other = Ticket { node_update_uid: "uid-2".into(), ..ticket("Install", 1, 1, "d") };
        assert_eq!(refused(other), Ok(()), "another node update begins anew");
    }

    #[test]
    fn counts_a_boot_once() {
        let mut state = sample();
        assert!(!state.see_boot("7"));
        assert!(state.see_boot("8"));
        assert!(!state.see_boot("8"));
        assert_eq!(state.boots, 1);
    }

    proptest! {
        #[test]
        fn no_damage_of_one_byte_is_believed(at in 0usize..400, bit in 0u8..8) {
            let mut bytes = encode(&sample()).into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            // A flipped case in a hexadecimal digit of the checksum is refused as well: the text must be equal.
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn no_rubbish_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
