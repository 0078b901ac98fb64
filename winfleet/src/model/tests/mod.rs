//! The model under an updater's hands: what each fault makes of an update, and what a restore rewinds.

mod effects;
mod happenings;
mod provider;
mod restore;
mod timing;
mod updates;

use super::*;
use crate::scenario::Period;
use windlass_protocol::{Build, PinnedUpdate, UpdateState};

const BEFORE: Build = Build::new(10, 0, 20348, 2527);
const AFTER: Build = Build::new(10, 0, 20348, 2582);

const SCENARIO: &str = "
start: 2026-11-22T12:00:00Z
machines:
- {names: [win-1], build: 10.0.20348.2527, traits: [struck]}
- {names: [win-2], build: 10.0.20348.2527}
updates:
- {kb: KB5040437, released: 2024-07-09, targetBuilds: {10.0.20348: 10.0.20348.2582}}
timings: {stage: 10s, install: 20s, shutdown: 2s, reboot: 30s, kubeletStart: 5s, servicingLingers: 60s}
hypervisor: {snapshotTakes: 10s, restoreTakes: 15s, powerTakes: 1s}
";

/// A world and somebody who works on its machine `win-1`.
struct Lab {
    world: World,
    now: Timestamp,
    keys: u32,
}

impl Lab {
    fn new(scenario: &str) -> Self {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        let scenario = Scenario::parse(scenario).expect("a scenario");
        Self { world: World::new(&scenario, now), now, keys: 0 }
    }

    /// A world where these effects strike `win-1`, from when the update is at this phase.
    fn with_fault(when: &str, effects: &str, more: &str) -> Self {
        let fault = format!("- {{name: f, when: {{{when}}}, where: {{traits: [struck]}}, effects: [{effects}]{more}}}");
        Self::new(&format!("{SCENARIO}faults:\n{fault}\n"))
    }

    fn pass(&mut self, seconds: u32) {
        self.now = Period::seconds(seconds).after(self.now);
        self.world.tick(self.now);
    }

    fn machine(&self) -> &Machine {
        self.world.machine("win-1").expect("the machine")
    }

    fn guest(&mut self) -> Guest<'_> {
        self.world.guest("win-1", self.now).expect("it runs")
    }

    fn update() -> PinnedUpdate {
        PinnedUpdate {
            update_id: "5eed0000-0000-4000-8000-000005040437".into(),
            revision: 200,
            kb: "KB5040437".parse().expect("a KB"),
        }
    }

    fn state(&mut self) -> UpdateState {
        self.guest().update_state(&Self::update())
    }

    fn download(&mut self) -> Hresult {
        let job = self.guest().begin_download(&[Self::update()]).expect("it begins");
        self.pass(10);
        self.code(job).expect("it ended")
    }

    /// Installs; none when the installation did not end in time.
    fn install(&mut self) -> Option<Hresult> {
        let job = self.guest().begin_install(&[Self::update()]).expect("it begins");
        self.pass(20);
        self.code(job)
    }

    fn code(&mut self, job: u64) -> Option<Hresult> {
        match self.guest().job(job).expect("the job") {
            JobState::Running => None,
            JobState::Finished(codes) => Some(codes[0].1),
        }
    }

    /// Reboots and waits for as long as a reboot takes.
    fn reboot(&mut self) {
        self.guest().request_reboot();
        self.pass(2 + 30 + 5);
    }

    /// The whole update as far as nothing stands in the way.
    fn update_fully(&mut self) {
        assert_eq!(self.download(), Hresult::OK);
        assert_eq!(self.install(), Some(Hresult::REBOOT_REQUIRED));
        self.reboot();
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("key-{}", self.keys)
    }

    fn snapshot(&mut self) -> Task {
        let key = self.key();
        let task = self.world.snapshot("win-1", &key, BTreeMap::new()).expect("it begins");
        self.pass(10);
        self.world.task(&task.id).expect("the task").clone()
    }

    fn restore(&mut self, snapshot: &Task) -> Task {
        let key = self.key();
        let id = snapshot.snapshot_id.clone().expect("a snapshot");
        let task = self.world.restore("win-1", &id, &key).expect("it begins");
        self.pass(15);
        let task = self.world.task(&task.id).expect("the task").clone();
        self.pass(30 + 5);
        task
    }

    fn power(&mut self, want: PowerRequest) -> Task {
        let key = self.key();
        let task = self.world.power("win-1", want, &key).expect("it begins");
        self.pass(1);
        let task = self.world.task(&task.id).expect("the task").clone();
        self.pass(30 + 5);
        task
    }
}
