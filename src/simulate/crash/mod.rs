//! The crash matrix over real effects: the operator is killed at each boundary of each step, whichever way the step ends,
//! and comes to the same end, with nothing done twice at the machine.
//!
//! The matrix is made of the step table: for each step and each way that it can end there has to be a story that shows it.

pub mod stories;

use super::{Actor, Boundary, Broken, Event, Kill, Object, Observer, Outcome, Setup, Trouble, View, What, When, run};
use crate::api::{NodeUpdate, Step, StepDetail, StepPhase, StepRecord};
use crate::plan::node::tests::all_steps;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stories::{STORIES, setup};

/// How a step can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Success,
    Failure,
    TimeOut,
}

impl End {
    const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::TimeOut];

    fn of(record: &StepRecord) -> Option<Self> {
        match (record.phase, record.detail) {
            (StepPhase::Started, _) | (StepPhase::Failed, Some(StepDetail::Aborted)) => None,
            (StepPhase::Succeeded, _) => Some(Self::Success),
            (StepPhase::Failed, Some(StepDetail::TimedOut)) => Some(Self::TimeOut),
            (StepPhase::Failed, _) => Some(Self::Failure),
        }
    }

    /// Whether a step can not end like this, whatever its effect meets.
    fn is_impossible(self, step: Step) -> bool {
        match step {
            // One write, tried until the API server takes it: another's claim is waited for, or left as it is.
            Step::Cordon => self == Self::Failure,
            // The same; and what the agent does not take off in time is told, and the node is given back.
            Step::Hold | Step::Uncordon => self != Self::Success,
            Step::Preflight
            | Step::Stage
            | Step::Drain
            | Step::Snapshot
            | Step::Install
            | Step::Reboot
            | Step::Verify
            | Step::Restore
            | Step::VerifyRestored => false,
        }
    }
}

/// Where the operator is struck.
#[derive(Clone, Copy, Debug)]
enum Strike {
    /// It is killed.
    Kill(u64, Boundary),
    /// What it writes at this time is refused, so that what it did is not on record: the step is run twice in a row.
    Twice(Timestamp),
}

impl Strike {
    fn setup(self, mut setup: Setup) -> Setup {
        match self {
            Self::Kill(call, side) => {
                setup.kills.push(Kill { when: When::Call(call, side), down_for: Duration::from_secs(20) });
            }
            Self::Twice(at) => {
                let until = at + SignedDuration::from_millis(1);
                setup.troubles.push(Trouble { from: at, until, what: What::Conflicts(1) });
            }
        }
        setup
    }
}

/// When a log was written, and the log.
type Written = (Timestamp, Vec<StepRecord>);

/// A place in the log of a story.
type Place<'a> = (&'static str, &'a Calm, usize);

/// Notes the logs that an operator writes.
#[derive(Clone, Default)]
struct Scribe(Arc<Mutex<Vec<Written>>>);

impl Observer for Scribe {
    fn see(&mut self, at: Timestamp, event: &Event<'_>, _: &View<'_>) {
        if let Event::Wrote { actor: Actor::Operator(_), after: Some(Object::NodeUpdate(update)), .. } = event {
            self.0.lock().expect("a lock").push((at, steps(update)));
        }
    }

    fn checked(&self) -> u64 {
        0
    }

    fn broken(&self) -> Vec<Broken> {
        Vec::new()
    }
}

fn steps(update: &NodeUpdate) -> Vec<StepRecord> {
    update.status.as_ref().map(|status| status.steps.clone()).unwrap_or_default()
}

/// A story as it goes when nobody is killed.
struct Calm {
    setup: Setup,
    outcome: Outcome,
    /// What was written: the call's number, the time, and the log.
    written: Vec<(u64, Timestamp, Vec<StepRecord>)>,
}

