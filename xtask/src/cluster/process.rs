//! Child processes that are never left behind: each leads its own process group, is on record, and has a guardian.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::guardian::Guardian;

/// How long a process may take to end by SIGTERM before SIGKILL, in seconds. Our own choice: the data is thrown away, and
/// a kube-apiserver without its etcd ignores SIGTERM for minutes.
const GRACE: Duration = Duration::from_secs(3);
/// How often a dying process is looked at, in milliseconds.
const POLL: Duration = Duration::from_millis(20);

/// What to start, complete enough to start it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Unique in the cluster; also the name of the log file.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables set on top of the inherited ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// One started process, as `processes.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(flatten)]
    spec: Spec,
    pid: i32,
    /// What the system says about the start: with it a pid that was given to another process is recognised.
    start_time: String,
}

struct Running {
    record: Record,
    /// Present when this very process started it, and then has to reap it.
    child: Option<Child>,
}

/// The processes of one cluster, in the order in which they were started.
pub(super) struct Processes {
    dir: PathBuf,
    running: Mutex<Vec<Running>>,
    guardian: Option<Guardian>,
}

impl Processes {
    /// Starts with none; the guardian kills what is started later should this process die in any way.
    pub fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("logs"))?;
        Ok(Self { dir: dir.to_owned(), running: Mutex::default(), guardian: Some(Guardian::start()?) })
    }

    /// Finds the processes that another process recorded in `dir`; no record means none.
    pub fn attach(dir: &Path) -> Result<Self> {
        let path = record_path(dir);
        let records: Vec<Record> = match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).with_context(|| format!("cannot parse {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let running = records.into_iter().map(|record| Running { record, child: None }).collect();
        Ok(Self { dir: dir.to_owned(), running: Mutex::new(running), guardian: None })
    }

    /// Starts `spec`, or starts it again in its old place in the order. Its output goes to `logs/<name>.log`.
    pub fn start(&self, spec: Spec) -> Result<()> {
        let mut running = self.lock();
        let place = running.iter().position(|process| process.record.spec.name == spec.name);
        if let Some(process) = place.and_then(|at| running.get_mut(at))
            && process.is_alive()
        {
            bail!("{} is running already (pid {})", spec.name, process.record.pid);
        }
        let started = self.spawn(spec)?;
        match place.and_then(|at| running.get_mut(at)) {
            Some(process) => *process = started,
            None => running.push(started),
        }
        self.save(&running)
    }

    fn spawn(&self, spec: Spec) -> Result<Running> {
        let log = self.log(&spec.name);
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("cannot open {}", log.display()))?;
        let mut command = Command::new(&spec.program);
        command.args(&spec.args).envs(&spec.env).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A group of its own: Ctrl-C in the terminal does not reach it, so that we decide the order of the end.
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {}", spec.program.display()))?;
        let pid = i32::try_from(child.id())?;
        if let Some(guardian) = &self.guardian {
            guardian.watch(pid)?;
        }
        let start_time = start_time(pid).unwrap_or_default();
        Ok(Running { record: Record { spec, pid, start_time }, child: Some(child) })
    }

    /// The file that has the output of the process `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    /// Whether the process `name` was started and has not ended.
    pub fn is_alive(&self, name: &str) -> bool {
        self.lock().iter_mut().any(|process| process.record.spec.name == name && process.is_alive())
    }

    /// The pid of the process `name`, while it lives.
    pub fn pid(&self, name: &str) -> Option<i32> {
        let mut running = self.lock();
        let process = running.iter_mut().find(|process| process.record.spec.name == name)?;
        process.is_alive().then_some(process.record.pid)
    }

    /// What was started under `name`.
    pub fn spec(&self, name: &str) -> Result<Spec> {
        let running = self.lock();
        let process = running.iter().find(|process| process.record.spec.name == name);
        process
            .map(|process| process.record.spec.clone())
            .with_context(|| format!("no process `{name}` in this cluster"))
    }

    /// Every name on record, with the pid where the process is alive.
    pub fn list(&self) -> Vec<(String, Option<i32>)> {
        let mut running = self.lock();
        let row = |process: &mut Running| {
            (process.record.spec.name.clone(), process.is_alive().then_some(process.record.pid))
        };
        running.iter_mut().map(row).collect()
    }

    /// Sends `signal` to the process `name` alone, and does not wait.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid(name) else { bail!("{name} is not running") };
        kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot send {signal} to {name}"))
    }

    /// Ends the process `name` and its group: SIGTERM, then SIGKILL. One that has ended already is no error.
    pub fn stop(&self, name: &str) -> Result<()> {
        let mut running = self.lock();
        for process in running.iter_mut().filter(|process| process.record.spec.name == name) {
            process.stop();
            self.forget(process.record.pid)?;
        }
        self.save(&running)
    }

    /// Ends all processes, the last started first.
    pub fn stop_all(&self) {
        let mut running = self.lock();
        while let Some(mut process) = running.pop() {
            process.stop();
            if let Err(error) = self.forget(process.record.pid) {
                tracing::debug!("the guardian is gone: {error}");
            }
        }
        if let Err(error) = self.save(&running) {
            tracing::warn!("{error:#}");
        }
    }

    /// Lets the processes outlive this one.
    pub fn release(&mut self) -> Result<()> {
        self.guardian.take().map_or(Ok(()), Guardian::release)
    }

    fn forget(&self, pid: i32) -> Result<()> {
        self.guardian.as_ref().map_or(Ok(()), |guardian| guardian.forget(pid))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        // A panic elsewhere must not keep us from stopping the processes.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, running: &[Running]) -> Result<()> {
        let records: Vec<&Record> = running.iter().map(|process| &process.record).collect();
        write_private(&record_path(&self.dir), &serde_json::to_vec_pretty(&records)?)
    }
}

