//! The border to the machine: one small trait per concern, and [`Host`], which is all of them.
//!
//! Reads take `&self`, acts take `&mut self`. No call may block for longer than a few seconds: what takes long is
//! begun, and asked for later.
//!
//! What acts is in this file; what a probe reads of the machine is in `condition`.

mod condition;

pub use condition::{
    Adapter, BitLocker, Clock, Disk, Disks, Driver, DriverClass, Drivers, EventSpan, Events, HostEndpoint, HostNetwork,
    Identity, Memory, MemoryUse, Network, Route, Runtime, SYSTEM_DISK, Service, ServiceProcess, Services, StartMode,
    is_apipa,
};

use crate::hresult;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use windlass_protocol::{AgentError, Build, ErrorClass, OfferedUpdate, PinnedUpdate, RebootSignals, Source};

/// A call to the machine that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", hresult::describe(*.hresult, message))]
pub struct HostError {
    /// The HRESULT; Win32 errors as `HRESULT_FROM_WIN32` gives them.
    pub hresult: u32,
    /// What was attempted, and what Windows said.
    pub message: String,
}

impl HostError {
    /// Makes an error of its code and of what was attempted.
    pub fn new(hresult: u32, message: impl Into<String>) -> Self {
        Self { hresult, message: message.into() }
    }

    /// What the code means for the work.
    pub fn class(&self) -> hresult::Class {
        hresult::class(self.hresult)
    }
}

impl From<HostError> for AgentError {
    fn from(error: HostError) -> Self {
        Self {
            class: error.class().error_class().unwrap_or(ErrorClass::Permanent),
            message: error.to_string(),
            hresult: Some(error.hresult),
        }
    }
}

/// Result of a call to the machine.
pub type HostResult<T> = Result<T, HostError>;

/// One update as a search shows it: what the source says of it, and how far the machine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUpdate {
    /// What the source says.
    pub offer: OfferedUpdate,
    /// How far the machine has it.
    pub presence: Presence,
    /// Whether it must be installed alone (`InstallationBehavior.Impact` is exclusive handling).
    pub exclusive: bool,
    /// Until when a WSUS administrator wants it installed, with a reboot if need be: a sign of another owner.
    pub deadline: Option<Timestamp>,
}

/// One entry of the machine's own history of updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When it was tried.
    pub at: Timestamp,
    /// Title as the catalogue had it.
    pub title: String,
    /// The catalogue's identity of the update.
    pub update_id: String,
    /// Revision of that identity.
    pub revision: u32,
    /// The HRESULT it came to, 0 for success.
    pub hresult: u32,
}

/// Health of the component store, as its own marks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreHealth {
    /// No corruption was noted.
    Healthy,
    /// Corrupt; `DISM /RestoreHealth` could repair it.
    Repairable,
    /// Corrupt beyond repair.
    Corrupt,
}

/// How far a machine has an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Presence {
    /// Not at all.
    Offered,
    /// Its download is complete.
    Downloaded,
    /// It is installed up to a reboot.
    PendingReboot,
    /// It is installed.
    Installed,
}

/// What became of one update of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// The catalogue's identity of the update.
    pub update_id: String,
    /// Revision of that identity.
    pub revision: u32,
    /// The HRESULT for this update, 0 for success.
    pub hresult: u32,
    /// Whether it needs a reboot to be complete.
    pub reboot_required: bool,
}

/// The one job of this process at the update service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// None was begun, or its result was handed over already.
    Idle,
    /// It goes on.
    Running,
    /// A search ended.
    Searched(Vec<FoundUpdate>),
    /// A download ended.
    Downloaded(Vec<ItemResult>),
    /// An installation ended.
    Installed(Vec<ItemResult>),
}

/// The update service. On Windows: the Windows Update Agent's `Begin...`/`End...` calls.
pub trait Updates {
    /// Begins to search `source`: for exactly the `pinned` updates and for what is installed, or, where none is pinned,
    /// for all that is installed or could be. Later jobs of this process use the same source.
    fn begin_search(&mut self, source: &Source, pinned: &[PinnedUpdate]) -> HostResult<()>;
    /// Begins to download exactly these, of the source that was searched.
    fn begin_download(&mut self, updates: &[PinnedUpdate]) -> HostResult<()>;
    /// Begins to install exactly these, of the source that was searched. Never reboots.
    fn begin_install(&mut self, updates: &[PinnedUpdate]) -> HostResult<()>;
    /// Looks at the job that this process began. A result, or the error that ended the job as a whole, is handed over
    /// once; afterwards the job is [`Job::Idle`]. "All updates failed" is no error: the per-update results say why.
    fn poll_job(&mut self) -> HostResult<Job>;
    /// Whether anybody, this agent or not, is servicing the machine now (`TiWorker.exe` runs, an installer is busy).
    fn servicing_busy(&self) -> HostResult<bool>;
    /// Drops downloads of these that were not installed; absent is success.
    fn discard_downloads(&mut self, updates: &[PinnedUpdate]) -> HostResult<()>;
    /// The latest `count` entries of the machine's own history of updates, latest first.
    fn update_history(&self, count: u32) -> HostResult<Vec<HistoryEntry>>;
    /// What is noted of the component store's health; repairs and scans nothing.
    fn component_store(&self) -> HostResult<StoreHealth>;
}

