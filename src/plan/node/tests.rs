//! The step machine under scripts of results: every arrow, every crash boundary, every wish.

use super::super::log::begun;
use super::*;
use crate::api::{
    Drain, FailedNode, InPlace, Install, OnFailure, Operation, Probe, SnapshotPolicy, Span, Strategy, StrategyType,
    UpdatePolicySpec, Verify,
};
use crate::domain::{Build, Labels, NodeRef, NodeState, Readiness};
use crate::plan::lint::node::lint;

pub(crate) fn intent() -> Intent {
    Intent {
        name: "r-win-1-0".into(),
        uid: "nu-uid".into(),
        rollout: "r".into(),
        rollout_uid: "r-uid".into(),
        ring: "canary".into(),
        node: NodeRef {
            name: "win-1".into(),
            uid: "n-uid".into(),
            provider_id: "simulated://h/win-1".into(),
            system_uuid: "s".into(),
        },
        operation: Operation::Update,
        from: Build::new(10, 0, 20348, 2527),
        to: Build::new(10, 0, 20348, 2582),
        updates: vec![],
        snapshot_class: "sim".into(),
        policy: UpdatePolicySpec {
            strategy: Strategy {
                type_: StrategyType::InPlace,
                in_place: Some(InPlace {
                    snapshot: SnapshotPolicy {
                        keep_at_most: None,
                        consistency: crate::api::SnapshotConsistency::Crash,
                        class_name: "sim".into(),
                        retain: Span::from_days(7),
                        timeout: Span::from_mins(10),
                        restore_timeout: Span::from_mins(10),
                    },
                    install: Install::default(),
                }),
            },
            maintenance: None,
            drain: Drain::default(),
            verify: Verify {
                settle: Span::from_secs(1),
                timeout: Span::from_mins(10),
                extra_reboots: 0,
                failure_threshold: 1,
                probes: vec![Probe {
                    name: "build".into(),
                    node: None,
                    build: Some(crate::api::BuildProbe {}),
                    host: None,
                    pod: None,
                    http: None,
                    prometheus: None,
                    cel: None,
                }],
            },
            on_failure: OnFailure::default(),
        }
        .into(),
    }
}

pub(in crate::plan) fn node() -> NodeState {
    NodeState {
        node: intent().node,
        resource_version: "1".into(),
        build: Some(Build::new(10, 0, 20348, 2527)),
        boot_id: "7".into(),
        readiness: Readiness::Ready(Timestamp::UNIX_EPOCH),
        unschedulable: false,
        claimed_by: None,
        cordoned_by_us: false,
        keep_cordoned: false,
        skip: false,
        quarantined: false,
        volumes_attached: vec![],
        labels: Labels::default(),
    }
}

/// What a test's world answers to a step, by its key.
type Script = dyn Fn(&StepKey) -> StepResult;

fn all_done(key: &StepKey) -> StepResult {
    let handle = (key.step == Step::Snapshot).then(|| "snap-1".to_owned());
    StepResult::Done { handle, message: "ok".into(), more: false }
}

fn pending() -> StepResult {
    StepResult::Pending { on: WaitingOn::Settle, after: Duration::from_secs(30) }
}

/// One run of the machine: the clock, the log as the API server would keep it, and what was asked of the world.
struct Run {
    intent: Intent,
    node: NodeSeen,
    wish: Wish,
    /// From this step on, the wish is another.
    end_in: Option<Step>,
    /// That one.
    wish_then: Wish,
    /// From this step on, this is what is under the node's name.
    swap_in: Option<(Step, NodeSeen)>,
    log: History,
    now: Timestamp,
    /// Since when the controller has looked.
    looked_since: Timestamp,
    effects: Vec<String>,
    /// Counts boundaries; at `crash_at` the result of the pass is lost.
    boundary: usize,
    crash_at: Option<usize>,
    /// The first effect of this step is done twice: its first result is lost.
    twice: Option<Step>,
}

