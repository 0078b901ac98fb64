//! One simulation, from the scenario to the report: a runtime of its own, whose clock stands still until there is nothing
//! left to do, and then jumps to what is due next.

use super::agenda::Due;
use super::calls::Calls;
use super::cluster::Cluster;
use super::manifests;
use super::operator::operate;
use super::report::{RefusedAct, Report};
use super::shared::{Shared, Time};
use super::trace::{Actor, Event, Observer};
use super::troubles;
use super::workloads::{Workload, Workloads};
use super::{Outcome, Setup, SimulateError};
use futures::future::select;
use jiff::Timestamp;
use std::pin::pin;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use winfleet::model::World;

/// Plays a scenario to its end.
///
/// # Errors
/// [`SimulateError`].
pub fn run(setup: &Setup, observers: Vec<Box<dyn Observer>>) -> Result<Outcome, SimulateError> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| SimulateError::Runtime(error.to_string()))?;
    fastrand::seed(setup.seed);
    let (shared, end) = runtime.block_on(play(setup, observers))?;
    // With the runtime go all tasks, and what they hold of the cluster.
    drop(runtime);
    let mut cluster =
        shared.into_inner().ok_or_else(|| SimulateError::Runtime("a task outlives its runtime".to_owned()))?;
    if !cluster.unknown.is_empty() {
        cluster.unknown.dedup();
        return Err(SimulateError::Unknown(cluster.unknown.join("; ")));
    }
    let (calls, names) = (cluster.calls.count(), cluster.calls.names());
    let mut story = if setup.story { troubles::told(setup, end) } else { Vec::new() };
    story.append(&mut cluster.books.story);
    story.sort_by_key(|(at, _)| *at);
    let observers = cluster.take_observers();
    // What somebody wants who is drawn by chance, and finds nothing to do, is nobody's mistake.
    cluster.books.refused.retain(|refused| refused.act < setup.scenario.acts.len());
    let report = Report::of(&cluster, setup.seed, &observers, end);
    let Cluster { world, tables, .. } = cluster;
    Ok(Outcome { report, story, calls, call_names: names, world, tables, ended: end })
}

async fn play(setup: &Setup, observers: Vec<Box<dyn Observer>>) -> Result<(Shared, Timestamp), SimulateError> {
    let time = Time::beginning(setup.start);
    let shared = Shared::new(cluster(setup, observers)?, time);
    let mut operators = JoinSet::new();
    for instance in 0..setup.instances {
        operators.spawn(operate(shared.clone(), instance));
    }
    let end = drive(&shared, setup).await;
    drop(operators);
    shared.with(|cluster, now| cluster.tell(now, &Event::End));
    Ok((shared, end))
}

/// The cluster at the beginning.
fn cluster(setup: &Setup, observers: Vec<Box<dyn Observer>>) -> Result<Cluster, SimulateError> {
    let now = setup.start;
    let scenario = &setup.scenario;
    let world = World::seeded(scenario, setup.seed, now);
    let mut calls = Calls::new(setup.troubles.clone(), setup.kills.clone(), setup.instances, setup.name_calls);
    calls.lag = setup.lag;
    calls.latency = setup.latency;
    calls.seed = setup.seed;
    let mut cluster = Cluster::new(world, setup.seed, calls, observers);
    cluster.metrics.clone_from(&scenario.metrics);
    cluster.books.telling = setup.story;
    let wanted = manifests::workloads(&setup.manifests).into_iter().chain(scenario.workloads.iter().map(Workload::of));
    cluster.workloads = Workloads::new(wanted.collect(), cluster.fleet.len());
    cluster.register_nodes(now);
    cluster.place_pods(now);
    cluster.install_chart(now);
    if !setup.makes("UpdateRollout") {
        return Err(SimulateError::Input("manifests: there is no UpdateRollout: nothing would happen".to_owned()));
    }
    manifests::apply(&mut cluster, &setup.manifests, now)?;
    for budget in scenario.workloads.iter().filter_map(Workload::budget_of) {
        cluster.make(Actor::User, budget, now);
    }
    let kills: Vec<_> = cluster.calls.kill_times().map(|(at, _)| at).collect();
    for (number, at) in kills.into_iter().enumerate() {
        cluster.agenda.set(Due::Kill(number), Some(at));
    }
    for (number, act) in setup.acts.iter().enumerate() {
        cluster.agenda.set(Due::Act(number), Some(act.at));
    }
    Ok(cluster)
}

/// Lets everything happen that is due, until all rollouts have ended or the time is over; says when that was.
async fn drive(shared: &Shared, setup: &Setup) -> Timestamp {
    let over = setup.start.saturating_add(setup.lasts).unwrap_or(Timestamp::MAX);
    let mut end = over;
    loop {
        let (now, next, settled) = shared.with_quietly(|cluster, now| {
            cluster.advance(setup, now);
            (now, cluster.agenda.next(), cluster.settled())
        });
        end = match (settled, end == over) {
            (true, true) => over.min(now + setup.afterwards),
            (false, false) => over,
            _ => end,
        };
        if now >= end {
            return now;
        }
        let until = shared.time().instant(next.unwrap_or(end).min(end));
        select(pin!(tokio::time::sleep_until(until)), pin!(shared.earlier())).await;
    }
}

impl Cluster {
    /// Lets happen what is due by now.
    fn advance(&mut self, setup: &Setup, now: Timestamp) {
        while let Some(due) = self.agenda.take(now) {
            match due {
                Due::Hypervisor => self.tick_hypervisor(now),
                Due::Machine(index) => self.tick_machine(index, now),
                Due::Lost(index) => self.node_lost(index, now),
                Due::Evacuate(index) => self.evacuate(index, now),
                Due::Deliver(instance) => self.deliver(instance, now),
                Due::Place => self.place_pods(now),
                Due::Terminated => self.collect_terminated(now),
                Due::WatchEnds(number) => self.watches.end(number),
                Due::Act(number) => {
                    if let Some(message) = setup.acts.get(number).and_then(|act| self.act(&act.what, now)) {
                        self.books.refused.push(RefusedAct { act: number, at: now, message });
                    }
                }
                Due::Kill(number) => {
                    let down_for = self.calls.kill_times().nth(number).map(|(_, down_for)| down_for);
                    self.calls.kill(0, down_for.unwrap_or_default());
                }
            }
        }
    }

    /// Whether every rollout has ended and nobody is going to do anything about that.
    fn settled(&self) -> bool {
        let ended = |rollout: &std::sync::Arc<crate::api::UpdateRollout>| {
            rollout.status.as_ref().is_some_and(|status| status.ended_at.is_some())
        };
        self.tables.rollouts.all().all(ended) && !self.agenda.any(|due| matches!(due, Due::Act(_)))
    }
}
