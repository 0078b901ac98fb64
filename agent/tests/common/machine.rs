use super::condition::Condition;
use super::{NEW, OLD};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use windlass_agent::HostError;
use windlass_agent::host::{
    BitLocker, Files, FoundUpdate, HistoryEntry, HostResult, ItemResult, Job, MemoryUse, Power, Presence, Registry,
    StoreHealth, TaskState, Tasks, UpdatePolicy, Updates,
};
use windlass_agent::hresult::{Class, class, is_failure};
use windlass_protocol::{Build, KbId, OfferedUpdate, PinnedUpdate, RebootSignals, ServiceState, Source};

/// `ERROR_NOT_READY`: what every call says once the power is off.
const POWER_OFF: u32 = 0x8007_0015;

/// `ERROR_SHARING_VIOLATION`: what may pass.
const SHARING_VIOLATION: u32 = 0x8007_0020;

/// One update of the catalogue.
#[derive(Clone, Debug)]
pub struct Offer {
    pub kb: KbId,
    pub target: Option<Build>,
    pub classification: &'static str,
    pub exclusive: bool,
    /// How many installations it wants until it counts as installed.
    pub rounds: u32,
    pub needs_reboot: bool,
    /// What downloading and installing it come to.
    pub download: u32,
    pub install: u32,
    /// Until when a WSUS administrator wants it installed.
    pub deadline: Option<Timestamp>,
}

impl Offer {
    pub fn new(kb: &str) -> Self {
        Self {
            kb: kb.parse().expect("a KB"),
            target: Some(NEW),
            classification: "Security Updates",
            exclusive: false,
            rounds: 1,
            needs_reboot: true,
            download: 0,
            install: 0,
            deadline: None,
        }
    }
}

/// What lies on the disk.
#[derive(Clone, Debug)]
pub struct Disk {
    pub build: Build,
    pub boot: u64,
    pub files: BTreeMap<String, Vec<u8>>,
    pub task: bool,
    pub policy: UpdatePolicy,
    pub downloaded: BTreeSet<KbId>,
    pub pending: BTreeSet<KbId>,
    pub installed: BTreeSet<KbId>,
    pub rounds: BTreeMap<KbId, u32>,
}

/// A power cut at the n-th call that changes something, before or after its effect.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub at: u32,
    pub after_effect: bool,
}

pub struct Machine {
    pub now: Timestamp,
    /// How long each job takes.
    pub job_takes: SignedDuration,
    /// Whether the agent's files lie elsewhere, where nothing here can look at them.
    pub files_elsewhere: bool,
    pub disk: Disk,
    pub offers: Vec<Offer>,
    pub services: BTreeMap<String, ServiceState>,
    pub networks: Vec<String>,
    pub events: Vec<String>,
    pub free: u64,
    pub store: StoreHealth,
    pub bitlocker: BitLocker,
    pub kubelet: u16,
    pub apipa: bool,
    pub clock_ahead: SignedDuration,
    pub memory: MemoryUse,
    pub condition: Condition,
    pub booted: Timestamp,
    pub signals: RebootSignals,
    pub servicing: bool,
    /// How long servicing works after each search, and until when it does.
    pub search_keeps_busy: SignedDuration,
    /// How long it does after each question to the component store, and how often that was asked.
    pub store_keeps_busy: SignedDuration,
    pub store_asked: Cell<u32>,
    busy_until: Cell<Timestamp>,
    pub boot_loops: u32,
    /// Whole calls that fail from now on: the next `begin_search` and `begin_install` codes.
    pub search_fails: Vec<u32>,
    pub search_hangs: bool,
    pub install_fails: Vec<u32>,
    pub install_hangs: bool,
    pub cut: Option<Cut>,
    /// Calls that changed something, so far.
    pub calls: u32,
    /// Installations that came to their end, never rewound.
    pub installs: BTreeMap<KbId, u32>,
    pub reboots: u32,
    /// Installations begun, never rewound.
    pub attempts: BTreeMap<KbId, u32>,
    pub off: bool,
    pub rebooting: bool,
    pub task_runs: bool,
    /// The job of the pod's process and the task's; which of them speaks is set by the operator.
    jobs: BTreeMap<bool, (Timestamp, Work)>,
    pub speaker_is_task: bool,
    /// After so many more looks at its files and its task, the task has ended and left this disk.
    pub ends_after_looks: Option<(Cell<u32>, Disk)>,
    /// The task can not be taken off.
    pub task_sticks: bool,
}