impl Run {
    fn new() -> Self {
        Self {
            intent: intent(),
            node: NodeSeen::Here(Box::new(node())),
            wish: Wish::GoOn,
            end_in: None,
            wish_then: Wish::End,
            swap_in: None,
            log: History::default(),
            now: Timestamp::from_second(1_000_000).expect("a time"),
            looked_since: Timestamp::MIN,
            effects: vec![],
            boundary: 0,
            crash_at: None,
            twice: None,
        }
    }

    /// What the controller sees now.
    fn seen(&self) -> Observed<'_> {
        Observed {
            intent: &self.intent,
            history: &self.log,
            node: &self.node,
            wish: self.wish.clone(),
            looked_since: self.looked_since,
        }
    }

    fn crashes(&mut self) -> bool {
        self.boundary += 1;
        self.crash_at == Some(self.boundary)
    }

    fn record(&mut self, ended: &[StepRecord], begin: Option<&StepKey>) {
        self.log = self.log.with(ended);
        let open = begin.map(|key| begun(key, Some("7"), self.now));
        self.log = self.log.with(open.as_slice());
        let kept = History::parse(self.log.records()).expect("the machine never writes an impossible log");
        assert_eq!(kept, self.log);
    }

    fn run_out(&mut self, script: &Script) -> (Outcome, Reason) {
        for _ in 0..2_000 {
            if let Some(end) = self.pass(script) {
                return end;
            }
        }
        panic!("no end: {:?}", self.steps());
    }

    /// One pass of the controller, with a crash after each of its boundaries where the test wants one.
    fn pass(&mut self, script: &Script) -> Option<(Outcome, Reason)> {
        let open = self.log.open().map(|r| r.step);
        if self.end_in.is_some() && open == self.end_in {
            self.wish = self.wish_then.clone();
        }
        if let Some((_, seen)) = self.swap_in.take_if(|(step, _)| Some(*step) == open) {
            self.node = seen;
        }
        let seen = self.seen();
        let decision = faultless(&seen, decide(&seen, self.now));
        let key = match decision {
            Decision::Run(key) => key,
            other => return self.write(other),
        };
        self.effects.push(key.to_string());
        let result = script(&key);
        if self.twice.take_if(|step| *step == key.step).is_some() {
            return None;
        }
        if self.crashes() {
            return None; // after the effect, before its record
        }
        let seen = self.seen();
        let decision = faultless(&seen, conclude(&seen, result, self.now));
        self.write(decision)
    }

    fn write(&mut self, decision: Decision) -> Option<(Outcome, Reason)> {
        if self.crashes() {
            return None; // before the record
        }
        match decision {
            Decision::Begin { ended, key } => self.record(&ended, Some(&key)),
            Decision::Wait { ended, after, .. } => {
                self.record(&ended, None);
                self.now += SignedDuration::try_from(after.max(Duration::from_secs(1))).expect("short");
            }
            Decision::Done { ended, outcome, reason } => {
                self.record(&ended, None);
                return Some((outcome, reason));
            }
            Decision::Run(_) => unreachable!("conclude never says Run"),
        }
        self.crashes(); // after the record: nothing is lost, the next pass reads it
        None
    }

    fn steps(&self) -> Vec<String> {
        self.log
            .records()
            .iter()
            .map(|r| format!("{:?}{}{}", r.step, r.round, if r.phase == StepPhase::Failed { "!" } else { "" }))
            .collect()
    }
}

/// The second opinion finds nothing wrong with any decision of any story.
#[track_caller]
fn faultless(seen: &Observed<'_>, decision: Decision) -> Decision {
    let broken = lint(seen, &decision);
    assert!(broken.is_empty(), "{broken:?}: {decision:?} after {:#?}", seen.history);
    decision
}

fn check(script: &Script, change: impl FnOnce(&mut Run), outcome: Outcome, code: ReasonCode, steps: &str) {
    let mut run = Run::new();
    change(&mut run);
    let (ended, reason) = run.run_out(script);
    assert_eq!((ended, reason.code, run.steps().join(" ").as_str()), (outcome, code, steps), "{reason:?}");
}

fn fails(step: Step, detail: Option<StepDetail>) -> Box<Script> {
    Box::new(move |key| {
        if key.step == step { StepResult::Failed { detail, message: format!("{step:?} broke") } } else { all_done(key) }
    })
}

