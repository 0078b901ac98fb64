//! How long one pass of the planner takes, and its second opinion: `cargo bench --bench planner`.
//!
//! Prints milliseconds, the median of many passes. The promise is 5 ms for 10,000 nodes in 20 rings, growing linearly.
//! Passes of an operator lie seconds apart, and other work comes between: each pass here finds a core's caches cold. With
//! warm ones, a thousand nodes would fit into them and ten thousand would not, and that is all one would see grow.
//! The last line is what `cargo xtask bench` reads: the planner's milliseconds with 20 rings, by number of nodes.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};
use windlass::plan::lint::lint;
use windlass::plan::rollout::plan;
use windlass::plan::sample::bench_fleet;

/// Passes that are timed; the median of so many does not jump.
const PASSES: usize = 101;
/// Rings of the promise.
const RINGS: usize = 20;
/// Bytes that are walked through before each pass: several times the last cache before the memory (32 MiB for the cores that
/// share it, on servers of today). With less, a thousand nodes would still be found in that one, and ten thousand not.
const COLD: usize = 128 << 20;
/// Bytes of one line of a cache.
const LINE: usize = 64;

fn main() -> Result<(), serde_json::Error> {
    let mut promised = BTreeMap::new();
    println!("{:>6} {:>6} {:>9} {:>9}", "nodes", "rings", "plan ms", "lint ms");
    for (nodes, rings) in [(1_000, RINGS), (2_000, RINGS), (5_000, RINGS), (10_000, RINGS), (10_000, 1)] {
        let sample = bench_fleet(nodes, rings, 1)?;
        let (fleet, now) = (sample.fleet(), Timestamp::UNIX_EPOCH);
        let made = plan(&fleet, now);
        let planning = median(|| _ = black_box(plan(black_box(&fleet), now)));
        let linting = median(|| _ = black_box(lint(black_box(&fleet), &made, now)));
        println!("{nodes:>6} {rings:>6} {:>9.2} {:>9.2}", millis(planning), millis(linting));
        if rings == RINGS {
            promised.insert(nodes, millis(planning));
        }
    }
    println!("{}", serde_json::to_string(&promised)?);
    Ok(())
}

fn median(mut pass: impl FnMut()) -> Duration {
    let mut other = vec![0_u8; COLD];
    let mut times: Vec<Duration> = (0..PASSES)
        .map(|_| {
            other.iter_mut().step_by(LINE).for_each(|byte| *byte = byte.wrapping_add(1));
            black_box(&mut other);
            let start = Instant::now();
            pass();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times.get(PASSES / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
