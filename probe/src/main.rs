//! `windlass-probe`: what a probe pod runs.

use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (code, line) = windlass_probe::run(std::env::args_os());
    // Nobody who reads the log is no reason to fail.
    let _ = writeln!(io::stdout(), "{line}");
    ExitCode::from(code)
}
