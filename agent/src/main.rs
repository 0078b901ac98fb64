//! `windlass-agent.exe`: one command of the operator, or the armed task, on a Windows node.

use windlass_agent::{platform, program};

fn main() {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    std::process::exit(program::run(&args, platform::here().as_ref()))
}
