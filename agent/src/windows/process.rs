//! Programs of Windows that the agent runs: without a window, without input, each read with a deadline.

use super::border::{Doing, system_program, unexpected};
use crate::host::{HostError, HostResult};
use std::ffi::c_void;
use std::io::Read;
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use windows::Win32::Foundation::{HANDLE, WAIT_OBJECT_0};
use windows::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows::Win32::System::Threading::{CREATE_NO_WINDOW, WaitForSingleObject};
use windows::core::Owned;

/// Most output that is kept, in bytes, ours: the longest table of packages has some 100 KiB.
const MAX_OUTPUT: usize = 1 << 20;

/// `ERROR_TIMEOUT`.
const TIME_OUT: u32 = 0x8007_05B4;

/// What becomes of a program that does not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// It is ended, with all that it started.
    Kill,
    /// It goes on alone: ending an installer in the middle damages Windows.
    LetGo,
}

/// How a program ended.
pub(super) struct Ended {
    pub code: u32,
    /// What it printed, both streams in the order they came, cut after [`MAX_OUTPUT`].
    pub output: String,
}

/// Runs a program of the system folder to its end.
///
/// # Errors
/// It can not be started, or did not end within the deadline.
pub(super) fn run(program: &str, args: &[&str], deadline: Duration, late: Late) -> HostResult<Ended> {
    let until = Instant::now() + deadline;
    let mut command = Command::new(system_program(program)?);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.creation_flags(CREATE_NO_WINDOW.0).spawn().doing(program)?;
    // Dropped at the end of this function, with which all that is left of the program ends.
    let _job = match late {
        Late::Kill => Some(job_with(&child).inspect_err(|_| drop(child.kill()))?),
        Late::LetGo => None,
    };
    let output = read(&mut child, until).ok_or_else(|| late_error(program, deadline))?;
    if !wait(&child, until) {
        return Err(late_error(program, deadline));
    }
    let code = child.wait().doing(program)?.code().ok_or_else(|| unexpected(format!("{program}: no exit code")))?;
    Ok(Ended { code: code.cast_unsigned(), output: String::from_utf8_lossy(&output).into_owned() })
}

fn late_error(program: &str, deadline: Duration) -> HostError {
    HostError::new(TIME_OUT, format!("{program}: did not end within {} s", deadline.as_secs()))
}

/// Reads both streams to their end; `None` when that did not come in time. The threads end with the streams.
fn read(child: &mut Child, until: Instant) -> Option<Vec<u8>> {
    let (sender, chunks) = channel();
    pump(child.stdout.take(), sender.clone());
    pump(child.stderr.take(), sender);
    collect(&chunks, until)
}

fn pump(stream: Option<impl Read + Send + 'static>, into: Sender<Vec<u8>>) {
    let Some(mut stream) = stream else { return };
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if into.send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() {
                break;
            }
        }
    });
}

fn collect(chunks: &Receiver<Vec<u8>>, until: Instant) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    loop {
        match chunks.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(chunk) => {
                let room = MAX_OUTPUT.saturating_sub(output.len());
                output.extend(chunk.iter().take(room));
            }
            Err(RecvTimeoutError::Disconnected) => return Some(output),
            Err(RecvTimeoutError::Timeout) => return None,
        }
    }
}

fn wait(child: &Child, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now()).as_millis();
    let left = u32::try_from(left).unwrap_or(u32::MAX - 1);
    // SAFETY: the handle is the child's, which lives.
    unsafe { WaitForSingleObject(HANDLE(child.as_raw_handle()), left) == WAIT_OBJECT_0 }
}

/// A job that ends the child and all that it starts when it is closed.
fn job_with(child: &Child) -> HostResult<Owned<HANDLE>> {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let size = u32::try_from(size_of_val(&limits)).unwrap_or(u32::MAX);
    let pointer: *const c_void = (&raw const limits).cast();
    // SAFETY: the job is ours and owned from here; the limits have the size that is said; the child's handle lives.
    unsafe {
        let job = Owned::new(CreateJobObjectW(None, None).doing("job")?);
        SetInformationJobObject(*job, JobObjectExtendedLimitInformation, pointer, size).doing("job: limits")?;
        let assigned = AssignProcessToJobObject(*job, HANDLE(child.as_raw_handle())).doing("job: process");
        // A program that has ended already can not be put into a job, and need not be.
        if wait(child, Instant::now()) { Ok(job) } else { assigned.map(|()| job) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn output_and_exit_code_are_what_the_program_says() {
        let ended = run("cmd.exe", &["/c", "echo hello& exit 3010"], SOON, Late::Kill).expect("it runs");
        assert_eq!((ended.code, ended.output.trim()), (3010, "hello"));
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let begun = Instant::now();
        let hung = run("ping.exe", &["-n", "60", "127.0.0.1"], Duration::from_millis(1500), Late::Kill);
        assert_eq!(hung.err().map(|e| e.hresult), Some(TIME_OUT));
        assert!(begun.elapsed() < SOON, "the deadline is one");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(run("no-such-program.exe", &[], SOON, Late::Kill).is_err());
    }
}