#[derive(Clone, Debug)]
enum Work {
    Search,
    Download(Vec<PinnedUpdate>),
    Install(Vec<PinnedUpdate>),
}

impl Machine {
    pub fn new(offers: Vec<Offer>) -> Self {
        let names = ["kubelet", "containerd", "hns"];
        Self {
            now: Timestamp::UNIX_EPOCH,
            job_takes: SignedDuration::from_secs(9),
            files_elsewhere: false,
            disk: Disk {
                build: OLD,
                boot: 7,
                files: BTreeMap::new(),
                task: false,
                policy: UpdatePolicy { au_options: Some(4), ..UpdatePolicy::default() },
                downloaded: BTreeSet::new(),
                pending: BTreeSet::new(),
                installed: BTreeSet::new(),
                rounds: BTreeMap::new(),
            },
            offers,
            services: names.iter().map(|n| (String::from(*n), ServiceState::Running)).collect(),
            networks: vec!["External".into(), "Calico".into()],
            events: vec!["Kernel-Power/41".into()],
            free: 20 << 30,
            store: StoreHealth::Healthy,
            bitlocker: BitLocker::Off,
            kubelet: 200,
            apipa: false,
            clock_ahead: SignedDuration::ZERO,
            memory: MemoryUse { lsass_bytes: 32 << 20, pool_bytes: 512 << 20 },
            condition: Condition::default(),
            booted: Timestamp::UNIX_EPOCH,
            signals: RebootSignals::default(),
            servicing: false,
            search_keeps_busy: SignedDuration::ZERO,
            store_keeps_busy: SignedDuration::ZERO,
            store_asked: Cell::new(0),
            busy_until: Cell::new(Timestamp::UNIX_EPOCH),
            boot_loops: 0,
            search_fails: vec![],
            search_hangs: false,
            install_fails: vec![],
            install_hangs: false,
            cut: None,
            calls: 0,
            installs: BTreeMap::new(),
            reboots: 0,
            attempts: BTreeMap::new(),
            off: false,
            rebooting: false,
            task_runs: false,
            jobs: BTreeMap::new(),
            speaker_is_task: false,
            ends_after_looks: None,
            task_sticks: false,
        }
    }

    /// Starts the machine: what was pending is applied, what was in memory is gone.
    pub fn boot(&mut self) {
        (self.off, self.rebooting, self.task_runs, self.cut) = (false, false, false, None);
        self.jobs.clear();
        self.signals.update_agent = false;
        self.disk.boot += 1;
        self.booted = self.now;
        for kb in std::mem::take(&mut self.disk.pending) {
            let done = self.disk.rounds.entry(kb).or_default();
            *done += 1;
            let offer = self.offers.iter().find(|o| o.kb == kb).expect("an update of the catalogue");
            if *done >= offer.rounds {
                self.disk.installed.insert(kb);
                self.disk.build = self.disk.build.max(offer.target.unwrap_or(self.disk.build));
            }
        }
    }

    /// A new process: what the last one of its kind had begun is no concern of it.
    pub fn process_starts(&mut self, is_task: bool) {
        self.jobs.remove(&is_task);
    }

    pub fn file(&self, name: &str) -> Option<String> {
        self.disk.files.get(name).map(|b| String::from_utf8(b.clone()).expect("text"))
    }

