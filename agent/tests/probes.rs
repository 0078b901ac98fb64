//! Each check of a probe: what it measures, what would pass, its verdict and its sentence, on a machine of which one
//! thing is another than before.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;

use common::{ADDRESS, APIPA, Machine, OLD, Offer, Operator, request};
use jiff::SignedDuration;
use std::time::Duration;
use windlass_agent::host::{Adapter, BitLocker, Disk, HostEndpoint, Route, ServiceProcess, StartMode};
use windlass_protocol::{
    Command, HostCheck, HostProbe, ServiceState,
    Verdict::{self, Fail, Inconclusive, Pass},
};

type Change = fn(&mut Machine);

/// What is changed before the baseline and what after it; verdict, value, threshold, detail.
type Case = (Change, Change, Verdict, &'static str, &'static str, &'static str);

const AS_IT_IS: Change = |_| {};

fn probe(op: &mut Operator) -> Vec<HostCheck> {
    let host = HostProbe { expected_build: OLD, exact: true };
    op.pod(&request("Verify", 1, 1, Command::Probe { host })).expect("an answer").report.checks
}

fn judge(name: &str, before: Change, after: Change) -> HostCheck {
    let mut op = Operator::new(Machine::new(vec![Offer::new("KB5040437")]), &["KB5040437"]);
    before(&mut op.machine);
    let told = op.pod(&request("Baseline", 1, 1, Command::Baseline {})).expect("an answer");
    assert_eq!(told.error(), "");
    op.pass(Duration::from_mins(10));
    after(&mut op.machine);
    probe(&mut op).into_iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no check {name}"))
}

#[track_caller]
fn table(name: &str, cases: &[Case]) {
    for (number, (before, after, verdict, value, threshold, detail)) in cases.iter().enumerate() {
        let seen = judge(name, *before, *after);
        let told = (seen.verdict, seen.value.as_str(), seen.threshold.as_str(), seen.detail.as_str());
        assert_eq!(told, (*verdict, *value, *threshold, *detail), "{name}, case {number}");
    }
    let verdicts: Vec<Verdict> = cases.iter().map(|case| case.2).collect();
    assert!([Pass, Fail, Inconclusive].iter().all(|v| verdicts.contains(v)), "{name}: a verdict was not seen");
}

/// A process of `hns` or another service.
fn process(m: &mut Machine, name: &str, threads: Option<u32>, started_ago: Option<i64>) {
    let started = started_ago.map(|ago| m.now - SignedDuration::from_secs(ago));
    m.condition.processes.insert(name.into(), ServiceProcess { id: 7, threads, started });
}

const UNKNOWN: &str = "0x80004001";

fn unread(call: &str) -> &'static str {
    format!("{call}: {UNKNOWN}").leak()
}

#[test]
fn p3_services() {
    let all = "all 3 that ran before";
    table(
        "services",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, "0 differences", all, "3 run as before"),
            (
                AS_IT_IS,
                |m| _ = m.services.insert("kubelet".into(), ServiceState::Stopped),
                Fail,
                "1 wrong",
                all,
                "kubelet is stopped",
            ),
            (AS_IT_IS, |m| _ = m.services.remove("hns"), Fail, "1 wrong", all, "hns is missing"),
            (
                AS_IT_IS,
                |m| _ = m.condition.starts.insert("kubelet".into(), StartMode::Manual),
                Fail,
                "1 wrong",
                all,
                "kubelet no longer starts by itself (Manual)",
            ),
            (
                |m| _ = m.condition.starts.insert("kubelet".into(), StartMode::Manual),
                AS_IT_IS,
                Pass,
                "0 differences",
                all,
                "3 run as before",
            ),
            (
                |m| _ = m.services.insert("broken".into(), ServiceState::Stopped),
                AS_IT_IS,
                Pass,
                "0 differences",
                all,
                "3 run as before",
            ),
            (
                AS_IT_IS,
                |m| _ = m.services.insert("new".into(), ServiceState::Stopped),
                Pass,
                "0 differences",
                all,
                "3 run as before",
            ),
            (
                AS_IT_IS,
                |m| _ = m.condition.silent.insert("automatic_services"),
                Inconclusive,
                "",
                "",
                unread("automatic_services"),
            ),
        ],
    );
}

