//! The building rules of docs/architecture.md, checked on the source: who may import whom, what deciding must not touch,
//! and how long files and functions may be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop the test")]

#[path = "architecture/source.rs"]
mod source;

use source::{Source, workspace_sources};

/// Each room of the operator and the rooms it may import. `main.rs` and `lib.rs` may import all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("domain", &["api"]),
    // What is refused at the door, and nothing that is decided behind it.
    ("manifest", &["api"]),
    ("plan", &["api", "domain"]),
    ("ports", &["api", "domain"]),
    ("providers", &["api", "domain", "ports"]),
    ("observe", &["api", "domain", "plan", "ports"]),
    ("record", &["api", "domain", "plan"]),
    // Never plan: what to do is decided before, and comes as an argument.
    ("act", &["api", "domain", "ports", "record", "observe"]),
    ("config", &[]),
    ("telemetry", &["api", "config", "domain"]),
    // Never providers: `main` alone names a concrete one.
    ("controllers", &["api", "domain", "plan", "ports", "observe", "record", "act", "config", "telemetry"]),
    // The operator as it is, above a cluster that is not there: it stands where `main` stands.
    (
        "simulate",
        &[
            "api",
            "domain",
            "plan",
            "ports",
            "observe",
            "record",
            "act",
            "config",
            "telemetry",
            "controllers",
            "providers",
            "manifest",
        ],
    ),
];

/// Rooms that decide: pure, so without client, clock, sleep and environment.
const PURE_ROOMS: &[&str] = &["api", "domain", "plan"];

/// What a pure room must not name, as the last parts of a path.
const IMPURE: &[&str] = &[
    "kube::Client",
    "kube::Api",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "Instant::now",
    "time::sleep",
    "thread::sleep",
    "env::var",
    "env::var_os",
];

/// Longest file, in lines before its tests.
const FILE_LINES: usize = 400;
/// Longest `src/main.rs`: it only reads flags and wires.
const MAIN_LINES: usize = 150;
/// Longest function, in lines from signature to closing brace.
const FUNCTION_LINES: usize = 60;
/// Functions that may be longer, as `<file>::<function>`, each with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for source in rooms() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| *room == source.room) else {
            wrong.push(format!("{}: the room `{}` has no rule here", source.path, source.room));
            continue;
        };
        let imported = source.imported_rooms();
        let known = imported.iter().filter(|room| MAY_IMPORT.iter().any(|(name, _)| name == room));
        let forbidden = known.filter(|room| **room != source.room && !allowed.contains(&room.as_str()));
        wrong.extend(forbidden.map(|room| format!("{}: `{}` must not import `{room}`", source.path, source.room)));
    }
    assert_none(&wrong);
}

#[test]
fn deciding_touches_nothing() {
    let mut wrong = Vec::new();
    for source in rooms().into_iter().filter(|source| PURE_ROOMS.contains(&source.room.as_str())) {
        for path in &source.paths {
            let named = IMPURE.iter().filter(|impure| path == *impure || path.ends_with(&format!("::{impure}")));
            wrong.extend(named.map(|_| format!("{}: names {path}", source.path)));
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_are_short() {
    let limit = |source: &Source| if source.path == "src/main.rs" { MAIN_LINES } else { FILE_LINES };
    let sources = workspace_sources();
    let long = sources.iter().filter(|source| source.production_lines > limit(source));
    let line =
        |source: &Source| format!("{}: {} lines, at most {}", source.path, source.production_lines, limit(source));
    assert_none(&long.map(line).collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let sources = workspace_sources();
    let functions =
        || sources.iter().flat_map(|source| source.functions.iter().map(move |function| (source, function)));
    let name = |source: &Source, function: &str| format!("{}::{function}", source.path);
    let excepted = |name: &str| LONG_FUNCTIONS.iter().any(|(exception, _)| *exception == name);
    let long = functions().filter(|(_, (_, lines))| *lines > FUNCTION_LINES);
    let wrong =
        long.map(|(source, (function, lines))| (name(source, function), lines)).filter(|(name, _)| !excepted(name));
    assert_none(
        &wrong.map(|(name, lines)| format!("{name}: {lines} lines, at most {FUNCTION_LINES}")).collect::<Vec<_>>(),
    );
    let needless = LONG_FUNCTIONS.iter().filter(|(exception, _)| {
        !functions().any(|(source, (function, lines))| *lines > FUNCTION_LINES && name(source, function) == *exception)
    });
    assert_none(&needless.map(|(name, _)| format!("{name} is short: no exception needed")).collect::<Vec<_>>());
}

/// A rule that reads no file would always hold.
#[test]
fn the_rules_see_the_source() {
    let sources = workspace_sources();
    for member in ["src/", "agent/", "probe/", "protocol/", "winfleet/", "xtask/"] {
        assert!(sources.iter().any(|source| source.path.starts_with(member)), "no source of {member}");
    }
    let crdgen = sources.iter().find(|source| source.path == "xtask/src/crdgen.rs").unwrap();
    assert!(crdgen.paths.iter().any(|path| path == "windlass::api::crds"), "{:?}", crdgen.paths);
    assert!(crdgen.functions.iter().any(|(name, lines)| name == "write" && *lines > 5), "{:?}", crdgen.functions);
    assert!(!crdgen.functions.iter().any(|(name, _)| name == "every_kind_of_difference_is_named"));
}

#[test]
fn paths_are_resolved_to_rooms() {
    let text = "use crate::{api::Kind, domain}; use super::super::super::plan::decide; use super::sibling;\n\
        fn f() -> crate::ports::Port { crate::record::write(std::env::var(\"X\")) }\n\
        #[cfg(test)] mod tests { use crate::controllers; }";
    let source = Source::parse("src/act/deep/file.rs", text).unwrap();
    let rooms: Vec<_> = source.imported_rooms().into_iter().collect();
    assert_eq!(rooms, ["act", "api", "domain", "plan", "ports", "record"]);
    assert!(source.paths.contains(&"std::env::var".to_owned()));
}

fn rooms() -> Vec<Source> {
    workspace_sources().into_iter().filter(|source| !source.room.is_empty()).collect()
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
