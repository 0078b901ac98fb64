//! Bad input: exit code 40, one line that names the field, nothing touched.

use crate::common::request;
use crate::field::{Field, NODE, arm_command, stage_command};
use windlass_protocol::{Command, MAX_REQUEST_BYTES, Request, Source, exit};

#[test]
fn bad_input_names_the_field_and_touches_nothing() {
    let field = Field::new("bad-input");
    let good = request("Stage", 1, 1, stage_command());
    let raw = serde_json::to_string(&good).expect("JSON");
    let changed = |from: &str, to: &str| {
        assert!(raw.contains(from), "{raw} has no {from}");
        encode(raw.replace(from, to).as_bytes())
    };
    let huge = encode(&vec![b' '; MAX_REQUEST_BYTES + 1]);
    let offline = |folder: &str| {
        let mut bad = good.clone();
        let Command::Stage { source, .. } = &mut bad.command else { panic!("it stages") };
        *source = Source::Offline { folder: folder.into(), manifest_sha256: "0".repeat(64) };
        bad.to_arg()
    };
    let cases: Vec<(&str, String, &str)> = vec![
        ("another node", changed(&format!("\"node\":\"{NODE}\""), "\"node\":\"win-8\""), "node: meant for win-8"),
        ("another version", changed("\"version\":1", "\"version\":2"), "version: 2 asked"),
        ("unknown KB form", changed("KB5040437", "kb5040437"), "command.stage.updates[0].kb: "),
        ("unknown field", changed("\"nonceA\"", "\"nonceC\""), "nonceC"),
        ("oversize", huge, "request: "),
        ("not base64", "%%%".into(), "request: not base64"),
        ("invalid UTF-8", encode(b"{\"version\":\"\xff\"}"), "request: invalid utf-8"),
        ("a file elsewhere", r"C:\Windows\win.ini".into(), "request: C:\\Windows\\win.ini is outside of "),
        ("a file beside", r"..\request.json".into(), "request: ..\\request.json is outside of "),
        ("a folder elsewhere", offline(r"C:\Windows\Temp"), "source.folder: C:\\Windows\\Temp is outside of "),
        ("a folder beside", offline(r"C:\ProgramData\Windlass\packages\..\x"), "source.folder: "),
    ];
    for (what, value, names) in cases {
        let ended = field.pod(&["stage", "--request", &value]);
        assert_eq!(ended.code, Some(exit::BAD_REQUEST), "{what}: {ended:?}");
        assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{what}: one line: {ended:?}");
        assert!(ended.stderr.contains(names), "{what}: {} should say {names}", ended.stderr);
    }
    for args in [vec![], vec!["stage"], vec!["stage", "--file", "x"], vec!["arm", "--request", &good.to_arg()]] {
        assert_eq!(field.pod(&args).code, Some(exit::BAD_REQUEST), "{args:?}");
    }
    field.machine(|m| assert_eq!((m.calls, m.disk.files.len()), (0, 0), "nothing was touched"));
}

/// On EC2 the Node is `ip-10-0-1-5.eu-central-1.compute.internal`, and the machine `ec2amaz-...`.
#[test]
fn a_node_need_not_have_its_machines_name() {
    let field = Field::new("names");
    let mut request = request("Scan", 1, 1, Command::Scan { source: Source::WindowsUpdate });
    for (told, asked, code) in [
        (Some("ip-10-0-1-5.eu-central-1.compute.internal"), "ip-10-0-1-5.eu-central-1.compute.internal", exit::DONE),
        (Some("ip-10-0-1-5.eu-central-1.compute.internal"), "ec2amaz-7", exit::BAD_REQUEST),
        // A person runs it: nobody tells it another name than its own.
        (None, "EC2AMAZ-7", exit::DONE),
        (Some(""), "ec2amaz-7", exit::DONE),
        (None, "ip-10-0-1-5.eu-central-1.compute.internal", exit::BAD_REQUEST),
    ] {
        asked.clone_into(&mut request.node);
        let ended = field.ask_node(told, &request);
        assert_eq!(ended.code, Some(code), "told {told:?}, asked for {asked}: {ended:?}");
    }
}

#[test]
fn a_stale_challenge_is_refused_and_touches_nothing() {
    let field = Field::new("stale");
    let ask = |step: &str, attempt, challenge: &str, command: Command| {
        let mut request: Request = request(step, 1, attempt, command);
        challenge.clone_into(&mut request.ticket.challenge);
        field.ask(&request)
    };
    field.machine(|m| m.install_hangs = true);
    assert_eq!(ask("Stage", 1, "s", stage_command()).code, Some(exit::DONE));
    field.machine(|m| m.install_fails = vec![0x8007_0643]);
    assert_eq!(ask("Install", 2, "c", arm_command()).code, Some(exit::PERMANENT));
    field.until("the task is off", |m| !m.disk.task && !m.task_runs);
    let calls = field.machine(|m| m.calls);
    for (attempt, challenge, names) in [(1, "b", "ticket.attempt: stale"), (2, "d", "ticket.challenge: stale")] {
        let late = ask("Install", attempt, challenge, arm_command());
        assert_eq!((late.code, late.stdout.as_str()), (Some(exit::BAD_REQUEST), ""), "{late:?}");
        assert!(late.stderr.contains(names), "{}", late.stderr);
    }
    assert_eq!(field.machine(|m| m.calls), calls, "nothing was touched");
}

#[test]
fn the_version_is_told() {
    let ended = Field::new("version").pod(&["--version"]);
    assert_eq!(ended.code, Some(exit::DONE));
    assert!(ended.stdout.starts_with(concat!("windlass-agent ", env!("CARGO_PKG_VERSION"), " (")), "{}", ended.stdout);
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}