/// Servicing's own services run while it works, as it does when the baseline is written: after a search.
#[test]
fn p3_services_that_come_and_go() {
    let busy: Change = |m| {
        for name in ["TrustedInstaller", "BITS", "wuauserv"] {
            m.services.insert(name.into(), ServiceState::Running);
        }
    };
    let idle: Change = |m| {
        m.services.insert("wuauserv".into(), ServiceState::Stopped);
        m.services.retain(|name, _| !["TrustedInstaller", "BITS"].contains(&name.as_str()));
    };
    let seen = judge("services", busy, idle);
    assert_eq!((seen.verdict, seen.detail.as_str()), (Pass, "3 run as before"));
    let mut op = Operator::new(Machine::new(vec![]), &[]);
    busy(&mut op.machine);
    op.pod(&request("Baseline", 1, 1, Command::Baseline {})).expect("an answer");
    let state = op.machine.file(windlass_agent::STATE_FILE).expect("a state");
    assert!(!["TrustedInstaller", "BITS", "wuauserv"].iter().any(|name| state.contains(name)), "{state}");
    // The baseline of an agent that knew none of them.
    let old: Change = |m| {
        m.rewrite_state(
            r#""kubelet":"Running""#,
            r#""kubelet":"Running","trustedinstaller":"Running","BITS":"Running""#,
        );
    };
    let seen = judge("services", AS_IT_IS, old);
    assert_eq!((seen.verdict, seen.detail.as_str()), (Pass, "3 run as before"));
    let seen = judge("services", AS_IT_IS, |m| {
        m.rewrite_state(r#""kubelet":"Running""#, r#""kubelet":"Running","BITS":"Running","Dnscache":"Running""#);
    });
    assert_eq!((seen.verdict, seen.detail.as_str()), (Fail, "Dnscache is missing"));
}

#[test]
fn p3_restarts() {
    let threshold = "no start later than 300 s after the boot and less than that ago";
    let stable = "3 services are stable";
    table(
        "restarts",
        &[
            (AS_IT_IS, |m| process(m, "kubelet", None, Some(595)), Pass, "0 differences", threshold, stable),
            (AS_IT_IS, |m| process(m, "kubelet", None, Some(300)), Pass, "0 differences", threshold, stable),
            (
                AS_IT_IS,
                |m| process(m, "kubelet", None, Some(299)),
                Fail,
                "1 wrong",
                threshold,
                "kubelet was started again 299 s ago",
            ),
            (
                AS_IT_IS,
                |m| {
                    m.booted = m.now - SignedDuration::from_secs(300);
                    process(m, "kubelet", None, Some(1));
                },
                Pass,
                "0 differences",
                threshold,
                stable,
            ),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("boot_time"), Inconclusive, "", "", unread("boot_time")),
        ],
    );
}

#[test]
fn p4_kubelet_and_runtime() {
    let stop: Change = |m| _ = m.services.insert("containerd".into(), ServiceState::Stopped);
    let silent: Change = |m| _ = m.condition.silent.insert("kubelet_health");
    table(
        "runtime",
        &[
            (
                AS_IT_IS,
                AS_IT_IS,
                Pass,
                "answers",
                "answers",
                "the kubelet's /healthz says 200; the container runtime answers",
            ),
            (AS_IT_IS, |m| m.kubelet = 500, Fail, "HTTP 500", "HTTP 200", "the kubelet's /healthz says 500"),
            (
                |m| m.kubelet = 500,
                AS_IT_IS,
                Pass,
                "answers",
                "answers",
                "the kubelet's /healthz says 500; the container runtime answers",
            ),
            (
                AS_IT_IS,
                stop,
                Fail,
                "does not answer",
                "answers",
                "the kubelet's /healthz says 200; the container runtime does not answer",
            ),
            (
                stop,
                AS_IT_IS,
                Pass,
                "does not answer",
                "answers",
                "the kubelet's /healthz says 200; the container runtime does not answer",
            ),
            (AS_IT_IS, silent, Inconclusive, "", "", unread("kubelet_health")),
            (
                |m| _ = m.condition.silent.insert("runtime_answers"),
                |m| m.condition.silent.clear(),
                Pass,
                "",
                "",
                "it could not be read before: runtime_answers: 0x80004001",
            ),
            (
                |m| _ = m.condition.silent.insert("runtime_answers"),
                AS_IT_IS,
                Pass,
                "",
                "",
                "not to be read, now as before: runtime_answers: 0x80004001",
            ),
        ],
    );
}

