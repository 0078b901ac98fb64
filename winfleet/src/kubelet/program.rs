//! What the containers of a pod run, read from the pod alone. Pure.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use std::net::IpAddr;
use windlass_probe::{Http, Target};

/// What a pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `windlass-agent.exe` in a `HostProcess` pod: the real core of the agent, over the simulated machine. The
    /// arguments after the program's name.
    Agent(Vec<String>),
    /// `windlass-probe http ...`: one real HTTP request; or the usage error it ends with.
    HttpProbe(Result<Http, String>),
    /// Works for a while, then ends: with `exit_code` where one is forced, else as the machine's network lets it.
    RunsToEnd {
        /// The exit code that the pod's annotation forces.
        exit_code: Option<i32>,
    },
    /// Serves until it is told to stop.
    Forever,
}

impl Program {
    /// Reads what a pod runs from its first container.
    pub fn of(spec: &PodSpec, exit_code: Option<i32>) -> Self {
        let line = spec.containers.first().map(command_line).unwrap_or_default();
        let mut words = line.into_iter();
        match words.next().as_deref().map(base_name) {
            Some("windlass-agent") if is_host_process(spec) => Self::Agent(words.collect()),
            Some("windlass-probe") => Self::HttpProbe(http_probe(words)),
            _ if matches!(spec.restart_policy.as_deref(), Some("Never" | "OnFailure")) => Self::RunsToEnd { exit_code },
            _ => Self::Forever,
        }
    }
}

fn command_line(container: &Container) -> Vec<String> {
    container.command.iter().chain(&container.args).flatten().cloned().collect()
}

/// The program's name without folder and `.exe`: images start it by either path.
fn base_name(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".exe").unwrap_or(file)
}

/// Whether the pod, or its first container, is a `HostProcess` one.
fn is_host_process(spec: &PodSpec) -> bool {
    let pod = spec.security_context.as_ref().and_then(|s| s.windows_options.as_ref());
    let container = spec.containers.first().and_then(|c| c.security_context.as_ref()?.windows_options.as_ref());
    container.and_then(|w| w.host_process).or_else(|| pod.and_then(|w| w.host_process)).unwrap_or(false)
}

/// The arguments of `windlass-probe`, read as it reads them. A simulated pod speaks to this machine only: the request is a
/// real one, and no test may reach out of it.
fn http_probe(words: impl IntoIterator<Item = String>) -> Result<Http, String> {
    let http = Http::parse(words)?;
    let target = Target::parse(&http.url)?;
    if target.secure {
        return Err("--url: only http is known to a simulated pod".into());
    }
    if target.host == "localhost" || target.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        return Ok(http);
    }
    Err("--url: a simulated pod reaches loopback addresses only".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> PodSpec {
        serde_json::from_value(json).expect("a pod spec")
    }

    fn probe(line: &str) -> Result<Http, String> {
        http_probe(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_agent_runs_in_host_process_pods_only() {
        let mut json = serde_json::json!({"restartPolicy": "Never",
            "containers": [{"name": "a", "command": [r"C:\hpc\windlass-agent.exe"], "args": ["collect", "--request", "x"]}]});
        assert_eq!(Program::of(&spec(json.clone()), None), Program::RunsToEnd { exit_code: None });
        json["securityContext"] = serde_json::json!({"windowsOptions": {"hostProcess": true}});
        let args = ["collect", "--request", "x"].map(str::to_owned).to_vec();
        assert_eq!(Program::of(&spec(json), None), Program::Agent(args));
    }

    #[test]
    fn the_restart_policy_says_whether_other_pods_end() {
        for (policy, exit_code, want) in [
            ("Always", Some(3), Program::Forever),
            ("OnFailure", None, Program::RunsToEnd { exit_code: None }),
            ("Never", Some(3), Program::RunsToEnd { exit_code: Some(3) }),
        ] {
            let json = serde_json::json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]});
            assert_eq!(Program::of(&spec(json), exit_code), want, "{policy}");
        }
    }

    #[test]
    fn a_probe_asks_this_machine_only() {
        let full =
            probe("http --url http://127.0.0.1:80/healthz --expect-status=200,204 --timeout 2s").expect("a probe");
        assert_eq!(full.expect_status, [200, 204]);
        assert!(probe("http --url http://localhost:80/").is_ok() && probe("http --url http://[::1]:80/").is_ok());
        for (line, want) in [
            ("http", "--url"),
            ("http --url http://example.com/", "--url:"),
            ("http --url https://127.0.0.1/", "--url:"),
            ("http --url http://127.0.0.1/ --timeout 0s", "--timeout"),
        ] {
            let error = probe(line).expect_err(line);
            assert!(error.contains(want), "{line}: {error}");
        }
    }
}
