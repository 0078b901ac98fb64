//! The real `windlass-agent.exe` on a simulated machine, under Wine.
//!
//! The program is the one that ships, but for the feature `fake-machine`: its calls to Windows come back over a loopback
//! connection, one for each process, and are answered by the machine's model. Command line, core, report and exit code
//! are the program's own, and so are its death with the machine and its new start after the boot.

mod process;
mod tasks;

pub use process::WineProcess;
pub use tasks::WineTasks;

use crate::scenario::{Agent, Scenario};
use anyhow::Context;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How the program is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wine {
    /// Runs a Windows program: `<runner> <exe> <arguments>`.
    pub runner: PathBuf,
    /// The agent, built with the feature `fake-machine`.
    pub exe: PathBuf,
}

/// Which machines run the real program, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WineMachines {
    machines: BTreeSet<String>,
    wine: Option<Wine>,
}

impl WineMachines {
    /// Those of a scenario.
    ///
    /// # Errors
    /// The scenario has such machines, and `wine` is not given.
    pub fn of(scenario: &Scenario, wine: Option<Wine>) -> anyhow::Result<Self> {
        let machines: BTreeSet<String> =
            scenario.machines.iter().filter(|m| m.group.agent == Agent::Wine).map(|m| m.name.clone()).collect();
        if let Some(name) = machines.first() {
            wine.as_ref()
                .with_context(|| format!("machine {name}: agent: wine needs --wine-runner and --agent-exe"))?;
        }
        Ok(Self { machines, wine })
    }

    /// How the program of this machine is started; none where the core runs inside winfleet.
    pub fn of_machine(&self, name: &str) -> Option<&Wine> {
        self.wine.as_ref().filter(|_| self.machines.contains(name))
    }

    /// The machines that run the real program.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.machines.iter().map(String::as_str)
    }
}