#[test]
fn p5_host_networks() {
    table(
        "networks",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, "0 lost", "all 2 of before", "all 2 host networks are there"),
            (
                AS_IT_IS,
                |m| m.networks.push("nat".into()),
                Pass,
                "0 lost",
                "all 2 of before",
                "all 2 host networks are there",
            ),
            (
                AS_IT_IS,
                |m| m.networks.retain(|n| n != "Calico"),
                Fail,
                "1 lost",
                "all 2 of before",
                "host networks lost: Calico",
            ),
            (
                AS_IT_IS,
                |m| m.apipa = true,
                Fail,
                "169.254.0.0/16",
                "an address of the network",
                "host network External has an address that the machine gave itself (APIPA)",
            ),
            (
                AS_IT_IS,
                |m| _ = m.condition.silent.insert("host_networks"),
                Inconclusive,
                "",
                "",
                unread("host_networks"),
            ),
        ],
    );
}

#[test]
fn p5_host_network_service() {
    fn endpoint(m: &mut Machine, state: &str) {
        let (id, network, state) = ("e-1".into(), "Calico".into(), state.into());
        m.condition.endpoints.push(HostEndpoint { id, network, ip: None, state });
    }
    let threshold = "at most 200 threads, more than 10 ports, no endpoint in a bad state";
    table(
        "hns",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, "0 differences", threshold, "0 endpoints, 0 threads, 16384 dynamic ports left"),
            (
                AS_IT_IS,
                |m| {
                    process(m, "hns", Some(200), None);
                    m.condition.ports = 11;
                    endpoint(m, "Attached");
                },
                Pass,
                "0 differences",
                threshold,
                "1 endpoints, 200 threads, 11 dynamic ports left",
            ),
            (
                AS_IT_IS,
                |m| process(m, "hns", Some(201), None),
                Fail,
                "1 wrong",
                threshold,
                "hns has 201 threads, which is a deadlock",
            ),
            (AS_IT_IS, |m| m.condition.ports = 10, Fail, "1 wrong", threshold, "10 dynamic ports are left"),
            (AS_IT_IS, |m| endpoint(m, "degraded"), Fail, "1 wrong", threshold, "endpoint e-1 is degraded"),
            (
                AS_IT_IS,
                |m| {
                    endpoint(m, "Destroyed");
                    endpoint(m, "Detached");
                },
                Fail,
                "2 wrong",
                threshold,
                "endpoint e-1 is Destroyed, endpoint e-1 is Detached",
            ),
            (
                AS_IT_IS,
                |m| m.events.push("Service Control Manager/7031/HNS".into()),
                Fail,
                "1 wrong",
                threshold,
                "Service Control Manager/7031/HNS",
            ),
            (
                AS_IT_IS,
                |m| process(m, "hns", None, None),
                Inconclusive,
                "",
                "",
                "the threads of hns could not be counted",
            ),
            (
                AS_IT_IS,
                |m| _ = m.condition.silent.insert("host_endpoints"),
                Inconclusive,
                "",
                "",
                unread("host_endpoints"),
            ),
            (
                |m| _ = m.condition.silent.insert("host_networks"),
                AS_IT_IS,
                Pass,
                "",
                "",
                "not to be read, now as before: host_networks: 0x80004001",
            ),
        ],
    );
}

