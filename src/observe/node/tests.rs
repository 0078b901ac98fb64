use super::*;
use serde_json::{Value, json};

fn node(change: impl FnOnce(&mut Value)) -> Node {
    let mut value = json!({
        "metadata": {
            "name": "win-7", "uid": "u-7", "resourceVersion": "41",
            "labels": {"kubernetes.io/os": "windows"},
            "annotations": {"other.io/x": "1"},
        },
        "spec": {"providerID": "simulated://win-7"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-22T10:00:00Z",
                            "lastTransitionTime": "2026-11-22T09:00:00Z"}],
            "nodeInfo": {"kernelVersion": "10.0.20348.2527", "bootID": "b-1", "systemUUID": "s-1", "architecture": "amd64",
                "containerRuntimeVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "",
                "operatingSystem": "windows", "osImage": ""},
            "images": [{"names": ["a"]}],
        },
    });
    change(&mut value);
    serde_json::from_value(value).expect("a Node")
}

#[test]
fn a_node_is_read_as_facts() {
    let seen = read(&node(|_| {}));
    assert_eq!(
        seen.node,
        NodeRef {
            name: "win-7".into(),
            uid: "u-7".into(),
            provider_id: "simulated://win-7".into(),
            system_uuid: "s-1".into()
        }
    );
    assert_eq!(seen.build.map(|b| b.to_string()).as_deref(), Some("10.0.20348.2527"));
    assert!(seen.available() && seen.readiness.is_ready());
    assert_eq!(seen.boot_id, "b-1");
    assert!(!seen.skip && !seen.keep_cordoned && !seen.quarantined && !seen.cordoned_by_us);
}

#[test]
fn what_people_and_we_wrote_on_it_is_read() {
    let seen = read(&node(|n| {
        n["metadata"]["annotations"] = json!({
            CLAIMED_BY: "nu-1", CORDONED_BY_US: "true", KEEP_CORDONED: "", SKIP: "true",
        });
        n["spec"]["unschedulable"] = json!(true);
        n["spec"]["taints"] = json!([{"key": QUARANTINE, "effect": "NoSchedule"}]);
        n["status"]["volumesAttached"] = json!([{"name": "b", "devicePath": ""}, {"name": "a", "devicePath": ""}]);
    }));
    assert_eq!(seen.claimed_by.as_deref(), Some("nu-1"));
    assert!(seen.cordoned_by_us && seen.keep_cordoned && seen.skip && seen.quarantined && seen.unschedulable);
    assert!(!seen.available());
    assert_eq!(seen.volumes_attached, ["a", "b"]);
}

#[test]
fn the_machine_is_what_the_node_says_or_what_a_person_wrote_in_its_place() {
    let of = |own: &str, written: Option<&str>| {
        let seen = read(&node(|n| {
            n["spec"] = if own.is_empty() { json!({}) } else { json!({"providerID": own}) };
            n["metadata"]["annotations"] = written.map_or(json!({}), |written| json!({PROVIDER_ID: written}));
        }));
        seen.node.provider_id
    };
    assert_eq!(of("", None), "");
    assert_eq!(of("", Some("kubevirt://vm-7")), "kubevirt://vm-7");
    assert_eq!(of("rke2://win-7", Some("kubevirt://vm-7")), "kubevirt://vm-7");
    assert_eq!(of("rke2://win-7", Some("vm-7")), "vm-7", "for the provider to refuse by name");
    assert_eq!(of("kubevirt://vm-7", Some("kubevirt://vm-8")), "kubevirt://vm-7", "no node points at another machine");
}

#[test]
fn what_is_missing_or_strange_is_never_taken_for_good() {
    let seen = read(&node(|n| n["status"] = json!({})));
    assert_eq!((seen.build, seen.readiness), (None, Readiness::Unknown));
    let seen = read(&node(|n| n["status"]["nodeInfo"]["kernelVersion"] = json!("5.15.0-91-generic")));
    assert_eq!(seen.build, None);
    for status in ["False", "Unknown"] {
        let seen = read(&node(|n| n["status"]["conditions"][0]["status"] = json!(status)));
        assert!(matches!(seen.readiness, Readiness::NotReady(_)), "{status}");
    }
}