impl Running {
    fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => start_time(self.record.pid).is_some_and(|time| time == self.record.start_time),
        }
    }

    fn stop(&mut self) {
        if !self.is_alive() {
            return;
        }
        let group = Pid::from_raw(self.record.pid);
        for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
            // The only error is that the group is gone, which the loop below sees.
            let _ = killpg(group, signal);
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                if !self.is_alive() {
                    let _ = killpg(group, Signal::SIGKILL); // what the leader may have left in its group
                    return;
                }
                sleep(POLL);
            }
        }
        tracing::warn!("{} (pid {}) did not end", self.record.spec.name, self.record.pid);
    }
}

impl Drop for Processes {
    /// Whoever has the guardian owns the processes, and takes them along.
    fn drop(&mut self) {
        if self.guardian.is_some() {
            self.stop_all();
        }
    }
}

fn record_path(dir: &Path) -> PathBuf {
    dir.join("processes.json")
}

/// When the process started, in the system's own unit; nothing for one that does not exist or waits to be reaped.
fn start_time(pid: i32) -> Option<String> {
    if Path::new("/proc/self/stat").exists() {
        // proc_pid_stat(5): the command, in parentheses, may hold anything; state is field 3, starttime field 22.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        return (*fields.first()? != "Z").then(|| fields.get(19).map(|time| (*time).to_owned()))?;
    }
    let output = Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let time = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!time.is_empty()).then_some(time)
}

/// Writes a file that only its owner may read, so that nobody sees half of it.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> Spec {
        let args = vec!["-c".to_owned(), script.to_owned()];
        Spec { name: name.to_owned(), program: "/bin/sh".into(), args, env: BTreeMap::new() }
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("windlass-process-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed_with_its_children() {
        let dir = scratch("stubborn");
        let processes = Processes::new(&dir).unwrap();
        processes.start(shell("stubborn", "trap '' TERM; sleep 600 & echo $!; while :; do sleep 1; done")).unwrap();
        let child = wait_for_line(&processes.log("stubborn"));
        processes.stop("stubborn").unwrap();
        assert!(!processes.is_alive("stubborn"));
        assert_eq!(start_time(child), None);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn another_process_can_attach_and_stop_them() {
        let dir = scratch("attach");
        let mut owner = Processes::new(&dir).unwrap();
        owner.start(shell("sleeper", "exec sleep 600")).unwrap();
        owner.release().unwrap();
        let other = Processes::attach(&dir).unwrap();
        let pid = other.pid("sleeper").unwrap();
        assert_eq!(owner.pid("sleeper"), Some(pid));
        other.stop_all();
        assert_eq!(start_time(pid), None);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_recycled_pid_is_not_ours() {
        let dir = scratch("recycled");
        fs::create_dir_all(&dir).unwrap();
        let pid = std::process::id();
        let json = format!(r#"[{{"name":"x","program":"/bin/x","args":[],"pid":{pid},"startTime":"1"}}]"#);
        fs::write(record_path(&dir), json).unwrap();
        let processes = Processes::attach(&dir).unwrap();
        assert!(!processes.is_alive("x"));
        processes.stop_all(); // would end this test
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_name_runs_once() {
        let dir = scratch("once");
        let processes = Processes::new(&dir).unwrap();
        processes.start(shell("one", "exec sleep 600")).unwrap();
        let error = processes.start(shell("one", "exec sleep 600")).unwrap_err();
        assert!(error.to_string().starts_with("one is running already"), "{error}");
        processes.stop_all();
        fs::remove_dir_all(&dir).unwrap();
    }

    fn wait_for_line(log: &Path) -> i32 {
        for _ in 0..200 {
            if let Some(pid) = fs::read_to_string(log).ok().and_then(|text| text.trim().parse().ok()) {
                return pid;
            }
            sleep(POLL);
        }
        panic!("nothing in {}", log.display());
    }
}
