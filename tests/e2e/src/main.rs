//! Stories told against a real control plane: etcd, API server, controller-manager and scheduler, the operator under the
//! rights that ship, and simulated Windows machines.
//!
//! `cargo test -p e2e` tells all of them, `cargo test -p e2e -- drain` those with `drain` in their name. Each story has
//! machines of its own and says what became of them, at the API and inside the machines. Many stories share one cluster;
//! those that kill something have their own. Logs stay in `target/e2e`.

mod admission;
mod harness;
mod stories;

use harness::{Story, Suite};
use libtest_mimic::Arguments;
use std::process::ExitCode;

/// How many stories are told at once. They wait most of the time; 16 keep two cores busy and leave room for the rest.
const AT_ONCE: usize = 16;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let stories: Vec<Story> = stories::all().into_iter().chain(admission::all()).collect();
    let suite = match Suite::new(stories) {
        Ok(suite) => suite,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, suite.trials());
    suite.close();
    conclusion.exit_code()
}