#[test]
fn p10_events() {
    let none = "0 new kinds";
    table(
        "events",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, none, none, "no new kind of critical event"),
            (AS_IT_IS, |m| m.events.clear(), Pass, none, none, "no new kind of critical event"),
            (
                AS_IT_IS,
                |m| m.events.push("Service Control Manager/7023/SgrmBroker".into()),
                Pass,
                none,
                none,
                "only harmless ones are new: Service Control Manager/7023/SgrmBroker",
            ),
            (
                AS_IT_IS,
                |m| m.events.extend(["BugCheck/1001".into(), "dcom/10016".into(), "disk/153".into()]),
                Fail,
                "2 new kinds",
                none,
                "new: BugCheck/1001, disk/153",
            ),
            (
                AS_IT_IS,
                |m| m.events.push("Service Control Manager/7023/kubelet".into()),
                Fail,
                "1 new kinds",
                none,
                "new: Service Control Manager/7023/kubelet",
            ),
            (
                AS_IT_IS,
                |m| _ = m.condition.silent.insert("critical_events"),
                Inconclusive,
                "",
                "",
                unread("critical_events"),
            ),
        ],
    );
}

#[test]
fn p11_drivers() {
    table(
        "drivers",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, "0 lost", "all 1 of before", "all 1 drivers are there"),
            (
                AS_IT_IS,
                |m| m.condition.drivers[0].version = "2.0.0.0".into(),
                Pass,
                "0 lost",
                "all 1 of before",
                "all 1 drivers are there",
            ),
            (
                AS_IT_IS,
                |m| m.condition.drivers[0].service = "e1000e".into(),
                Fail,
                "1 lost",
                "all 1 of before",
                "drivers lost: vmxnet3",
            ),
            (
                AS_IT_IS,
                |m| m.condition.drivers[0].problem = 43,
                Fail,
                "1 wrong",
                "no device with a problem",
                "vmxnet3 Ethernet Adapter has problem 43",
            ),
            (
                |m| m.condition.drivers[0].problem = 43,
                AS_IT_IS,
                Pass,
                "0 lost",
                "all 1 of before",
                "all 1 drivers are there",
            ),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("drivers"), Inconclusive, "", "", unread("drivers")),
        ],
    );
}

/// The host's side of a virtual network, with the machine's own address: what a bridge makes.
fn bridge(m: &mut Machine) {
    let outer = &mut m.condition.adapters[0];
    let inner = Adapter { name: "vEthernet (Ethernet0)".into(), mac: "02:00:00:00:00:09".into(), ..outer.clone() };
    outer.addresses.clear();
    outer.dns_servers.clear();
    m.condition.adapters.push(inner);
}

fn route(m: &mut Machine, destination: &str, prefix: u8) {
    m.condition.routes.push(Route { destination: destination.parse().expect("an address"), prefix, next_hop: ADDRESS });
}

#[test]
fn p11_adapters_and_routes() {
    let (same, threshold, good) = ("0 differences", "as before the update", "1 adapters are as before");
    table(
        "adapters",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, same, threshold, good),
            (AS_IT_IS, bridge, Pass, same, threshold, good),
            (
                |m| m.condition.adapters[0].dhcp = true,
                |m| m.condition.adapters[0].addresses = vec!["192.0.2.77".parse().expect("an address")],
                Pass,
                same,
                threshold,
                good,
            ),
            (
                AS_IT_IS,
                |m| m.condition.adapters[0].mac = "02:00:00:00:00:02".into(),
                Fail,
                "1 wrong",
                threshold,
                "adapter Ethernet0 (02:00:00:00:00:01) is gone",
            ),
            (AS_IT_IS, |m| m.condition.adapters[0].up = false, Fail, "1 wrong", threshold, "adapter Ethernet0 is down"),
            (
                AS_IT_IS,
                |m| m.condition.adapters[0].addresses = vec![APIPA],
                Fail,
                "2 wrong",
                threshold,
                "adapter Ethernet0 gave itself an address (APIPA), address 192.0.2.10 is gone",
            ),
            (
                AS_IT_IS,
                |m| m.condition.adapters[0].dns_servers.clear(),
                Fail,
                "1 wrong",
                threshold,
                "adapter Ethernet0 lost its name servers",
            ),
            (AS_IT_IS, |m| m.condition.routes.clear(), Fail, "1 wrong", threshold, "the route to 0.0.0.0/0 is gone"),
            (
                |m| route(m, "169.254.169.254", 32),
                |m| m.condition.routes.truncate(1),
                Fail,
                "1 wrong",
                threshold,
                "the route to 169.254.169.254/32 is gone",
            ),
            (|m| route(m, "10.1.0.0", 16), |m| m.condition.routes.truncate(1), Pass, same, threshold, good),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("adapters"), Inconclusive, "", "", unread("adapters")),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("routes"), Inconclusive, "", "", unread("routes")),
        ],
    );
}

