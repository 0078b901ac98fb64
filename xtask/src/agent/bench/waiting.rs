//! What the agent takes while it waits for an installation: the armed task, and the pod that follows it.
//!
//! winfleet plays the machine, whose installation goes on for longer than is measured; files, registry and power are
//! Wine's own. Each look at the job and at the task is a call over a connection here, and one of Windows there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use winfleet::agent_host::Look;
use winfleet::hypervisor::SharedWorld;
use winfleet::model::{Machine, World};
use winfleet::scenario::Scenario;
use winfleet::wine::{Wine, WineMachines, WineProcess, WineTasks};

use super::processes::Running;
use super::round;

const NODE: &str = "win-1";

/// One machine that downloads at once and installs for a day.
const SCENARIO: &str = "machines: [{names: [win-1], build: 10.0.20348.2461, agent: wine}]
timings: {stage: 0s, install: 24h}
updates: [{kb: KB5040437, updateId: u, revision: 1, released: 2024-07-09,
  targetBuilds: {10.0.20348: 10.0.20348.2582}}]";

const REQUEST: &str = r#"{"version":1,"node":"win-1","ticket":{"nodeUpdateUid":"u","step":"s","round":1,"attempt":1,
    "challenge":"c"},"command":COMMAND}"#;

const STAGE: &str = r#"{"stage":{"source":"WindowsUpdate","updates":[{"updateId":"u","revision":1,"kb":"KB5040437"}],
    "nonceA":"a","automaticUpdates":"Take"}}"#;

const ARM: &str = r#"{"arm":{"source":"WindowsUpdate","updates":[{"updateId":"u","revision":1,"kb":"KB5040437"}],
    "nonceB":"b","maxReboots":3,"timeoutSeconds":86400}}"#;

/// The concerns that are not played.
const REAL: &str = "Files,Registry,Power";

/// How often the machine's own things go on.
const TICK: Duration = Duration::from_millis(50);

/// How long it may take until the installation runs.
const PATIENCE: Duration = Duration::from_mins(3);

/// What the wait is scaled to.
const TEN_MINUTES: Duration = Duration::from_mins(10);

/// The figures; processor time is that of ten minutes.
pub(super) struct Waiting {
    pub task_mib: f64,
    pub empty_mib: f64,
    pub task_cpu: f64,
    pub pod_cpu: f64,
}

/// Waits for so long beside a machine that installs, and beside a program that only sleeps.
pub(super) fn measure(runner: &Path, exe: &Path, empty: &Path, wait: Duration) -> Result<Waiting> {
    let mut played = Played::new(runner, exe)?;
    let mut staging = played.start("stage", STAGE)?;
    played.until("staging ends", |world| has_ended(&mut staging, world))?;
    let mut pod = played.start("arm", ARM)?;
    played.until("the installation runs", |world| {
        ensure!(!has_ended(&mut pod, world)?, "arm ended before");
        Ok(world.with(|world, now| world.guest(NODE, now).is_some_and(|guest| guest.servicing_busy())))
    })?;
    let idle = Idle(Command::new(runner).arg(empty).arg("wait").stdin(Stdio::null()).spawn()?);
    let mut found = None;
    played.until("all run", |_| {
        let all = [(exe, "task"), (exe, "arm"), (empty, "wait")].map(|(exe, argument)| Running::find(exe, argument));
        if let [Some(task), Some(pod), Some(idle)] = all {
            found = Some((task, pod, idle));
        }
        Ok(found.is_some())
    })?;
    let Some((task, follower, nothing)) = found else { bail!("the processes are gone") };
    let before = (task.cpu()?, follower.cpu()?);
    played.pass(wait);
    let scale = TEN_MINUTES.as_secs_f64() / wait.as_secs_f64().max(1.0);
    let seconds = |now: Duration, before: Duration| round(now.saturating_sub(before).as_secs_f64() * scale);
    let figures = Waiting {
        task_mib: round(task.private_mib()?),
        empty_mib: round(nothing.private_mib()?),
        task_cpu: seconds(task.cpu()?, before.0),
        pod_cpu: seconds(follower.cpu()?, before.1),
    };
    drop(idle);
    Ok(figures)
}

/// A machine that winfleet plays for the program.
struct Played {
    world: SharedWorld,
    tasks: WineTasks,
    wine: Wine,
}

impl Played {
    fn new(runner: &Path, exe: &Path) -> Result<Self> {
        let scenario = Scenario::parse(SCENARIO)?;
        let world = SharedWorld::new(World::new(&scenario, Timestamp::now()));
        let wine = Wine { runner: some_real(runner)?, exe: exe.to_owned() };
        let tasks = WineTasks::new(WineMachines::of(&scenario, Some(wine.clone()))?, world.clone());
        Ok(Self { world, tasks, wine })
    }

    /// Starts a pod.
    fn start(&self, command: &str, body: &str) -> Result<WineProcess> {
        let Some(boot) = self.world.with(|world, _| world.machine(NODE).and_then(Machine::up_since)) else {
            bail!("{NODE} is not up");
        };
        let request = BASE64_STANDARD.encode(REQUEST.replace("COMMAND", body));
        let arguments = [command.to_owned(), "--request".to_owned(), request];
        Ok(WineProcess::start(&self.wine, &arguments, NODE, boot, &self.world)?)
    }

    fn tick(&mut self) {
        let tasks = &mut self.tasks;
        self.world.with(|world, now| tasks.tick(world, now));
        thread::sleep(TICK);
    }

    fn pass(&mut self, time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {
            self.tick();
        }
    }

    fn until(&mut self, what: &str, mut good: impl FnMut(&SharedWorld) -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        while !good(&self.world)? {
            ensure!(started.elapsed() < PATIENCE, "never: {what}");
            self.tick();
        }
        Ok(())
    }
}

/// Whether a pod came to its end, which must be a good one.
fn has_ended(pod: &mut WineProcess, world: &SharedWorld) -> Result<bool> {
    let up_since = world.with(|world, _| world.machine(NODE).and_then(Machine::up_since));
    match pod.look(up_since, Timestamp::now()) {
        Look::Running { .. } => Ok(false),
        Look::Exited { code: 0, .. } => Ok(true),
        other => bail!("a pod: {other:?}"),
    }
}

/// A runner whose programs have some concerns of the real machine.
fn some_real(runner: &Path) -> Result<PathBuf> {
    let path = runner.with_file_name("runner-some-real");
    let folder = r"C:\ProgramData\Windlass";
    let script = format!(
        "#!/bin/sh\nexport WINDLASS_REAL={REAL} WINDLASS_FOLDER='{folder}'\nexec '{}' \"$@\"\n",
        runner.display()
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The program that only sleeps, ended when it is dropped: `timeout`, under which it runs, passes the signal on.
struct Idle(std::process::Child);

impl Drop for Idle {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or_default());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}