const TO_SNAPSHOT: &str = "Preflight1 Stage1 Cordon1 Drain1 Snapshot1";

#[test]
fn the_way_without_failures() {
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Verify1 Uncordon1");
    check(&all_done, |_| (), Outcome::Updated, ReasonCode::Succeeded, &steps);
}

#[test]
fn each_failure_takes_its_arrow() {
    use Outcome::{Failed, Held, Reverted};
    let back = "Restore1 VerifyRestored1 Uncordon1";
    for (step, outcome, code, steps) in [
        (Step::Preflight, Failed, ReasonCode::PreflightFailed, "Preflight1!".to_owned()),
        (Step::Stage, Failed, ReasonCode::StageFailed, "Preflight1 Stage1! Uncordon1".to_owned()),
        (Step::Cordon, Failed, ReasonCode::CordonFailed, "Preflight1 Stage1 Cordon1! Uncordon1".to_owned()),
        (Step::Drain, Failed, ReasonCode::DrainFailed, "Preflight1 Stage1 Cordon1 Drain1! Uncordon1".to_owned()),
        (Step::Snapshot, Failed, ReasonCode::SnapshotFailed, format!("{TO_SNAPSHOT}! Uncordon1")),
        (Step::Install, Reverted, ReasonCode::InstallFailed, format!("{TO_SNAPSHOT} Install1! {back}")),
        (Step::Reboot, Reverted, ReasonCode::RebootFailed, format!("{TO_SNAPSHOT} Install1 Reboot1! {back}")),
        (Step::Verify, Reverted, ReasonCode::VerifyFailed, format!("{TO_SNAPSHOT} Install1 Reboot1 Verify1! {back}")),
        (
            Step::Uncordon,
            Held,
            ReasonCode::UncordonFailed,
            format!("{TO_SNAPSHOT} Install1 Reboot1 Verify1 Uncordon1! Hold1"),
        ),
    ] {
        check(&fails(step, None), |_| (), outcome, code, &steps);
        // Out of time is a failure like any other.
        let stuck: Box<Script> = Box::new(move |key| if key.step == step { pending() } else { all_done(key) });
        check(&stuck, |_| (), outcome, code, &steps);
    }
}

#[test]
fn a_way_back_that_fails_holds_the_node() {
    for (step, code, tail) in [
        (Step::Restore, ReasonCode::RestoreFailed, "Restore1! Hold1"),
        (Step::VerifyRestored, ReasonCode::VerifyRestoredFailed, "Restore1 VerifyRestored1! Hold1"),
    ] {
        let script: Box<Script> = Box::new(move |key| match key.step {
            Step::Verify => StepResult::failed("probe pod-network failed"),
            s if s == step => StepResult::failed("broke"),
            _ => all_done(key),
        });
        let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Verify1! {tail}");
        check(&script, |_| (), Outcome::Held, code, &steps);
        let mut run = Run::new();
        let (_, reason) = run.run_out(&script);
        assert!(reason.message.contains("probe pod-network failed"), "the first cause is told: {}", reason.message);
    }
}

#[test]
fn an_install_that_changed_nothing_needs_no_restore() {
    let steps = format!("{TO_SNAPSHOT} Install1! Uncordon1");
    check(
        &fails(Step::Install, Some(StepDetail::Untouched)),
        |_| (),
        Outcome::Failed,
        ReasonCode::InstallFailed,
        &steps,
    );
}

#[test]
fn a_policy_that_holds_does_not_restore() {
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Verify1! Hold1");
    check(
        &fails(Step::Verify, None),
        |r| r.intent.policy.on_failure.node = FailedNode::Hold,
        Outcome::Held,
        ReasonCode::VerifyFailed,
        &steps,
    );
}

#[test]
fn a_set_that_is_gone_skips_the_node() {
    let script = fails(Step::Stage, Some(StepDetail::NotOffered));
    check(&script, |_| (), Outcome::Skipped, ReasonCode::PinnedUpdateUnavailable, "Preflight1 Stage1! Uncordon1");
}

