//! The tables, as Markdown.

use super::Played;
use std::fmt::Write;

/// Incidents: what saw each, where, and what it cost.
pub(super) fn incidents(all: &[Played]) -> String {
    let mut text = String::from(
        "| Incident | State | Caught by | In ring | Harmed nodes | Of the first batch | Hours to all-clear |\n|---|---|---|---|---|---|---|\n",
    );
    for one in all {
        let share = one.share_of_first_batch().map_or_else(|| "-".to_owned(), |share| format!("{share} %"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {share} | {} |",
            one.name,
            one.rollout.state,
            one.caught_by(),
            one.ring.as_deref().unwrap_or("-"),
            one.rollout.harmed,
            clear(one),
        );
    }
    let seen = all.iter().filter(|one| one.ring.is_some()).count();
    let _ = writeln!(text, "\n{} incidents, {seen} of them halted the rollout.", all.len());
    text
}

fn clear(one: &Played) -> String {
    match one.all_clear {
        Some(time) => format!("{:.1}", time.as_secs_f64() / 3600.0),
        None if one.rollout.harmed == 0 && !one.soaked() => "-".to_owned(),
        None => "a person must act".to_owned(),
    }
}

/// Months with only noise: how far each came.
pub(super) fn good(all: &[Played]) -> String {
    let mut text = String::from(
        "| Month | State | Updated | Skipped | Failed | Reverted | Harmed | Days |\n|---|---|---|---|---|---|---|---|\n",
    );
    for one in all {
        let rollout = &one.rollout;
        let took = rollout.started_at.zip(rollout.ended_at).map(|(start, end)| end.duration_since(start));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            one.name,
            rollout.state,
            rollout.updated,
            rollout.skipped,
            rollout.failed,
            rollout.reverted,
            rollout.harmed,
            took.map_or_else(|| "-".to_owned(), |took| format!("{:.1}", took.as_secs_f64() / 86_400.0)),
        );
    }
    text
}