#[test]
fn another_object_under_the_name_is_told_from_the_same_machine() {
    let meant = read(&node(|_| {})).node;
    let found = |change: fn(&mut Value)| seen(&meant, Some(read(&node(change))));
    assert!(matches!(found(|_| {}), NodeSeen::Here(_)));
    assert!(matches!(found(|n| n["metadata"]["uid"] = json!("u-8")), NodeSeen::Replaced { same_machine: true, .. }));
    // A cloud controller sets it some time later, and an annotation went with the object that had it.
    for id in ["", "rke2://win-7"] {
        let mut late = node(|n| n["metadata"]["uid"] = json!("u-8"));
        late.spec.as_mut().expect("a spec").provider_id = Some(id.to_owned());
        let late = seen(&meant, Some(read(&late)));
        assert!(matches!(late, NodeSeen::Replaced { same_machine: true, .. }), "{id:?}");
    }
    let other = found(|n| {
        n["metadata"]["uid"] = json!("u-8");
        n["status"]["nodeInfo"]["systemUUID"] = json!("");
        n["spec"]["providerID"] = json!("simulated://win-8");
    });
    assert!(matches!(other, NodeSeen::Replaced { same_machine: false, .. }));
    let fresh = found(|n| {
        n["metadata"]["uid"] = json!("u-8");
        n["status"]["nodeInfo"]["systemUUID"] = json!("s-8");
    });
    assert!(matches!(fresh, NodeSeen::Replaced { same_machine: false, .. }), "the cloud has put another machine there");
    let silent = found(|n| {
        n["metadata"]["uid"] = json!("u-8");
        n["status"]["nodeInfo"]["systemUUID"] = json!("");
    });
    assert!(matches!(silent, NodeSeen::Replaced { same_machine: true, .. }), "it has not said who it is");
    assert_eq!(seen(&meant, None), NodeSeen::Gone);
    let nameless = NodeRef { provider_id: String::new(), system_uuid: String::new(), uid: "x".into(), ..meant.clone() };
    let without = read(&node(|n| n["spec"] = json!({})));
    assert_eq!(seen(&nameless, Some(without)), NodeSeen::Gone, "until somebody can tell, as if it were not there");
}

#[test]
fn heartbeats_change_no_fingerprint_and_facts_do() {
    let base = fingerprint(&node(|_| {}));
    let quiet: [fn(&mut Value); 4] = [
        |n| n["status"]["conditions"][0]["lastHeartbeatTime"] = json!("2026-11-22T10:00:10Z"),
        |n| n["metadata"]["resourceVersion"] = json!("42"),
        |n| n["metadata"]["annotations"]["other.io/x"] = json!("2"),
        |n| n["status"]["images"] = json!([]),
    ];
    for change in quiet {
        assert_eq!(fingerprint(&node(change)), base);
    }
    let loud: [fn(&mut Value); 9] = [
        |n| n["status"]["conditions"][0]["status"] = json!("Unknown"),
        |n| n["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-11-22T10:00:00Z"),
        |n| n["status"]["nodeInfo"]["bootID"] = json!("b-2"),
        |n| n["status"]["nodeInfo"]["kernelVersion"] = json!("10.0.20348.2700"),
        |n| n["spec"]["unschedulable"] = json!(true),
        |n| n["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]),
        |n| n["metadata"]["labels"]["pool"] = json!("a"),
        |n| n["metadata"]["annotations"]["windlass.dev/skip"] = json!("true"),
        |n| n["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z"),
    ];
    for change in loud {
        assert_ne!(fingerprint(&node(change)), base);
    }
}

#[test]
fn trimming_changes_no_fact_and_nothing_that_others_wrote() {
    let whole = node(|n| {
        n["status"]["volumesAttached"] = json!([{"name": "a", "devicePath": ""}]);
        n["status"]["conditions"].as_array_mut().expect("a list").insert(0, json!({"type": "Other", "status": "True"}));
        n["spec"]["taints"] = json!([{"key": "theirs", "effect": "NoSchedule"}]);
    });
    let mut small = whole.clone();
    trim(&mut small);
    let size = |node: &Node| serde_json::to_string(&node.status).expect("JSON").len();
    assert!(size(&small) < size(&whole));
    assert_eq!((read(&small), fingerprint(&small)), (read(&whole), fingerprint(&whole)));
    assert_eq!((&small.metadata, &small.spec), (&whole.metadata, &whole.spec));
}