#[test]
fn what_may_pass_is_tried_again_and_then_fails() {
    let script = fails(Step::Snapshot, Some(StepDetail::Retriable));
    let steps = format!("{TO_SNAPSHOT}! Snapshot1! Uncordon1");
    check(&script, |_| (), Outcome::Failed, ReasonCode::SnapshotFailed, &steps);
}

#[test]
fn a_reboot_that_was_due_comes_first() {
    let script: Box<Script> = Box::new(|key| match (key.step, key.attempt, key.round) {
        // The answer to a key is the answer for ever: it is read from the pod that was asked first.
        (Step::Stage, 1, 1) => {
            StepResult::Failed { detail: Some(StepDetail::RebootFirst), message: "a reboot is pending".into() }
        }
        _ => all_done(key),
    });
    let steps = format!("Preflight1 Stage1! Cordon0 Drain0 Reboot0 {TO_SNAPSHOT} Install1 Reboot1 Verify1 Uncordon1");
    check(&script, |_| (), Outcome::Updated, ReasonCode::Succeeded, &steps);
    // A reboot that stays due after a reboot is a fault of the node, not a loop.
    let steps = "Preflight1 Stage1! Cordon0 Drain0 Reboot0 Preflight1 Stage1! Uncordon1";
    check(&fails(Step::Stage, Some(StepDetail::RebootFirst)), |_| (), Outcome::Failed, ReasonCode::StageFailed, steps);
}

#[test]
fn rounds_and_extra_reboots_are_bounded() {
    let two_rounds: Box<Script> = Box::new(|key| match (key.step, key.round) {
        (Step::Reboot, 1) => StepResult::Done { handle: None, message: "more".into(), more: true },
        _ => all_done(key),
    });
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Install2 Reboot2 Verify2 Uncordon2");
    check(&two_rounds, |_| (), Outcome::Updated, ReasonCode::Succeeded, &steps);
    let for_ever: Box<Script> = Box::new(|key| match key.step {
        Step::Reboot => StepResult::Done { handle: None, message: "more".into(), more: true },
        _ => all_done(key),
    });
    let mut run = Run::new();
    assert_eq!(run.run_out(&for_ever).0, Outcome::Reverted, "{:?}", run.steps());
    assert!(run.log.reboots() <= 3);
    let why = "more is to be installed after 3 reboots, and install.maxReboots allows no more";
    let mut run = Run::new();
    let (_, reason) = run.run_out(&for_ever);
    assert_eq!((reason.code, reason.message.as_str()), (ReasonCode::of_failed(Step::Reboot), why));
    // What the installation took is not taken from them.
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Install2 Reboot2 Verify2 Reboot3 Verify3 Uncordon3");
    let bend = |run: &mut Run| {
        run.intent.policy.verify.extra_reboots = 1;
        run.intent.policy.strategy.in_place.as_mut().expect("in place").install.max_reboots = 2;
    };
    check(&two_rounds, bend, Outcome::Updated, ReasonCode::Succeeded, &steps);
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Verify1 Reboot2 Verify2 Uncordon2");
    check(&all_done, |r| r.intent.policy.verify.extra_reboots = 1, Outcome::Updated, ReasonCode::Succeeded, &steps);
}

/// A hotpatch raises the build, and the kubelet goes on reporting the one that it read when it started.
#[test]
fn an_update_without_a_reboot_is_followed_by_one_where_the_node_does_not_show_it() {
    let hotpatch: Box<Script> = Box::new(|key| match key.step {
        Step::Install => {
            StepResult::Done { handle: Some(crate::domain::NO_REBOOT.into()), message: "installed".into(), more: false }
        }
        _ => all_done(key),
    });
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Reboot2 Verify2 Uncordon2");
    check(&hotpatch, |_| (), Outcome::Updated, ReasonCode::Succeeded, &steps);
    // It is not one of those that the policy wants beyond what the update needs.
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Reboot2 Verify2 Reboot3 Verify3 Uncordon3");
    check(&hotpatch, |r| r.intent.policy.verify.extra_reboots = 1, Outcome::Updated, ReasonCode::Succeeded, &steps);
    // An update that changes no build, or a kubelet that was started meanwhile: there is nothing to show.
    let steps = format!("{TO_SNAPSHOT} Install1 Reboot1 Verify1 Uncordon1");
    let shown = |run: &mut Run| {
        let NodeSeen::Here(node) = &mut run.node else { unreachable!() };
        node.build = Some(run.intent.to);
    };
    check(&hotpatch, shown, Outcome::Updated, ReasonCode::Succeeded, &steps);
}

