//! Runs the conformance suite against each provider, and keeps the table in `docs/providers.md`.
//!
//! `cargo xtask test providers` runs all of it; then the table in the documents must be what came out, and
//! `cargo xtask test providers --bless` writes it. A filter runs some cases and leaves the documents alone.

mod suite;
mod worlds;

use libtest_mimic::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    let bless = std::env::var_os("WINDLASS_BLESS").is_some();
    let mut arguments = Arguments::from_args();
    // Each world runs its cases one after the other: they share its proxy. The worlds run beside each other.
    arguments.test_threads.get_or_insert(worlds::ALL.len());
    let suite = match suite::Suite::new() {
        Ok(suite) => suite,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let conclusion = libtest_mimic::run(&arguments, suite.trials());
    for (provider, why) in suite.missing() {
        eprintln!("PROVIDER {provider} WAS NOT TESTED, what it needs is not to be had here: {why}");
    }
    if !whole || conclusion.has_failed() {
        return conclusion.exit_code();
    }
    match suite.documents(bless) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
