//! Files, lines and folders. That the words are the API server's is checked by the end-to-end tests, on its own answers.

use super::*;

const RING: &str = "apiVersion: windlass.dev/v1alpha1
kind: UpdateRing
metadata:
  name: canary
spec:
  policyName: standard
  nodeSelector:
    matchLabels: {pool: canary}
  soak:
    duration: 1h
";

fn complaints(text: &str) -> Vec<String> {
    parse(&Kinds::default(), "ring.yaml", text).err().into_iter().flatten().map(|c| c.to_string()).collect()
}

#[test]
fn a_good_manifest_gets_its_defaults() {
    let manifests = parse(&Kinds::default(), "ring.yaml", RING).unwrap();
    let [ring] = &manifests[..] else { panic!("{manifests:?}") };
    assert_eq!((ring.kind(), ring.name(), ring.line), ("UpdateRing", "canary", 1));
    assert_eq!(ring.object["spec"]["batch"]["maxUnavailable"], 1);
    assert_eq!(ring.object["spec"]["soak"]["interval"], "5m");
    assert!(ring.typed::<crate::api::UpdateRing>().is_some());
    assert!(ring.typed::<crate::api::UpdatePolicy>().is_none());
}

#[test]
fn a_complaint_names_file_line_and_field() {
    let cases = [
        (
            ("duration: 1h", "duration: 61d"),
            "ring.yaml: line 10: spec.soak.duration: Invalid value: \"61d\": must be at most 60d",
        ),
        (
            ("duration: 1h", "durations: 1h"),
            "ring.yaml: line 10: spec.soak.durations: unknown field \"spec.soak.durations\", expected one of duration, failureThreshold, interval, maxRebooting, minUpdated",
        ),
        (("  policyName: standard\n", ""), "ring.yaml: line 5: spec.policyName: Required value"),
        (
            ("kind: UpdateRing", "kind: UpdateRang"),
            "ring.yaml: line 2: kind: no matches for kind \"UpdateRang\" in version \"windlass.dev/v1alpha1\", expected one of NodeSnapshot, ",
        ),
        (
            ("windlass.dev/v1alpha1", "windlass.dev/v1"),
            "ring.yaml: line 1: apiVersion: no matches for kind \"UpdateRing\" in version \"windlass.dev/v1\", expected windlass.dev/v1alpha1",
        ),
        (
            ("windlass.dev/v1alpha1", "windlas.dev/v1alpha1"),
            "ring.yaml: line 1: apiVersion: no matches for kind \"UpdateRing\" in version \"windlas.dev/v1alpha1\", expected windlass.dev/v1alpha1",
        ),
        (
            ("name: canary", "name: {{ .Values.ring }}"),
            "ring.yaml: line 4: .: a template is no manifest yet: render it first",
        ),
        (("name: canary", "? [a]\n  : b"), "ring.yaml: line 4: .: the name of a field must be a text"),
        (
            ("{pool: canary}", "{pool: 'no value'}"),
            "ring.yaml: line 8: spec.nodeSelector.matchLabels: Invalid value: keys must be label names such as example.com/pool, values at most 63 letters, digits, '-', '_' or '.'",
        ),
        (
            ("name: canary\n", "name: Canary\n"),
            "ring.yaml: line 4: metadata.name: Invalid value: \"Canary\": a lowercase RFC 1123",
        ),
        (("  soak:", "\tsoak:"), "ring.yaml: line 9"),
    ];
    for ((from, to), expected) in cases {
        let found = complaints(&RING.replace(from, to));
        assert!(found.first().is_some_and(|first| first.starts_with(expected)), "{expected}\n{found:#?}");
    }
}

#[test]
fn each_document_is_looked_at_and_empty_ones_are_not() {
    let second = RING.replace("1h", "61d");
    let found = complaints(&format!("# a comment\n---\n{RING}---\n---\n{second}"));
    assert_eq!(found, ["ring.yaml: line 24: spec.soak.duration: Invalid value: \"61d\": must be at most 60d"]);
}

/// A List of two rings, the second one in a List of its own.
fn list() -> String {
    let item = |text: &str| {
        let indented: Vec<_> = text.lines().map(|line| format!("  {line}")).collect();
        format!("- {}\n", indented.join("\n").trim_start())
    };
    let inner = "apiVersion: v1\nkind: List\nitems:\n";
    let inner = format!("{inner}{}", item(&RING.replace("canary", "early")));
    format!("apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: \"\"}}\nitems:\n{}{}", item(RING), item(&inner))
}

