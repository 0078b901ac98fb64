//! The incidents that must halt the default policy's rollout, with every change. Those that run through 120 nodes, and the
//! months with only noise, take minutes: `cargo xtask incidents` plays them all.

#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::path::Path;
use xtask::incidents::{INCIDENTS, Played, play};

#[test]
fn an_incident_that_is_seen_harms_no_more_than_the_first_batch() {
    let must_halt = |file: &Path| std::fs::read_to_string(file).unwrap().contains("  rollout: Halted\n");
    let played = play(INCIDENTS, &must_halt).unwrap();
    assert!(played.len() >= 25, "{} incidents", played.len());
    let wrong: Vec<String> = played.iter().flat_map(Played::wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for one in &played {
        assert!(one.rollout.harmed <= one.first_batch, "{}: {} harmed", one.name, one.rollout.harmed);
    }
}