#[test]
fn p12_disks() {
    fn attach(m: &mut Machine, name: &str, own: bool) {
        m.condition.disks.push(Disk { name: name.into(), own });
    }
    table(
        "disks",
        &[
            // Windows does not say from which it runs, neither then nor now, or only not now.
            (
                |m| m.condition.disks[0].name = "vol-1".into(),
                AS_IT_IS,
                Pass,
                "0 lost",
                "all 2 of before",
                "all 2 disks are there",
            ),
            (
                AS_IT_IS,
                |m| m.condition.disks[0].name = "vol-2".into(),
                Pass,
                "0 lost",
                "all 1 of before",
                "all 1 disks are there",
            ),
            (AS_IT_IS, AS_IT_IS, Pass, "0 lost", "all 1 of before", "all 1 disks are there"),
            (AS_IT_IS, |m| attach(m, "disk1", true), Pass, "0 lost", "all 1 of before", "all 1 disks are there"),
            // A pod's volume, which the drain took along.
            (
                |m| attach(m, "vol-1", false),
                |m| m.condition.disks.truncate(1),
                Pass,
                "0 lost",
                "all 1 of before",
                "all 1 disks are there",
            ),
            // Back in service, the kubelet has mounted something of what was the machine's own: it is there.
            (
                |m| attach(m, "disk1", true),
                |m| m.condition.disks[1].own = false,
                Pass,
                "0 lost",
                "all 2 of before",
                "all 2 disks are there",
            ),
            (
                |m| attach(m, "disk1", true),
                |m| m.condition.disks.truncate(1),
                Fail,
                "1 lost",
                "all 2 of before",
                "disks lost: disk1",
            ),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("disks"), Inconclusive, "", "", unread("disks")),
        ],
    );
}