/// The agent's own folder on the system disk, which only SYSTEM and Administrators may write.
pub trait Files {
    /// Reads a file; `None` when it is not there.
    fn read(&self, name: &str) -> HostResult<Option<Vec<u8>>>;
    /// Puts `bytes` in the place of the file: written beside it, flushed to the disk, renamed. After a power cut
    /// either the old or the new content is there.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> HostResult<()>;
    /// Removes a file; absent is success.
    fn remove(&mut self, name: &str) -> HostResult<()>;
}

/// Where the agent's one-shot task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// Not registered.
    Absent,
    /// Registered; would start at the next boot.
    Ready,
    /// Its process runs now.
    Running,
}

/// The agent's one scheduled task: as SYSTEM, with a trigger at startup, running a copy of the agent on the disk.
pub trait Tasks {
    /// Where it stands.
    fn task(&self) -> HostResult<TaskState>;
    /// Registers it; registering again changes nothing.
    fn register_task(&mut self) -> HostResult<()>;
    /// Starts its process now; starting a running one changes nothing.
    fn start_task(&mut self) -> HostResult<()>;
    /// Takes it off; a process of it that runs is not ended by this. Absent is success.
    fn remove_task(&mut self) -> HostResult<()>;
}

/// The values under `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate` and its `AU` that decide who installs and
/// reboots, and where updates come from. `None` where a value is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdatePolicy {
    /// `AU\NoAutoUpdate`: 1 turns automatic updates off.
    pub no_auto_update: Option<u32>,
    /// `AU\AUOptions`: 4 downloads, installs and reboots by itself.
    pub au_options: Option<u32>,
    /// `AU\UseWUServer`: 1 makes the WSUS server of `wu_server` the source.
    pub use_wu_server: Option<u32>,
    /// `WUServer`: address of the WSUS server.
    pub wu_server: Option<String>,
    /// `WUStatusServer`: where the machine reports to.
    pub wu_status_server: Option<String>,
    /// `DisableWindowsUpdateAccess`: 1 forbids Windows Update.
    pub disable_access: Option<u32>,
    /// `DoNotConnectToWindowsUpdateInternetLocations`: 1 forbids the services on the internet.
    pub no_internet: Option<u32>,
    /// `ConfigureDeadlineForQualityUpdates`: days until Windows installs and reboots by force.
    pub deadline_days: Option<u32>,
}

/// The registry.
pub trait Registry {
    /// The machine's build, from `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`.
    fn build(&self) -> HostResult<Build>;
    /// The signs that Windows wants a reboot.
    fn reboot_signals(&self) -> HostResult<RebootSignals>;
    /// The policy of automatic updates.
    fn update_policy(&self) -> HostResult<UpdatePolicy>;
    /// Sets `NoAutoUpdate`, or removes the value.
    fn set_no_auto_update(&mut self, value: Option<u32>) -> HostResult<()>;
}

/// Power and boots.
pub trait Power {
    /// A text that the next boot of this disk will have differently (on Windows the boot counter in the registry). It
    /// may repeat after the disk was restored, where the agent's state is rewound together with it.
    fn boot_id(&self) -> HostResult<String>;
    /// Asks Windows for a planned reboot and returns; asking again is harmless.
    fn reboot(&mut self, reason: &str) -> HostResult<()>;
    /// When the machine booted, by its own clock.
    fn boot_time(&self) -> HostResult<Timestamp>;
    /// Whether it runs on a battery now.
    fn on_battery(&self) -> HostResult<bool>;
}

/// The whole machine.
pub trait Host:
    Updates
    + Files
    + Tasks
    + Registry
    + Power
    + Services
    + Network
    + Runtime
    + Events
    + Disks
    + Drivers
    + Clock
    + Identity
    + Memory
{
}

impl<T> Host for T where
    T: Updates
        + Files
        + Tasks
        + Registry
        + Power
        + Services
        + Network
        + Runtime
        + Events
        + Disks
        + Drivers
        + Clock
        + Identity
        + Memory
{
}

/// Adds a span to a time; a request's span that leads beyond the calendar means "never".
pub(crate) fn later(now: Timestamp, span: jiff::SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}