#[test]
fn a_wish_to_end_is_granted_while_the_machine_is_as_it_was() {
    use Outcome::{Aborted, Updated};
    let rest = "Install1 Reboot1 Verify1 Uncordon1";
    for (step, outcome, steps) in [
        (Step::Stage, Aborted, "Preflight1 Stage1! Uncordon1".to_owned()),
        (Step::Cordon, Aborted, "Preflight1 Stage1 Cordon1! Uncordon1".to_owned()),
        (Step::Drain, Aborted, "Preflight1 Stage1 Cordon1 Drain1! Uncordon1".to_owned()),
        (Step::Snapshot, Aborted, format!("{TO_SNAPSHOT} Uncordon1")),
        (Step::Install, Updated, format!("{TO_SNAPSHOT} {rest}")),
        (Step::Verify, Updated, format!("{TO_SNAPSHOT} {rest}")),
    ] {
        let code = if outcome == Aborted { ReasonCode::Aborted } else { ReasonCode::Succeeded };
        check(&all_done, |r| r.end_in = Some(step), outcome, code, &steps);
    }
    check(&all_done, |r| r.wish = Wish::End, Aborted, ReasonCode::Aborted, "");
}

#[test]
fn a_hold_gives_the_node_back_and_says_which() {
    let why = "KB5065432 is held by UpdateHold h: it breaks";
    for step in [None, Some(Step::Stage), Some(Step::Drain), Some(Step::Snapshot)] {
        let mut run = Run::new();
        run.end_in = step;
        run.wish_then = Wish::HoldBack { why: why.into() };
        if step.is_none() {
            run.wish = run.wish_then.clone();
        }
        let (outcome, reason) = run.run_out(&all_done);
        assert_eq!((outcome, reason.message), (Outcome::Aborted, format!("{why}; nothing was changed")), "{step:?}");
    }
}

#[test]
fn a_node_given_back_after_an_attempt_that_failed_has_not_failed() {
    let busy_at_first: Box<Script> = Box::new(|key| match (key.step, key.attempt) {
        (Step::Stage, 1) => {
            StepResult::Failed { detail: Some(StepDetail::Retriable), message: "the update service is busy".into() }
        }
        _ => all_done(key),
    });
    for step in [Step::Drain, Step::Snapshot] {
        let mut run = Run::new();
        run.end_in = Some(step);
        run.wish_then = Wish::HoldBack { why: "held".into() };
        let (outcome, reason) = run.run_out(&busy_at_first);
        assert_eq!((outcome, reason.message.as_str()), (Outcome::Aborted, "held; nothing was changed"), "{step:?}");
    }
}

#[test]
fn a_step_that_nobody_could_look_at_has_a_while_once_somebody_does() {
    let verifies: Box<Script> = Box::new(|key| if key.step == Step::Verify { pending() } else { all_done(key) });
    let mut run = Run::new();
    while run.log.open().is_none_or(|open| open.step != Step::Verify) {
        assert_eq!(run.pass(&verifies), None);
    }
    // Its time is 10 minutes, and the operator was away for a day.
    run.now += SignedDuration::from_hours(24);
    run.looked_since = run.now;
    assert_eq!(run.pass(&verifies), None);
    assert!(run.log.open().is_some(), "the first look waits for its answer");
    run.now += SignedDuration::from_mins(10);
    assert_eq!(run.pass(&verifies), None);
    assert_eq!(run.steps().last().map(String::as_str), Some("Restore1"), "ten minutes later its time is over");
}