/// The baseline of an agent that had the system disk by its number, too; the system was on `vol-1`.
#[test]
fn p12_disks_of_an_old_baseline() {
    fn before(m: &mut Machine) {
        m.condition.disks.extend(["data", "logs"].map(|name| Disk { name: name.into(), own: true }));
    }
    fn old(m: &mut Machine) {
        m.rewrite_state(r#""disks":["system disk","data","logs"]"#, r#""disks":["data","logs","vol-1"]"#);
    }
    type Row = (Change, Verdict, &'static str);
    let unknown: Change = |m| m.condition.disks[0].name = "vol-2".into();
    let rows: [Row; 5] = [
        // The same disk as before, or the one that a restore put in its place: it has no number.
        (AS_IT_IS, Pass, "all 3 disks are there"),
        (|m| m.condition.disks.truncate(2), Fail, "disks lost: logs, vol-1"),
        // Where Windows does not say from which it runs, each has its number.
        (|m| m.condition.disks[0].name = "vol-1".into(), Pass, "all 3 disks are there"),
        (unknown, Fail, "disks lost: vol-1"),
        (
            |m| {
                m.condition.disks[0].name = "vol-1".into();
                m.condition.disks.truncate(2);
            },
            Fail,
            "disks lost: logs",
        ),
    ];
    for (after, verdict, detail) in rows {
        let mut op = Operator::new(Machine::new(vec![]), &[]);
        before(&mut op.machine);
        op.pod(&request("Baseline", 1, 1, Command::Baseline {})).expect("an answer");
        old(&mut op.machine);
        after(&mut op.machine);
        let seen = probe(&mut op).into_iter().find(|c| c.name == "disks").expect("it is judged");
        assert_eq!((seen.verdict, seen.detail.as_str()), (verdict, detail));
    }
}

#[test]
fn p12_bitlocker() {
    fn on(m: &mut Machine) {
        m.bitlocker = BitLocker::On;
    }
    fn suspended(m: &mut Machine) {
        m.bitlocker = BitLocker::Suspended;
    }
    fn off(m: &mut Machine) {
        m.bitlocker = BitLocker::Off;
    }
    fn unknown(m: &mut Machine) {
        m.bitlocker = BitLocker::Unknown;
    }
    table(
        "bitlocker",
        &[
            (off, off, Pass, "Off", "Off", "Off on the system disk, Off before"),
            (on, on, Pass, "On", "On", "On on the system disk, On before"),
            (suspended, on, Pass, "On", "Suspended", "On on the system disk, Suspended before"),
            (on, suspended, Fail, "Suspended", "On", "Suspended on the system disk, On before"),
            (on, off, Fail, "Off", "On", "Off on the system disk, On before"),
            (on, unknown, Inconclusive, "", "", "it could not be told"),
            (unknown, on, Pass, "On", "Unknown", "On on the system disk, Unknown before"),
            (unknown, unknown, Pass, "Unknown", "Unknown", "Unknown on the system disk, Unknown before"),
            (off, |m| _ = m.condition.silent.insert("bitlocker"), Inconclusive, "", "", unread("bitlocker")),
        ],
    );
}

#[test]
fn p12_free_space() {
    let threshold = "2147483648 bytes";
    table(
        "freeSpace",
        &[
            (
                AS_IT_IS,
                |m| m.free = 2 << 30,
                Pass,
                "2147483648 bytes",
                threshold,
                "2147483648 bytes free, 2147483648 are wanted",
            ),
            (
                AS_IT_IS,
                |m| m.free = (2 << 30) - 1,
                Fail,
                "2147483647 bytes",
                threshold,
                "2147483647 bytes free, 2147483648 are wanted",
            ),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("free_bytes"), Inconclusive, "", "", unread("free_bytes")),
        ],
    );
}

#[test]
fn a_reboot_that_is_pending() {
    let (none, pending) = ("no reboot is pending", "a reboot is pending");
    table(
        "reboot",
        &[
            (AS_IT_IS, |m| m.signals.servicing_lingers = true, Pass, none, none, none),
            (AS_IT_IS, |m| m.signals.update_agent = true, Fail, pending, none, pending),
            (AS_IT_IS, |m| m.signals.packages_pending = true, Fail, pending, none, pending),
            (
                AS_IT_IS,
                |m| _ = m.condition.silent.insert("reboot_signals"),
                Inconclusive,
                "",
                "",
                unread("reboot_signals"),
            ),
        ],
    );
}

#[test]
fn p13_clock() {
    let threshold = "less than 300 s";
    table(
        "clock",
        &[
            (
                AS_IT_IS,
                |m| m.clock_ahead = SignedDuration::from_secs(-299),
                Pass,
                "-299 s",
                threshold,
                "-299 s off its time server",
            ),
            (
                AS_IT_IS,
                |m| m.clock_ahead = SignedDuration::from_secs(300),
                Fail,
                "300 s",
                threshold,
                "300 s off its time server",
            ),
            (
                AS_IT_IS,
                |m| m.clock_ahead = SignedDuration::from_secs(-300),
                Fail,
                "-300 s",
                threshold,
                "-300 s off its time server",
            ),
            (AS_IT_IS, |m| m.condition.time_server = false, Pass, "", threshold, "the machine has no time server"),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("clock_ahead"), Inconclusive, "", "", unread("clock_ahead")),
            (
                |m| _ = m.condition.silent.insert("clock_ahead"),
                AS_IT_IS,
                Pass,
                "",
                "",
                "not to be read, now as before: clock_ahead: 0x80004001",
            ),
            (
                |m| _ = m.condition.silent.insert("clock_ahead"),
                |m| {
                    m.condition.silent.clear();
                    m.clock_ahead = SignedDuration::from_secs(300);
                },
                Fail,
                "300 s",
                threshold,
                "300 s off its time server",
            ),
            (
                |m| m.clock_ahead = SignedDuration::from_secs(-900),
                |m| m.clock_ahead = SignedDuration::from_secs(-950),
                Pass,
                "-950 s",
                threshold,
                "-950 s off its time server, -900 s before",
            ),
            (
                |m| m.clock_ahead = SignedDuration::from_secs(900),
                |m| m.clock_ahead = SignedDuration::from_secs(-900),
                Fail,
                "-900 s",
                threshold,
                "-900 s off its time server",
            ),
        ],
    );
}

