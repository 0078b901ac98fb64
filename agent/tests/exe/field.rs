//! A machine that runs the real program: its processes, its reboots, and somebody with a finger on the kill switch.

use crate::common::{Machine, Offer, request};
use jiff::{SignedDuration, Timestamp};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};
use windlass_agent::fake::{Call, serve};
use windlass_protocol::{
    AgentPhase, AutomaticUpdates, Command as Ask, NODE_VARIABLE, Progress, Report, Request, Source, exit,
};

/// The update of most tests.
pub const KB: &str = "KB5040437";

/// The machine's name.
pub const NODE: &str = "win-7";

/// Longest any process may take; far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often the hardware looks at its processes.
const TICK: Duration = Duration::from_millis(3);

/// What Windows says of a process that was terminated by [`Child::kill`]; none of the agent's own codes.
const KILLED: i32 = 1;

/// How many times shorter the program's waits are.
const HURRY: &str = "100";

/// Kills the process that makes the `nth` call of this name, before or after its effect.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    pub call: &'static str,
    pub nth: u32,
    pub after: bool,
}

/// What a process came to.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when it was killed.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The report, the last line.
    pub fn report(&self, request: &Request) -> Report {
        Report::from_log(&self.stdout, &request.ticket, NODE).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

struct Shared {
    machine: Machine,
    kill: Option<(Kill, u32)>,
    /// The processes that run: pods and the task.
    pod: Option<Child>,
    task: Option<Child>,
    kills: u32,
}

pub struct Field {
    shared: Arc<Mutex<Shared>>,
    ports: [u16; 2],
    pub folder: PathBuf,
    real: &'static str,
    stop: Arc<AtomicBool>,
}

impl Field {
    /// A machine with one update to install.
    pub fn new(name: &str) -> Self {
        Self::with(name, "", Machine::new(vec![Offer::new(KB)]))
    }

    /// A machine of which some concerns are the real machine's.
    pub fn with(name: &str, real: &'static str, machine: Machine) -> Self {
        Self::within(std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id())), real, machine)
    }

    /// The same, with the agent's folder there.
    pub fn within(folder: PathBuf, real: &'static str, mut machine: Machine) -> Self {
        machine.job_takes = SignedDuration::from_millis(20);
        machine.files_elsewhere = real.contains("Files");
        machine.now = Timestamp::now();
        machine.booted = machine.now;
        let shared = Shared { machine, kill: None, pod: None, task: None, kills: 0 };
        let shared = Arc::new(Mutex::new(shared));
        let ports = [false, true].map(|is_task| listen(&shared, is_task));
        // What an earlier run with the same number left is no concern of this one.
        let _ = std::fs::remove_dir_all(&folder);
        let field = Self { shared, ports, folder, real, stop: Arc::default() };
        field.run_hardware();
        field
    }

    pub fn machine<T>(&self, look: impl FnOnce(&mut Machine) -> T) -> T {
        look(&mut lock(&self.shared).machine)
    }

    pub fn kill_at(&self, kill: Kill) {
        lock(&self.shared).kill = Some((kill, 0));
    }

    pub fn kills(&self) -> u32 {
        lock(&self.shared).kills
    }

    /// Runs a pod to its end.
    pub fn pod(&self, args: &[&str]) -> Ended {
        self.run(self.program(0, args))
    }

    /// Asks as a pod that is told this name of its node.
    pub fn ask_node(&self, node: Option<&str>, request: &Request) -> Ended {
        let mut program = self.program(0, &[request.command.name(), "--request", &request.to_arg()]);
        match node {
            Some(node) => program.env(NODE_VARIABLE, node),
            None => program.env_remove(NODE_VARIABLE),
        };
        self.run(program)
    }

    fn run(&self, mut program: Command) -> Ended {
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Nobody may kill it before it is known.
        let mut shared = lock(&self.shared);
        let mut child = program.spawn().expect("the program");
        let out = child.stdout.take().map(read_all).expect("a pipe");
        let err = child.stderr.take().map(read_all).expect("a pipe");
        shared.pod = Some(child);
        drop(shared);
        self.wait(out, err)
    }

    /// Starts a process beside the pod; nobody kills it.
    #[cfg(windows)]
    pub fn start(&self, args: &[&str]) -> Child {
        self.program(0, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program")
    }

    pub fn ask(&self, request: &Request) -> Ended {
        self.pod(&[request.command.name(), "--request", &request.to_arg()])
    }

    fn program(&self, port: usize, args: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_windlass-agent"));
        program.args(args).env("WINDLASS_MACHINE", format!("127.0.0.1:{}", self.ports[port]));
        program.env(NODE_VARIABLE, NODE).env("WINDLASS_FOLDER", &self.folder);
        program.env("WINDLASS_REAL", self.real).env("WINDLASS_HURRY", HURRY);
        program
    }

    fn wait(&self, out: thread::JoinHandle<String>, err: thread::JoinHandle<String>) -> Ended {
        let started = Instant::now();
        let status = loop {
            let mut shared = lock(&self.shared);
            let pod = shared.pod.as_mut().expect("only this waits for it");
            if let Some(status) = pod.try_wait().expect("a process") {
                shared.pod = None;
                break status;
            }
            if started.elapsed() > PATIENCE {
                pod.kill().expect("a process");
                let state = shared.machine.file(windlass_agent::STATE_FILE);
                panic!("a process did not end: {} {state:?}", err.join().expect("text"));
            }
            drop(shared);
            thread::sleep(TICK);
        };
        let (stdout, stderr) = (out.join().expect("text"), err.join().expect("text"));
        Ended { code: status.code().filter(|code| *code != KILLED), stdout, stderr }
    }

    pub fn stage(&self) -> (Request, Ended) {
        self.question("Stage", 1, &stage_command())
    }

    pub fn arm(&self, round: u32) -> (Request, Ended) {
        self.question("Install", round, &arm_command())
    }

    pub fn collect(&self, follow: bool) -> (Request, Ended) {
        self.question("Collect", 1, &Ask::Collect { follow })
    }

    pub fn question(&self, step: &str, round: u32, command: &Ask) -> (Request, Ended) {
        let request = request(step, round, 1, command.clone());
        let ended = self.ask(&request);
        (request, ended)
    }

    /// Asks until the whole update came to its end, as an operator does that never gives up.
    pub fn run_to_end(&self) -> Report {
        let started = Instant::now();
        while self.stage().1.code != Some(exit::DONE) {
            assert!(started.elapsed() < PATIENCE, "staging does not end");
        }
        for round in 1..5 {
            loop {
                assert!(started.elapsed() < PATIENCE, "round {round} does not end");
                self.arm(round);
                let (request, ended) = self.collect(true);
                // A pod that was killed, or went down with its machine, says nothing.
                let Some(code) = ended.code else { continue };
                let report = ended.report(&request);
                let again = code == exit::RETRIABLE || report.phase == AgentPhase::Staged;
                if report.progress != Progress::InProgress && !again {
                    break;
                }
            }
            let (request, ended) = self.collect(false);
            let report = ended.report(&request);
            if report.phase != AgentPhase::MoreToInstall {
                break;
            }
        }
        self.until("the task is off", |machine| !machine.disk.task && !machine.task_runs);
        let (request, ended) = self.collect(false);
        ended.report(&request)
    }

    /// Waits until the machine is as it should be.
    pub fn until(&self, what: &str, good: impl Fn(&Machine) -> bool) {
        let started = Instant::now();
        while !self.machine(|m| good(m)) {
            assert!(started.elapsed() < PATIENCE, "never: {what}");
            thread::sleep(TICK);
        }
    }

    /// Starts the task when it is due, and reboots when that is asked for.
    fn run_hardware(&self) {
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        let field = Self {
            shared: self.shared.clone(),
            ports: self.ports,
            folder: self.folder.clone(),
            real: self.real,
            stop: Arc::new(AtomicBool::new(true)),
        };
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                field.tick(&mut lock(&shared));
                thread::sleep(TICK);
            }
        });
    }

    fn tick(&self, shared: &mut Shared) {
        if shared.machine.rebooting {
            for child in [shared.pod.as_mut(), shared.task.take().as_mut()].into_iter().flatten() {
                let _ = child.kill();
                let _ = child.wait();
            }
            shared.machine.now = Timestamp::now();
            shared.machine.boot();
            shared.machine.task_runs = shared.machine.disk.task;
        }
        if shared.task.as_mut().is_some_and(|task| !matches!(task.try_wait(), Ok(None))) {
            shared.task = None;
            shared.machine.task_runs = false;
        } else if shared.task.is_none() && shared.machine.task_runs {
            let task = self.program(1, &["task"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            shared.task = Some(task.expect("the program"));
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        if self.stop.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Ok(mut shared) = self.shared.lock() {
            for child in [shared.pod.take(), shared.task.take()].iter_mut().flatten() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("an assertion of the machine failed in another thread; it is told above")
}

/// Answers the calls of all processes of one kind.
fn listen(shared: &Arc<Mutex<Shared>>, is_task: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let shared = shared.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = shared.clone();
            let boot = {
                let machine = &mut lock(&shared).machine;
                machine.process_starts(is_task);
                machine.disk.boot
            };
            thread::spawn(move || answer_process(stream, &shared, is_task, boot));
        }
    });
    port
}

/// A connection that breaks is a process that was killed. What one of an earlier boot still had to say is lost with it.
fn answer_process(stream: TcpStream, shared: &Mutex<Shared>, is_task: bool, boot: u64) {
    let _ = serve(stream, |call| {
        let mut shared = lock(shared);
        if shared.machine.disk.boot != boot {
            return Err((0, "the machine went down".into()));
        }
        shared.machine.now = Timestamp::now();
        shared.machine.speaker_is_task = is_task;
        let kill = due(&mut shared, call);
        if let Some(Kill { after: false, .. }) = kill {
            shared.kill_process(is_task);
            return Err((0, "killed".into()));
        }
        let answer = call.answer(&mut shared.machine);
        if kill.is_some() {
            shared.kill_process(is_task);
        }
        answer
    });
}

/// Counts the call; says whether it is the one at which its process is killed.
fn due(shared: &mut Shared, call: &Call) -> Option<Kill> {
    let (kill, seen) = shared.kill.as_mut()?;
    let name = format!("{call:?}");
    if name.split([' ', '{']).next() != Some(kill.call) {
        return None;
    }
    *seen += 1;
    if *seen < kill.nth {
        return None;
    }
    shared.kill.take().map(|(kill, _)| kill)
}

impl Shared {
    /// `TerminateProcess` on Windows, SIGKILL elsewhere.
    fn kill_process(&mut self, is_task: bool) {
        let child = if is_task { &mut self.task } else { &mut self.pod };
        if let Some(child) = child {
            child.kill().expect("a process");
            self.kills += 1;
        }
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let _ = pipe.read_to_string(&mut text);
        text
    })
}

pub fn stage_command() -> Ask {
    let updates = vec![crate::common::pin(KB)];
    let automatic_updates = AutomaticUpdates::Take;
    Ask::Stage { source: Source::WindowsUpdate, updates, nonce_a: "a-1".into(), automatic_updates }
}

pub fn arm_command() -> Ask {
    let leave = Timestamp::now() + SignedDuration::from_hours(1);
    Ask::Arm {
        source: Source::WindowsUpdate,
        updates: vec![crate::common::pin(KB)],
        nonce_b: "b-1".into(),
        reboot_not_after: Some(leave),
        max_reboots: 3,
        timeout_seconds: 600,
    }
}
