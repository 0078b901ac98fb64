//! Power, and what can be seen of an instance from outside.

use super::Aws;
use super::answers::{Acknowledged, ConsoleAnswer, StatusAnswer};
use super::call::Call;
use super::ec2::State;
use super::machine::Machine;
use super::params::Params;
use super::restore::running;
use crate::domain::NodeRef;
use crate::ports::{ConsoleFacts, Power, Progress, ProviderError};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// How much of the console's last line is shown.
const SHOWN: usize = 160;

impl Aws {
    pub(super) async fn switch(&self, node: &NodeRef, want: Power) -> Result<Progress, ProviderError> {
        let machine = Machine::of(node, &self.client.region)?;
        let instance = self.instance(&machine).await?;
        match (want, instance.state()?) {
            (Power::On, State::Running) | (Power::Off, State::Stopped) => Ok(Progress::Done { handle: None }),
            (Power::On, State::Stopped) if instance.root().is_none() => {
                let text = format!("instance {} has no root volume to start from", machine.instance);
                Err(ProviderError::RootDetached(text))
            }
            (Power::On, State::Stopped) => self.switch_on(&machine.instance).await,
            (Power::Off, State::Running) => self.switch_off(&machine.instance).await,
            (Power::On, _) => Ok(running("waiting until the instance runs")),
            (Power::Off, _) => Ok(running("waiting until the instance has stopped")),
        }
    }

    pub(super) async fn switch_on(&self, instance: &str) -> Result<Progress, ProviderError> {
        let params = Params::default().list("InstanceId", [instance]);
        self.client.ask::<Acknowledged>(Call::StartInstances, &params).await?;
        Ok(running("starting the instance"))
    }

    pub(super) async fn switch_off(&self, instance: &str) -> Result<Progress, ProviderError> {
        let params = Params::default().list("InstanceId", [instance]);
        self.client.ask::<Acknowledged>(Call::StopInstances, &params).await?;
        Ok(running("stopping the instance"))
    }

    pub(super) async fn screen(&self, node: &NodeRef) -> Result<ConsoleFacts, ProviderError> {
        let machine = Machine::of(node, &self.client.region)?;
        let instance = self.instance(&machine).await?;
        let state = instance.state()?;
        let words = match state {
            State::Running => self.checks(&machine.instance).await?,
            State::Pending => "Starting".to_owned(),
            State::Stopping => "Stopping".to_owned(),
            State::Stopped => "Stopped".to_owned(),
        };
        let power = if matches!(state, State::Running | State::Pending) { Power::On } else { Power::Off };
        Ok(ConsoleFacts { power, root_attached: instance.root().is_some(), state: words })
    }

    /// What EC2's status checks say of a running instance. Only when it can not be reached is its console read too.
    async fn checks(&self, instance: &str) -> Result<String, ProviderError> {
        let params = Params::default().list("InstanceId", [instance]);
        let answer: StatusAnswer = self.client.ask(Call::DescribeInstanceStatus, &params).await?;
        let Some(checks) = answer.instance_status_set.items.first() else { return Ok("Booting".to_owned()) };
        let words = match (checks.system_status.status.as_str(), checks.instance_status.status.as_str()) {
            ("impaired", _) => "HostImpaired",
            (_, "impaired") => "Unreachable",
            (_, "initializing" | "insufficient-data") => "Booting",
            _ => "Running",
        };
        if words != "Unreachable" {
            return Ok(words.to_owned());
        }
        Ok(match self.last_line(instance).await? {
            Some(line) => format!("{words}: {line}"),
            None => words.to_owned(),
        })
    }

    /// The last line of the console; on Windows, of the newest entries of the system's event log.
    async fn last_line(&self, instance: &str) -> Result<Option<String>, ProviderError> {
        let params = Params::default().with("InstanceId", instance).with("Latest", "false");
        let answer: ConsoleAnswer = self.client.ask(Call::GetConsoleOutput, &params).await?;
        let packed: String = answer.output.split_whitespace().collect();
        let bytes = BASE64_STANDARD.decode(packed).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        Ok(line.map(|line| line.chars().filter(|c| !c.is_control()).take(SHOWN).collect()))
    }
}
