//! The live view: one line per node in a terminal, one line per change where there is none.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Instant;
use windlass::api::{NodeUpdate, UpdateRolloutStatus};

/// Shows node updates while they go on.
pub(super) struct View {
    started: Instant,
    bars: MultiProgress,
    lines: BTreeMap<String, (ProgressBar, String)>,
}

impl View {
    pub fn new() -> Self {
        println!(
            "{:>7}  {:<8} {:<7} {:<15} {:>7} {:>9}  WAITING ON",
            "", "NODE", "RING", "STEP", "ELAPSED", "EXPECTED"
        );
        Self { started: Instant::now(), bars: MultiProgress::new(), lines: BTreeMap::new() }
    }

    /// Shows what is new.
    pub fn show(&mut self, updates: &[NodeUpdate]) {
        let expected = median(updates.iter().filter_map(seconds).collect());
        for update in updates {
            let change = change(update);
            let line = line(update, &change, expected);
            let (bar, last) = self.lines.entry(update.spec.node_name.clone()).or_insert_with(|| {
                let style =
                    ProgressStyle::with_template("         {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
                (self.bars.add(ProgressBar::new_spinner().with_style(style)), String::new())
            });
            if !self.bars.is_hidden() {
                bar.set_message(line);
            } else if *last != change {
                println!("{:>6.1}s  {line}", self.started.elapsed().as_secs_f32());
            }
            *last = change;
        }
    }

    /// Leaves the last lines standing and says how the rollout ended.
    pub fn end(self, status: &UpdateRolloutStatus) {
        for (bar, _) in self.lines.values() {
            bar.abandon();
        }
        println!(
            "{:>6.1}s  {:?}: {}",
            self.started.elapsed().as_secs_f32(),
            status.state,
            status.reason.as_deref().unwrap_or_default()
        );
    }
}

/// What makes a new line where there is no terminal: the step and what it waits for.
fn change(update: &NodeUpdate) -> String {
    let status = update.status.clone().unwrap_or_default();
    let step = match (status.outcome, status.step) {
        (Some(outcome), _) => format!("{outcome:?}"),
        (None, Some(step)) => format!("{step:?}"),
        (None, None) => "-".to_owned(),
    };
    format!("{step:<15}\t{}", status.reason.or(status.waiting_on).unwrap_or_default())
}

fn line(update: &NodeUpdate, change: &str, expected: Option<i64>) -> String {
    let (step, what) = change.split_once('\t').unwrap_or((change, ""));
    let elapsed = seconds(update).or_else(|| since_start(update)).unwrap_or_default();
    let expected = expected.map_or_else(|| "-".to_owned(), |s| format!("{s}s"));
    let spec = &update.spec;
    format!("{:<8} {:<7} {step} {:>7} {expected:>9}  {what}", spec.node_name, spec.ring, format!("{elapsed}s"))
}

fn since_start(update: &NodeUpdate) -> Option<i64> {
    let first = update.status.as_ref()?.steps.first()?;
    Some(Timestamp::now().duration_since(first.started_at.0).as_secs())
}

/// Seconds a node update took, once it has ended.
fn seconds(update: &NodeUpdate) -> Option<i64> {
    let status = update.status.as_ref().filter(|s| s.outcome.is_some())?;
    let end = status.steps.last()?.finished_at.as_ref()?;
    Some(end.0.duration_since(status.steps.first()?.started_at.0).as_secs())
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