impl Calm {
    fn play(parts: &str) -> Self {
        let (setup, scribe) = (setup(parts), Scribe::default());
        let outcome = run(&setup, vec![Box::new(scribe.clone())]).expect("an outcome");
        let is_write = |name: &str| name.contains(" nodeupdates") && !name.starts_with("GET");
        let calls = (1..).zip(&outcome.call_names).filter(|(_, name)| is_write(name)).map(|(number, _)| number);
        let logs = std::mem::take(&mut *scribe.0.lock().expect("a lock"));
        let calls: Vec<u64> = calls.collect();
        assert_eq!(calls.len(), logs.len(), "each write of a node update is one call");
        let written = calls.into_iter().zip(logs).map(|(call, (at, log))| (call, at, log)).collect();
        Self { setup, outcome, written }
    }

    fn log(&self) -> &[StepRecord] {
        self.written.last().map_or(&[], |(_, _, log)| log)
    }

    /// Where the operator can be struck around the record of this place in the log.
    fn strikes(&self, place: usize) -> Vec<Strike> {
        let first = |known: fn(&StepRecord) -> bool| {
            self.written.iter().find(|(_, _, log)| log.get(place).is_some_and(known)).expect("it was written")
        };
        let (begun, ..) = first(|_| true);
        let (ended, at, _) = first(|record| record.phase != StepPhase::Started);
        let is_effect = |call: &u64| {
            let name = &self.outcome.call_names[usize::try_from(*call).expect("small") - 1];
            !["GET ", "POST events"].iter().any(|start| name.starts_with(start)) && !name.contains(" updaterollouts")
        };
        let effects: Vec<u64> = (begun + 1..*ended).filter(is_effect).collect();
        let (first, last) = (effects.first().copied(), effects.last().copied());
        let kills = [
            first.map(|call| (call, Boundary::Before)),
            first.map(|call| (call, Boundary::After)),
            last.filter(|call| Some(*call) != first).map(|call| (call, Boundary::After)),
            Some((*ended, Boundary::Before)),
            Some((*ended, Boundary::After)),
        ];
        let kills = kills.into_iter().flatten().map(|(call, side)| Strike::Kill(call, side));
        kills.chain([Strike::Twice(*at)]).collect()
    }
}

/// All that must be the same.
#[derive(Debug, PartialEq)]
struct Came {
    rollouts: Vec<(String, Option<String>)>,
    updates: BTreeMap<String, String>,
    nodes: Vec<String>,
    machines: Vec<String>,
}

impl Came {
    /// What came; with `words` also why. Whoever is killed at the very end of a step's time may find that it failed by
    /// itself meanwhile, and says so.
    fn of(outcome: &Outcome, words: bool) -> Self {
        let update = |update: &Arc<NodeUpdate>| {
            let status = update.status.clone().unwrap_or_default();
            let detail = |s: &StepRecord| s.detail.filter(|_| words);
            let step = |s: &StepRecord| format!("{:?}/{}/{} {:?} {:?}", s.step, s.round, s.attempt, s.phase, detail(s));
            let log: Vec<_> = status.steps.iter().map(step).collect();
            (update.name_any(), format!("{:?} {:?} {log:#?}", status.outcome, status.reason.filter(|_| words)))
        };
        let node = |node: &Arc<k8s_openapi::api::core::v1::Node>| {
            let spec = node.spec.clone().unwrap_or_default();
            // When a taint was added is as late as the operator was.
            let taints = spec.taints.into_iter().flatten().map(|taint| (taint.key, taint.value, taint.effect));
            let taints: Vec<_> = taints.collect();
            format!("{:?} {taints:?} {:?} {:?}", spec.unschedulable, node.labels(), node.annotations())
        };
        let machine = |m: &winfleet::model::Machine| format!("{} {:?} {:?}", m.disk.build, m.state(), m.counters());
        Self {
            rollouts: outcome
                .report
                .rollouts
                .iter()
                .map(|r| (r.state.clone(), r.reason.clone().filter(|_| words)))
                .collect(),
            updates: outcome.tables.updates.all().map(update).collect(),
            nodes: outcome.tables.nodes.all().map(node).collect(),
            machines: outcome.world.machines().map(machine).collect(),
        }
    }
}