#[test]
fn a_restore_is_asked_for_while_the_node_is_missing_and_its_end_waits_for_the_node() {
    let bad: Box<Script> = Box::new(|key| match key.step {
        Step::Verify => StepResult::Failed { detail: None, message: "bad".into() },
        _ => all_done(key),
    });
    let mut run = Run::new();
    run.swap_in = Some((Step::Restore, NodeSeen::Missing { left: Duration::from_mins(1) }));
    while run.log.succeeded(Step::Restore).is_none() {
        assert_eq!(run.pass(&bad), None, "{:?}", run.steps());
    }
    assert!(run.effects.iter().any(|effect| effect.contains("Restore")), "{:?}", run.effects);
    assert_eq!((run.pass(&bad), run.log.open()), (None, None), "it has to register first");
    run.node = NodeSeen::Here(Box::new(node()));
    assert_eq!(run.run_out(&bad).0, Outcome::Reverted);
}

#[test]
fn a_node_that_goes_away_ends_it_and_a_new_object_of_the_same_machine_is_held() {
    for step in [Step::Stage, Step::Drain, Step::Install, Step::Verify] {
        let mut run = Run::new();
        run.swap_in = Some((step, NodeSeen::Missing { left: Duration::from_mins(1) }));
        let waited = (0..100).map_while(|_| run.pass(&all_done).is_none().then_some(())).count() == 100;
        assert_eq!(waited, step != Step::Stage, "{step:?}: a node that was touched is waited for");
        run.node = NodeSeen::Gone;
        run.swap_in = None;
        assert!(!waited || run.run_out(&all_done).0 == Outcome::NodeGone, "{step:?}");
        let mut run = Run::new();
        run.swap_in = Some((step, NodeSeen::Gone));
        assert_eq!(run.run_out(&all_done).0, Outcome::NodeGone, "{step:?}");
        let mut run = Run::new();
        run.swap_in = Some((step, NodeSeen::Replaced { now: Box::new(node()), same_machine: true }));
        let expected = if step == Step::Stage { Outcome::NodeGone } else { Outcome::Held };
        assert_eq!(run.run_out(&all_done).0, expected, "{step:?}");
    }
}

/// What is begun is run at once: that the look before "ran" says nothing about the node.
#[test]
fn a_look_before_that_waits_is_not_over_because_it_was_run() {
    for change in [(|n| n.readiness = Readiness::NotReady(Timestamp::UNIX_EPOCH)) as fn(&mut NodeState), |n| {
        n.claimed_by = Some("somebody".into());
    }] {
        let mut run = Run::new();
        let mut node = node();
        change(&mut node);
        run.node = NodeSeen::Here(Box::new(node));
        assert!(run.pass(&all_done).is_none());
        assert_eq!(run.steps(), ["Preflight1"]);
        let seen = run.seen();
        let decision = conclude(&seen, StepResult::done("the node is fit"), run.now);
        assert!(matches!(decision, Decision::Wait { .. }), "{decision:?}");
    }
}

#[test]
fn the_look_after_a_pending_reboot_begins_when_that_is_over() {
    let mut claimed = node();
    claimed.claimed_by = Some("somebody".into());
    let mut run = Run::new();
    run.swap_in = Some((Step::Reboot, NodeSeen::Here(Box::new(claimed))));
    let (outcome, reason) = run.run_out(&fails(Step::Stage, Some(StepDetail::RebootFirst)));
    assert_eq!((outcome, reason.code), (Outcome::Failed, ReasonCode::PreflightFailed));
    assert_eq!(run.steps().join(" "), "Preflight1 Stage1! Cordon0 Drain0 Reboot0 Preflight1! Uncordon1");
    let [.., reboot, look, _] = run.log.records() else { panic!("{:?}", run.log) };
    assert_eq!(reboot.finished_at.as_ref(), Some(&look.started_at));
    assert_eq!(look.detail, Some(StepDetail::TimedOut));
}

