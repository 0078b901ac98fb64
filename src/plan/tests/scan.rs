//! Who is asked what the catalogue offers.

use super::*;
use crate::domain::Build;
use crate::plan::scan::{candidates, why_nobody};

#[test]
fn one_list_for_each_os_build_the_best_node_first() {
    let mut world = World::new(&[("canary", 2), ("early", 2)]);
    world.node("canary-0").readiness = Readiness::Unknown;
    world.node("early-0").build = "10.0.17763.5000".parse().ok();
    world.node("early-1").claimed_by = Some("another".into());
    let lower = world.node("canary-1").build.map(|build| Build::new(10, 0, 20348, build.ubr() - 1));
    let names = |world: &World| -> Vec<(String, Vec<String>)> {
        let found = candidates(&world.sample.status.rings, &world.sample.nodes);
        found.into_iter().map(|(b, n)| (b, n.iter().map(|n| n.node.name.clone()).collect())).collect()
    };
    let of = |build: &str, names: &[&str]| (build.to_owned(), names.iter().map(|n| (*n).to_owned()).collect());
    assert_eq!(names(&world), [of("10.0.17763", &["early-0"]), of("10.0.20348", &["canary-1"])]);
    world.node("early-1").claimed_by = None;
    assert_eq!(names(&world)[1], of("10.0.20348", &["canary-1", "early-1"]), "by ring and name");
    world.node("early-1").build = lower;
    assert_eq!(names(&world)[1], of("10.0.20348", &["early-1", "canary-1"]), "who lacks most is offered most");
    world.node("early-1").claimed_by = Some("another".into());
    world.node("canary-1").skip = true;
    assert_eq!(names(&world)[1], of("10.0.20348", &[]), "a build that nobody can be asked about is still listed");
    let why = |world: &World| why_nobody(&world.sample.status.rings, &world.sample.nodes, "10.0.20348");
    assert_eq!(why(&world), "canary-0 is not Ready, and 2 more");
    world.node("canary-0").skip = true;
    assert_eq!(why(&world), "canary-0 has the annotation windlass.dev/skip, and 2 more");
    world.sample.status.rings.truncate(1);
    assert_eq!(names(&world), [of("10.0.20348", &[])], "nodes of no ring do not count");
}