    /// Writes the state file anew with another text in it, under its right checksum: as another version of the agent, or
    /// another time, would have left it.
    pub fn rewrite_state(&mut self, from: &str, to: &str) {
        let old = self.file(windlass_agent::STATE_FILE).expect("a state file");
        let state = old.split_once(r#""state":"#).and_then(|(_, rest)| rest.strip_suffix('}')).expect("a document");
        assert!(state.contains(from), "{from} is to be replaced in {state}");
        let state = state.replace(from, to);
        let sum = Sha256::digest(&state).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let new = format!(r#"{{"version":1,"sha256":"{sum}","state":{state}}}"#);
        self.disk.files.insert(windlass_agent::STATE_FILE.into(), new.into_bytes());
    }

    /// The disk as one more look finds it, and whether the task ended meanwhile.
    fn look(&self) -> (&Disk, bool) {
        match &self.ends_after_looks {
            Some((left, disk)) if left.get() == 0 => (disk, true),
            Some((left, _)) => {
                left.set(left.get() - 1);
                (&self.disk, false)
            }
            None => (&self.disk, false),
        }
    }

    /// What the agent is about to do must be on the disk by now.
    fn assert_on_disk(&self, text: &str) {
        let state = self.file(windlass_agent::STATE_FILE).unwrap_or_default();
        assert!(self.files_elsewhere || state.contains(text), "{text} must be on disk before its act: {state}");
    }

    fn busy(&self) -> bool {
        self.servicing || self.now < self.busy_until.get()
    }

    fn keep_busy(&self, time: SignedDuration) {
        self.busy_until.set(self.busy_until.get().max(self.now + time));
    }

    pub fn live(&self) -> HostResult<()> {
        if self.off { Err(HostError::new(POWER_OFF, "power")) } else { Ok(()) }
    }

    /// One call that changes something: the power may go before or after its effect.
    fn change<T>(&mut self, effect: impl FnOnce(&mut Self) -> T) -> HostResult<T> {
        self.live()?;
        self.calls += 1;
        let cut = self.cut.filter(|c| c.at == self.calls);
        if cut.is_some_and(|c| !c.after_effect) {
            self.off = true;
            return Err(HostError::new(POWER_OFF, "power"));
        }
        let result = effect(self);
        if cut.is_some() {
            self.off = true;
            return Err(HostError::new(POWER_OFF, "power"));
        }
        Ok(result)
    }

    fn begin(&mut self, work: Work) -> HostResult<()> {
        let (speaker, ends) = (self.speaker_is_task, self.now + self.job_takes);
        self.change(|m| m.jobs.insert(speaker, (ends, work))).map(drop)
    }

    fn presence(&self, kb: KbId) -> Presence {
        if self.disk.installed.contains(&kb) {
            Presence::Installed
        } else if self.disk.pending.contains(&kb) {
            Presence::PendingReboot
        } else if self.disk.downloaded.contains(&kb) {
            Presence::Downloaded
        } else {
            Presence::Offered
        }
    }

    fn found(&self) -> Vec<FoundUpdate> {
        let update = |o: &Offer| FoundUpdate {
            offer: OfferedUpdate {
                update_id: format!("id-{}", o.kb),
                revision: 1,
                kb: o.kb,
                title: format!("Update {}", o.kb),
                classification: o.classification.into(),
                released: Timestamp::UNIX_EPOCH,
                size_bytes: 1,
                target_build: o.target,
            },
            presence: self.presence(o.kb),
            exclusive: o.exclusive,
            deadline: o.deadline,
        };
        self.offers.iter().map(update).collect()
    }

    fn items(
        &mut self,
        work: &[PinnedUpdate],
        mut each: impl FnMut(&mut Self, &Offer) -> (u32, bool),
    ) -> Vec<ItemResult> {
        let item = |pinned: &PinnedUpdate| {
            let offer =
                self.offers.iter().find(|o| o.kb == pinned.kb).expect("only offered ones are asked for").clone();
            let (hresult, reboot_required) = each(self, &offer);
            ItemResult { update_id: pinned.update_id.clone(), revision: pinned.revision, hresult, reboot_required }
        };
        work.iter().map(item).collect()
    }

    fn install(&mut self, offer: &Offer) -> (u32, bool) {
        if is_failure(offer.install) && class(offer.install) != Class::RebootNeeded {
            return (offer.install, false);
        }
        assert!(!self.disk.pending.contains(&offer.kb) && !self.disk.installed.contains(&offer.kb), "installed twice");
        *self.installs.entry(offer.kb).or_default() += 1;
        if offer.needs_reboot {
            self.disk.pending.insert(offer.kb);
        } else {
            self.disk.installed.insert(offer.kb);
        }
        (offer.install, offer.needs_reboot)
    }
}

impl Updates for Machine {
    fn begin_search(&mut self, _: &Source, _: &[PinnedUpdate]) -> HostResult<()> {
        self.live()?;
        if !self.search_fails.is_empty() {
            return Err(HostError::new(self.search_fails.remove(0), "search"));
        }
        self.begin(Work::Search)
    }

    fn begin_download(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        self.begin(Work::Download(updates.to_vec()))
    }

    fn begin_install(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        self.live()?;
        assert!(updates.iter().all(|u| self.disk.downloaded.contains(&u.kb)), "only what is downloaded is installed");
        self.assert_on_disk(r#""mutated":true"#);
        self.assert_on_disk(r#""phase":"Install""#);
        let exclusive = self.offers.iter().any(|o| o.exclusive && updates.iter().any(|u| u.kb == o.kb));
        assert!(!exclusive || updates.len() == 1, "an exclusive update goes alone");
        if !self.install_fails.is_empty() {
            return Err(HostError::new(self.install_fails.remove(0), "install"));
        }
        for update in updates {
            *self.attempts.entry(update.kb).or_default() += 1;
        }
        self.begin(Work::Install(updates.to_vec()))
    }

    fn poll_job(&mut self) -> HostResult<Job> {
        self.live()?;
        let Some((ends, work)) = self.jobs.get(&self.speaker_is_task).cloned() else { return Ok(Job::Idle) };
        let hangs = match work {
            Work::Search => self.search_hangs,
            Work::Download(_) => false,
            Work::Install(_) => self.install_hangs,
        };
        if self.now < ends || hangs {
            return Ok(Job::Running);
        }
        let speaker = self.speaker_is_task;
        self.change(|m| {
            m.jobs.remove(&speaker);
            match work {
                Work::Search => {
                    m.keep_busy(m.search_keeps_busy);
                    Job::Searched(m.found())
                }
                Work::Download(updates) => Job::Downloaded(m.items(&updates, |m, offer| {
                    if offer.download == 0 {
                        m.disk.downloaded.insert(offer.kb);
                    }
                    (offer.download, false)
                })),
                Work::Install(updates) => Job::Installed(m.items(&updates, Self::install)),
            }
        })
    }

    fn servicing_busy(&self) -> HostResult<bool> {
        self.tell("servicing_busy", self.busy())
    }

    fn discard_downloads(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        self.change(|m| m.disk.downloaded.retain(|kb| !updates.iter().any(|u| u.kb == *kb)))
    }

    fn update_history(&self, _: u32) -> HostResult<Vec<HistoryEntry>> {
        self.live().map(|()| vec![])
    }

    fn component_store(&self) -> HostResult<StoreHealth> {
        self.store_asked.set(self.store_asked.get() + 1);
        self.keep_busy(self.store_keeps_busy);
        self.tell("component_store", self.store)
    }
}

impl Files for Machine {
    fn read(&self, name: &str) -> HostResult<Option<Vec<u8>>> {
        self.live().map(|()| self.look().0.files.get(name).cloned())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> HostResult<()> {
        self.change(|m| m.disk.files.insert(name.into(), bytes.into())).map(drop)
    }

    fn remove(&mut self, name: &str) -> HostResult<()> {
        self.change(|m| m.disk.files.remove(name)).map(drop)
    }
}

impl Tasks for Machine {
    fn task(&self) -> HostResult<TaskState> {
        self.live()?;
        let (disk, ended) = self.look();
        Ok(match (self.task_runs && !ended, disk.task) {
            (true, _) => TaskState::Running,
            (false, true) => TaskState::Ready,
            (false, false) => TaskState::Absent,
        })
    }

    fn register_task(&mut self) -> HostResult<()> {
        self.change(|m| m.disk.task = true)
    }

    fn start_task(&mut self) -> HostResult<()> {
        assert!(self.disk.task, "only a registered task is started");
        self.change(|m| m.task_runs = true)
    }

    fn remove_task(&mut self) -> HostResult<()> {
        if self.task_sticks {
            return Err(HostError::new(SHARING_VIOLATION, "task"));
        }
        self.change(|m| m.disk.task = false)
    }
}

impl Registry for Machine {
    fn build(&self) -> HostResult<Build> {
        self.tell("build", self.disk.build)
    }

    fn reboot_signals(&self) -> HostResult<RebootSignals> {
        let mut signals = self.signals.clone();
        signals.packages_pending |= !self.disk.pending.is_empty();
        self.tell("reboot_signals", signals)
    }

    fn update_policy(&self) -> HostResult<UpdatePolicy> {
        self.tell("update_policy", self.disk.policy.clone())
    }

    fn set_no_auto_update(&mut self, value: Option<u32>) -> HostResult<()> {
        self.change(|m| m.disk.policy.no_auto_update = value)
    }
}

impl Power for Machine {
    fn boot_id(&self) -> HostResult<String> {
        self.live().map(|()| self.disk.boot.to_string())
    }

    fn reboot(&mut self, _: &str) -> HostResult<()> {
        assert!(!self.busy(), "no reboot while servicing is busy");
        self.assert_on_disk(r#""phase":"RebootRequested""#);
        self.assert_on_disk(&format!(r#""rebootAskedIn":"{}""#, self.disk.boot));
        self.change(|m| {
            m.reboots += 1;
            m.rebooting = true;
        })
    }

    fn boot_time(&self) -> HostResult<Timestamp> {
        self.tell("boot_time", self.booted)
    }

    fn on_battery(&self) -> HostResult<bool> {
        self.tell("on_battery", self.condition.on_battery)
    }
}
