//! `selftest`: what of the agent works on this machine. It changes nothing but a file of its own, which it removes, and
//! one line in the event log.

use super::border::{system_program, unexpected};
use super::{Mutex, WindowsHost, host_name, power, trust};
use crate::host::{
    Clock, Disks, Drivers, EventSpan, Events, Files, HostResult, Identity, Job, Memory, Network, Power, Registry,
    Runtime, Services, Tasks, Updates,
};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use windlass_protocol::Source;

/// What was seen of one concern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The concern (`registry`, `updates search`, ...).
    pub name: &'static str,
    /// Whether it works.
    pub verdict: Verdict,
    /// What was seen, or why it does not work.
    pub detail: String,
}

/// Whether a concern works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered as it should.
    Works,
    /// It did not.
    DoesNot,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = match self.verdict {
            Verdict::Works => "works",
            Verdict::DoesNot => "does not",
        };
        write!(f, "{:<17} {verdict:<9} {}", self.name, self.detail)
    }
}

/// How long a search may take here, ours. A machine's first one may take longer: that says so.
const SEARCH: Duration = Duration::from_mins(5);

type Check = fn(&mut WindowsHost) -> HostResult<String>;

/// All checks, each with its name.
const CHECKS: &[(&str, Check)] = &[
    ("name", |_| host_name()),
    ("registry", |host| Ok(host.build()?.to_string())),
    ("policy", |host| Ok(format!("{:?}", host.update_policy()?))),
    ("reboot signals", |host| Ok(format!("{:?}", host.reboot_signals()?))),
    ("state folder", state_folder),
    ("mutex", mutex),
    ("services", |host| Ok(format!("{} start by themselves", host.automatic_services()?.len()))),
    ("service", |host| {
        Ok(host.service("kubelet")?.map_or_else(|| "there is no kubelet".to_owned(), |s| format!("kubelet: {s:?}")))
    }),
    ("scheduled task", |host| Ok(format!("{:?}", host.task()?))),
    ("events read", |host| Ok(format!("{} kinds since the boot", host.critical_events(EventSpan::SinceBoot)?.len()))),
    ("events write", |host| host.write_event(false, "selftest").map(|()| "one line was written".to_owned())),
    ("host networks", |host| Ok(named(host.host_networks()?.into_iter().map(|n| n.name)))),
    ("host endpoints", |host| Ok(format!("{}", host.host_endpoints()?.len()))),
    ("adapters", |host| Ok(named(host.adapters()?.into_iter().map(|a| a.name)))),
    ("routes", |host| Ok(format!("{}", host.routes()?.len()))),
    ("dynamic ports", |host| Ok(format!("{} left", host.dynamic_ports_left()?))),
    ("dns", |host| Ok(format!("{:?}", host.resolve(&host_name()?)?))),
    ("kubelet", |host| Ok(format!("/healthz: {}", host.kubelet_health()?))),
    ("container runtime", |host| Ok(format!("takes connections: {}", host.runtime_answers()?))),
    ("disks", |host| Ok(named(host.disks()?.into_iter().map(|d| d.name)))),
    ("free space", |host| Ok(format!("{} bytes", host.free_bytes()?))),
    ("bitlocker", |host| Ok(format!("{:?}", host.bitlocker()?))),
    ("drivers", |host| Ok(named(host.drivers()?.into_iter().map(|d| d.service)))),
    ("clock", |host| {
        Ok(host.clock_ahead()?.map_or_else(|| "no time server is set".to_owned(), |d| format!("ahead by {d:#}")))
    }),
    ("secure channel", |host| {
        Ok(host.secure_channel()?.map_or_else(|| "in no domain".to_owned(), |holds| format!("holds: {holds}")))
    }),
    ("certificate", |host| {
        Ok(host.kubelet_certificate_ends()?.map_or_else(|| "none was found".to_owned(), |end| format!("until {end}")))
    }),
    ("domain password", |host| {
        Ok(host.machine_password_due()?.map_or_else(|| "is not changed".to_owned(), |due| format!("due {due}")))
    }),
    ("memory", |host| Ok(format!("{:?}", host.memory()?))),
    ("boot", |host| Ok(format!("number {}, at {}", host.boot_id()?, host.boot_time()?))),
    ("battery", |host| Ok(format!("in use: {}", host.on_battery()?))),
    ("shutdown right", |_| power::enable_shutdown().map(|()| "held".to_owned())),
    ("signatures", signatures),
    ("component store", |host| Ok(format!("{:?}", host.component_store()?))),
    ("servicing", |host| Ok(format!("busy: {}", host.servicing_busy()?))),
    ("updates history", |host| Ok(format!("{} of the latest 10", host.update_history(10)?.len()))),
    ("updates search", search),
];

/// Tries everything that can be tried without changing the machine.
pub fn selftest(host: &mut WindowsHost) -> Vec<Finding> {
    CHECKS.iter().map(|(name, check)| finding(name, check(host))).collect()
}

fn finding(name: &'static str, result: HostResult<String>) -> Finding {
    match result {
        Ok(detail) => Finding { name, verdict: Verdict::Works, detail },
        Err(e) => Finding { name, verdict: Verdict::DoesNot, detail: e.to_string() },
    }
}

fn named(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn state_folder(host: &mut WindowsHost) -> HostResult<String> {
    const NAME: &str = "selftest";
    for content in [b"first".as_slice(), b"second"] {
        host.replace(NAME, content)?;
        if host.read(NAME)?.as_deref() != Some(content) {
            return Err(unexpected("state folder: what was written is not read back"));
        }
    }
    host.remove(NAME)?;
    Ok("written, replaced, removed".to_owned())
}

fn mutex(_: &mut WindowsHost) -> HostResult<String> {
    const NAME: &str = "windlass-selftest";
    let held = Mutex::acquire(NAME)?.ok_or_else(|| unexpected("mutex: another selftest runs"))?;
    drop(held);
    if Mutex::is_held(NAME)? {
        Err(unexpected("mutex: is held after it was let go"))
    } else {
        Ok("taken and let go".to_owned())
    }
}

/// A file of Windows that carries its own signature.
fn signatures(_: &mut WindowsHost) -> HostResult<String> {
    let kernel = system_program("ntoskrnl.exe")?;
    trust::signed_by_microsoft(Path::new(&kernel)).map(|()| format!("{kernel} is Microsoft's"))
}

fn search(host: &mut WindowsHost) -> HostResult<String> {
    let until = Instant::now() + SEARCH;
    host.begin_search(&Source::WindowsUpdate, &[])?;
    while Instant::now() < until {
        match host.poll_job()? {
            Job::Running => thread::sleep(Duration::from_secs(1)),
            Job::Searched(found) => return Ok(format!("{} updates, installed ones included", found.len())),
            other => return Err(unexpected(format!("updates search: {other:?}"))),
        }
    }
    Err(unexpected(format!("updates search: goes on after {} s", SEARCH.as_secs())))
}