#[test]
fn the_items_of_a_list_are_taken_as_if_they_stood_alone() {
    let manifests = parse(&Kinds::default(), "list.yaml", &list()).unwrap_or_else(|e| panic!("{e:#?}\n{}", list()));
    let places: Vec<_> = manifests.iter().map(|m| (m.name(), m.field.as_str(), m.line)).collect();
    assert_eq!(places, [("canary", "items[0]", 5), ("early", "items[1].items[0]", 18)]);
    assert_eq!(manifests[1].object["spec"]["soak"]["interval"], "5m", "with defaults");
    assert_eq!(
        complaints(&list().replace("duration: 1h", "durations: 1h"))[1],
        "ring.yaml: line 27: items[1].items[0].spec.soak.durations: unknown field \"spec.soak.durations\", \
         expected one of duration, failureThreshold, interval, maxRebooting, minUpdated"
    );
    let of_a_kind =
        "apiVersion: windlass.dev/v1alpha1\nkind: UpdateHoldList\nitems:\n- metadata: {name: h}\n  spec: {}\n";
    assert_eq!(complaints(of_a_kind)[0], "ring.yaml: line 5: items[0].spec.reason: Required value");
    let cases = [
        (
            "itms: []",
            "ring.yaml: line 3: itms: unknown field \"itms\", expected one of apiVersion, items, kind, metadata",
        ),
        ("metadata: {}", "ring.yaml: line 1: items: Required value"),
        ("items: {}", "ring.yaml: line 3: items: must be a list of objects"),
        ("items: [{kind: UpdateHold}]", "ring.yaml: line 3: items[0].apiVersion: apiVersion not set"),
    ];
    for (rest, expected) in cases {
        assert_eq!(complaints(&format!("apiVersion: v1\nkind: List\n{rest}\n")), [expected]);
    }
}

#[test]
fn objects_of_other_groups_are_passed_on() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, whatever: 1}\n";
    let manifests = parse(&Kinds::default(), "x", text).unwrap();
    assert_eq!(manifests[0].kind(), "Namespace");
}

#[test]
fn the_examples_are_good() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    let manifests = load(&demo).unwrap_or_else(|complaints| panic!("{complaints:#?}"));
    assert!(manifests.iter().any(|manifest| manifest.kind() == "UpdateRollout"));
}

#[test]
fn an_object_may_stand_there_once_only() {
    let folder = std::env::temp_dir().join(format!("windlass-manifests-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    std::fs::write(folder.join("a.yaml"), RING).unwrap();
    std::fs::write(folder.join("deeper/b.yml"), RING).unwrap();
    std::fs::write(folder.join("notes.txt"), "not a manifest").unwrap();
    let complaints = load(&folder).unwrap_err();
    std::fs::remove_dir_all(&folder).unwrap();
    let [one] = &complaints[..] else { panic!("{complaints:?}") };
    assert!(one.file.ends_with("b.yml") && one.message.contains("a.yaml already, line 1"), "{one}");
}

#[test]
fn a_missing_file_is_named() {
    let complaints = load(Path::new("no-such-folder")).unwrap_err();
    assert_eq!(complaints[0].to_string(), "no-such-folder: no such file or folder");
}

/// The cases that the end-to-end tests put to a real API server, one file for each kind.
const CASES: &str = "tests/e2e/src/admission/cases";

/// The cases of a kind, by its file: the kind's name is that of the schema, in small letters.
fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(CASES);
    let kinds: Vec<_> = crate::api::crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    let read = |kind: String| {
        let file = folder.join(format!("{}.yaml", kind.to_lowercase()));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (kind, serde_saphyr::from_str(&text).unwrap())
    };
    kinds.into_iter().map(read).collect()
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    serde_json::json!({"apiVersion": "windlass.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn merge(base: &mut Value, change: &Value) {
    let Value::Object(changes) = change else { return *base = change.clone() };
    if !base.is_object() {
        *base = serde_json::json!({});
    }
    for (name, change) in changes {
        if change.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut base[name], change);
        }
    }
}

#[test]
fn what_the_api_server_accepts_is_accepted() {
    let kinds = Kinds::default();
    for (kind, cases) in cases() {
        for spec in cases["accepted"].as_array().unwrap() {
            let admitted = kinds.admit(object(&kind, "x", spec));
            assert!(admitted.is_ok(), "{kind}: {admitted:?}");
        }
    }
}

#[test]
fn what_the_api_server_refuses_is_refused_with_its_words() {
    let kinds = Kinds::default();
    for (kind, cases) in cases() {
        for case in cases["refused"].as_array().into_iter().flatten() {
            let mut spec = cases["accepted"][0].clone();
            merge(&mut spec, case.get("change").unwrap_or(&serde_json::json!({})));
            let errors = kinds.admit(object(&kind, case["name"].as_str().unwrap_or("x"), &spec)).unwrap_err();
            let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
            let (field, allowed) = case["says"].as_str().unwrap().split_once(" ... ").unwrap();
            assert!(said.iter().any(|one| one.contains(field) && one.contains(allowed)), "{kind}: {case}\n{said:#?}");
        }
    }
}