#[test]
fn p13_domain() {
    fn holds(m: &mut Machine) {
        m.condition.secure_channel = Some(true);
    }
    fn broken(m: &mut Machine) {
        m.condition.secure_channel = Some(false);
    }
    let (good, bad, alone) = ("the secure channel holds", "the secure channel is broken", "in no domain");
    table(
        "domain",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, alone, alone, alone),
            (holds, holds, Pass, good, good, good),
            (holds, broken, Fail, bad, good, bad),
            (holds, |m| m.condition.secure_channel = None, Fail, alone, good, alone),
            (broken, broken, Pass, bad, bad, bad),
            (broken, holds, Pass, good, bad, good),
            (
                holds,
                |m| _ = m.condition.silent.insert("secure_channel"),
                Inconclusive,
                "",
                "",
                unread("secure_channel"),
            ),
        ],
    );
}

#[test]
fn p14_memory() {
    fn grown(lsass: u64, pool: u64) -> &'static str {
        let what = "since the boot, above what it was";
        format!("{what}: LSASS {lsass}, kernel pools {pool} bytes per minute").leak()
    }
    let threshold = "20000000 bytes/min";
    // Ten minutes have passed since the boot.
    table(
        "memory",
        &[
            (AS_IT_IS, AS_IT_IS, Pass, "0 bytes/min", threshold, grown(0, 0)),
            (
                AS_IT_IS,
                |m| m.memory.lsass_bytes += 199_999_990,
                Pass,
                "19999999 bytes/min",
                threshold,
                grown(19_999_999, 0),
            ),
            (
                AS_IT_IS,
                |m| m.memory.lsass_bytes += 200_000_000,
                Fail,
                "20000000 bytes/min",
                threshold,
                grown(20_000_000, 0),
            ),
            (
                AS_IT_IS,
                |m| m.memory.pool_bytes += 200_000_000,
                Fail,
                "20000000 bytes/min",
                threshold,
                grown(0, 20_000_000),
            ),
            (AS_IT_IS, |m| m.memory.lsass_bytes = 1, Pass, "0 bytes/min", threshold, grown(0, 0)),
            (
                AS_IT_IS,
                // Right after a boot, five minutes are assumed.
                |m| {
                    m.booted = m.now;
                    m.memory.pool_bytes += 99_999_995;
                },
                Pass,
                "19999999 bytes/min",
                threshold,
                grown(0, 19_999_999),
            ),
            (AS_IT_IS, |m| _ = m.condition.silent.insert("memory"), Inconclusive, "", "", unread("memory")),
        ],
    );
}

#[test]
fn without_a_baseline_what_compares_is_inconclusive_and_the_rest_is_judged() {
    let mut op = Operator::new(Machine::new(vec![]), &[]);
    for check in probe(&mut op) {
        let alone = ["build", "freeSpace", "reboot", "clock"].contains(&check.name.as_str());
        let wanted = if alone { Pass } else { Inconclusive };
        assert_eq!(check.verdict, wanted, "{check:?}");
        assert!(alone || check.detail == "there is no baseline to compare with", "{check:?}");
    }
}
