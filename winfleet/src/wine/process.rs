//! One process of the real program.

use super::Wine;
use crate::agent_host::{Look, RemoteProcess};
use crate::hypervisor::SharedWorld;
use jiff::{SignedDuration, Timestamp};
use std::io::{self, BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use windlass_agent::fake;
use windlass_protocol::NODE_VARIABLE;

/// How often a running process is looked at.
const LOOK_EVERY: SignedDuration = SignedDuration::from_millis(50);

/// A process of the real program on a simulated machine. It ends with its owner, and with its machine.
#[derive(Debug)]
pub struct WineProcess {
    machine: String,
    /// The run of the machine in which it lives.
    boot: Timestamp,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl WineProcess {
    /// Starts the program with the `args` behind its name on a machine, in the machine's present run.
    ///
    /// # Errors
    /// No port, or the program can not be started.
    pub fn start(
        wine: &Wine,
        args: &[String],
        machine: &str,
        boot: Timestamp,
        world: &SharedWorld,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (name, shared) = (machine.to_owned(), world.clone());
        // It waits for one connection, which a program that never comes up does not make: a thread of a few KiB.
        thread::spawn(move || listener.accept().map(|(stream, _)| play(stream, &name, boot, &shared)));
        let mut child = Command::new(&wine.runner)
            .arg(&wine.exe)
            .args(args)
            .env("WINDLASS_MACHINE", address)
            .env(NODE_VARIABLE, machine)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // The runner may have processes of its own under it: all are ended together.
            .process_group(0)
            .spawn()?;
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let reader = child.stdout.take().map(|out| read(out, lines.clone()));
        Ok(Self { machine: machine.to_owned(), boot, child, lines, reader })
    }

    /// Looks at the process at `now`; `up_since` is when the present run of its machine began.
    pub fn look(&mut self, up_since: Option<Timestamp>, now: Timestamp) -> Look {
        if up_since != Some(self.boot) {
            self.end();
            return Look::Killed;
        }
        match self.child.try_wait() {
            Ok(None) => {
                let next = now.saturating_add(LOOK_EVERY).unwrap_or(now);
                Look::Running { lines: self.take_lines(), next, idle: None }
            }
            Ok(Some(status)) => {
                // What it printed last is read before its end is told.
                let _ = self.reader.take().map(thread::JoinHandle::join);
                Look::Exited { lines: self.take_lines(), code: status.code().unwrap_or(-1) }
            }
            Err(error) => Look::Exited { lines: vec![error.to_string()], code: -1 },
        }
    }

    /// Name of its machine.
    pub fn machine(&self) -> &str {
        &self.machine
    }

    fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = i32::try_from(self.child.id()).unwrap_or_default();
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for WineProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// Plays the machine for one process, until it ends.
fn play(stream: TcpStream, machine: &str, boot: Timestamp, world: &SharedWorld) {
    let mut process = RemoteProcess::new(machine, boot);
    // A connection that breaks is a process that was killed.
    let _ = fake::serve(stream, |call| world.with(|world, now| process.answer(call, world, now)));
}

fn read(out: ChildStdout, lines: Arc<Mutex<Vec<String>>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Wine's console ends its lines as Windows does.
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_end_matches('\r').to_owned());
        }
    })
}