/// One cell: a story, the step and how it ends there, and where the operator is struck.
struct Cell<'a> {
    story: &'static str,
    calm: &'a Calm,
    step: (Step, End),
    strike: Strike,
}

/// Plays cells on all cores; gives back those that came to another end.
fn play(cells: &[Cell<'_>]) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(Cell { story, calm, step, strike }) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let struck = run(&strike.setup(calm.setup.clone()), vec![]).expect("an outcome");
                    let words = step.1 != End::TimeOut;
                    let (came, expected) = (Came::of(&struck, words), Came::of(&calm.outcome, words));
                    if came != expected {
                        let line = format!("{story}: {step:?} {strike:?}\n{expected:#?}\nbut {came:#?}");
                        wrong.lock().expect("a lock").push(line);
                    }
                }
            });
        }
    });
    wrong.into_inner().expect("a lock")
}

/// The stories, each as it goes when nobody is killed.
fn stories() -> Vec<(&'static str, Calm)> {
    STORIES.iter().map(|(name, parts)| (*name, Calm::play(parts))).collect()
}

/// For each step and each end that it can come to, the places in the stories' logs where it does.
fn shown<'a>(stories: &'a [(&'static str, Calm)]) -> Vec<((Step, End), Vec<Place<'a>>)> {
    let of = |(step, end): (Step, End)| {
        let places = stories.iter().flat_map(|(name, calm)| {
            let there = move |r: &StepRecord| r.step == step && End::of(r) == Some(end);
            calm.log().iter().enumerate().filter(move |(_, r)| there(r)).map(move |(place, _)| (*name, calm, place))
        });
        ((step, end), places.collect())
    };
    all_steps().into_iter().flat_map(|step| End::ALL.map(|end| (step, end))).map(of).collect()
}

fn cells<'a>(step: (Step, End), places: impl Iterator<Item = (&'static str, &'a Calm, usize)>) -> Vec<Cell<'a>> {
    let of = |(story, calm, place): (&'static str, &'a Calm, usize)| {
        calm.strikes(place).into_iter().map(move |strike| Cell { story, calm, step, strike })
    };
    places.flat_map(of).collect()
}

fn check(cells: &[Cell<'_>]) {
    let wrong = play(cells);
    eprintln!("{} cells", cells.len());
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
}

/// One story for each step and each of its ends.
#[test]
fn a_crash_at_each_boundary_of_each_step_comes_to_the_same_end() {
    let stories = stories();
    let shown = shown(&stories);
    let told: Vec<_> = stories.iter().map(|(name, calm)| format!("{name}: {}", brief(calm.log()))).collect();
    let told = told.join("\n");
    for ((step, end), places) in &shown {
        assert_ne!(places.is_empty(), !end.is_impossible(*step), "{step:?} {end:?}: which story shows it?\n{told}");
    }
    check(&shown.into_iter().flat_map(|(step, places)| cells(step, places.into_iter().take(1))).collect::<Vec<_>>());
}

/// All stories, all their steps: `cargo test -p windlass --lib crash -- --ignored`.
#[test]
#[ignore = "minutes: a sample of it is played always"]
fn a_crash_at_each_boundary_of_each_story_comes_to_the_same_end() {
    let stories = stories();
    check(&shown(&stories).into_iter().flat_map(|(step, places)| cells(step, places.into_iter())).collect::<Vec<_>>());
}

fn brief(log: &[StepRecord]) -> String {
    let one = |r: &StepRecord| format!("{:?}/{} {:?} {}", r.step, r.round, End::of(r), r.message);
    log.iter().map(one).collect::<Vec<_>>().join("; ")
}
