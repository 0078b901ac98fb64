//! The program of `http` probe pods: asks a URL once, from where it runs, and says in one line what came.
//!
//! That line is the last of the pod's log, which the operator shows to people. So it has no secrets of the URL in it, and is
//! no longer than what the operator reads.
//!
//! A client of its own, for a probe has to say what a client hides: how far it came. Nothing but the head of the answer
//! is read.

mod args;
mod exchange;
mod target;
mod trouble;
mod trust;

pub use args::Http;
pub use target::Target;
pub use trouble::{Phase, Trouble};

use args::{Cli, Command};
use clap::Parser as _;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// Exit code: the answer was one of those that were expected.
pub const PASSED: u8 = 0;
/// Exit code: it was not, or there was none.
pub const FAILED: u8 = 1;
/// Exit code: the arguments make no sense.
pub const USAGE: u8 = 2;

/// Longest line in bytes: the operator reads no more of a failed pod's last line.
pub const MAX_LINE: usize = 400;

/// Runs the program by its arguments, its name the first of them: its exit code, and what it prints.
pub fn run(args: impl IntoIterator<Item = OsString>) -> (u8, String) {
    match Cli::try_parse_from(args) {
        Ok(Cli { command: Command::Http(http) }) => ask(&http),
        Err(error) if error.use_stderr() => (USAGE, one_line(args::words(&error).as_str())),
        Err(help_or_version) => (PASSED, help_or_version.to_string().trim_end().to_owned()),
    }
}

/// Asks what `http` says: the program's exit code, and what it prints.
pub fn ask(http: &Http) -> (u8, String) {
    let (target, trust) = match http.check() {
        Ok(checked) => checked,
        Err(why) => return (USAGE, one_line(&why)),
    };
    let started = Instant::now();
    let outcome = exchange::get(&target, trust, http.timeout).and_then(|answer| answer.expect(&http.expect_status));
    match outcome {
        Ok(status) => (PASSED, answered(&http.url, status, started.elapsed())),
        Err(trouble) => (FAILED, trouble.of(&http.url)),
    }
}

fn answered(url: &str, status: u16, after: Duration) -> String {
    one_line(&format!("{}: status {status} after {} ms", target::shown(url), after.as_millis()))
}

/// What others wrote may have line breaks, and no end.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line[..line.floor_char_boundary(MAX_LINE)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_and_is_not_longer_than_what_is_read() {
        assert_eq!(one_line("a\r\nb"), "a  b");
        let long = one_line(&"ä".repeat(300));
        assert_eq!((long.len(), long.chars().count()), (400, 200));
        assert_eq!(one_line(&format!("x{}", "ä".repeat(300))).len(), 399);
    }
}