#[test]
fn an_unfit_node_is_left_alone() {
    for change in [
        (|n| n.skip = true) as fn(&mut NodeState),
        |n| n.build = None,
        |n| n.build = Some(Build::new(10, 0, 26100, 1)),
        |n| n.node.provider_id = "simulated://h/other".into(),
        |n| n.readiness = Readiness::NotReady(Timestamp::UNIX_EPOCH),
        |n| n.claimed_by = Some("somebody".into()),
    ] {
        let mut run = Run::new();
        let mut node = node();
        change(&mut node);
        run.node = NodeSeen::Here(Box::new(node));
        let (outcome, reason) = run.run_out(&all_done);
        assert_eq!((outcome, reason.code), (Outcome::Failed, ReasonCode::PreflightFailed));
        assert!(run.effects.is_empty(), "nothing was done: {:?}", run.effects);
    }
}

/// All steps, from the type itself: a new one is covered without anyone remembering.
pub(crate) fn all_steps() -> Vec<Step> {
    let schema = serde_json::to_value(schemars::schema_for!(Step)).expect("a schema");
    let names = |schema: &serde_json::Value| {
        let one = schema.get("const").cloned().into_iter();
        one.chain(schema["enum"].as_array().cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    let parts = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let names = parts.iter().flat_map(names).chain(names(&schema));
    names.map(|name| serde_json::from_value(name).expect("a step")).collect()
}

/// An effect that is asked for twice in a row, as after a crash, leads to the same end: each step, in each story.
#[test]
fn every_step_run_twice_in_a_row_leads_to_the_same_end() {
    for step in all_steps() {
        for (fails_as, message) in
            [(None, "calm"), (Some(None), "fails"), (Some(Some(StepDetail::Retriable)), "may pass")]
        {
            let script: Box<Script> = match fails_as {
                None => Box::new(all_done),
                Some(detail) => fails(step, detail),
            };
            let mut calm = Run::new();
            let end = calm.run_out(&script);
            let mut twice = Run::new();
            twice.twice = Some(step);
            assert_eq!(twice.run_out(&script), end, "{step:?} {message}");
            assert_eq!(twice.steps(), calm.steps(), "{step:?} {message}");
        }
    }
}

/// The matrix: each story, each boundary in it. A crash there leads to the same end by the same steps.
#[test]
fn a_crash_at_any_boundary_leads_to_the_same_end() {
    let mut cells = 0;
    let mut stories: Vec<Box<Script>> = vec![Box::new(all_done)];
    for step in all_steps() {
        stories.push(fails(step, None));
        stories.push(fails(step, Some(StepDetail::Retriable)));
        stories.push(Box::new(move |key| if key.step == step { pending() } else { all_done(key) }));
        stories.push(Box::new(move |key| match key.step {
            Step::Verify => StepResult::failed("probe failed"),
            s if s == step => StepResult::failed("broke"),
            _ => all_done(key),
        }));
    }
    for script in &stories {
        let mut calm = Run::new();
        let end = calm.run_out(script);
        // A step that waits for its deadline has hundreds of alike boundaries: the first 60 hold all kinds.
        for crash_at in 1..=calm.boundary.min(60) {
            let mut run = Run::new();
            run.crash_at = Some(crash_at);
            assert_eq!(run.run_out(script), end, "crash at boundary {crash_at}");
            assert_eq!(run.steps(), calm.steps(), "crash at boundary {crash_at}");
            let distinct = |effects: &[String]| effects.iter().cloned().collect::<std::collections::BTreeSet<_>>();
            assert_eq!(distinct(&run.effects), distinct(&calm.effects), "no other effect is asked for");
            cells += 1;
        }
    }
    assert_eq!(stories.len(), 1 + 4 * all_steps().len());
    assert!(cells > 1_000, "{cells} cells");
}

#[test]
fn a_log_that_grows_without_end_holds_the_node() {
    let mut run = Run::new();
    let long: Vec<_> = (0..117)
        .map(|_| {
            let begun = begun(
                &StepKey { node_update_uid: "nu-uid".into(), step: Step::Cordon, round: 1, attempt: 1 },
                None,
                run.now,
            );
            close(&begun, StepPhase::Succeeded, None, "again", run.now)
        })
        .collect();
    run.log = History::default().with(&long);
    assert_eq!(run.run_out(&all_done).0, Outcome::Held);
}
