//! What the containers of a pod run, read from the pod alone. Pure.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use reqwest::Url;
use std::time::Duration;

/// Time-out of `windlass-probe http` without `--timeout`: a kubelet's own HTTP probes take 1 s, a little more spares noise.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `windlass-agent.exe` in a `HostProcess` pod: the real core of the agent, over the simulated machine. The
    /// arguments after the program's name.
    Agent(Vec<String>),
    /// `windlass-probe http ...`: one real HTTP request; or the usage error it ends with.
    HttpProbe(Result<HttpProbe, String>),
    /// Works for a while, then ends: with `exit_code` where one is forced, else as the machine's network lets it.
    RunsToEnd {
        /// The exit code that the pod's annotation forces.
        exit_code: Option<i32>,
    },
    /// Serves until it is told to stop.
    Forever,
}

/// The request of `windlass-probe http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// What to ask for.
    pub url: Url,
    /// Statuses that are a pass; empty means any of 200 to 299.
    pub expect: Vec<u16>,
    /// Time for the whole request.
    pub timeout: Duration,
}

impl Program {
    /// Reads what a pod runs from its first container.
    pub fn of(spec: &PodSpec, exit_code: Option<i32>) -> Self {
        let line = spec.containers.first().map(command_line).unwrap_or_default();
        let mut words = line.into_iter();
        match words.next().as_deref().map(base_name) {
            Some("windlass-agent") if is_host_process(spec) => Self::Agent(words.collect()),
            Some("windlass-probe") => Self::HttpProbe(HttpProbe::parse(words)),
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

impl HttpProbe {
    /// Parses `http --url U [--expect-status 200,204] [--timeout 5s]`; a flag's value may follow `=`.
    ///
    /// # Errors
    /// A usage error that names the flag.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        match words.next().as_deref() {
            Some("http") => {}
            other => return Err(format!("unknown command {:?}: this program knows http", other.unwrap_or_default())),
        }
        let (mut url, mut expect, mut timeout) = (None, Vec::new(), PROBE_TIMEOUT);
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word, words.next()),
            };
            let value = value.ok_or_else(|| format!("{flag}: value missing"))?;
            let refuse = |why: String| format!("{flag}: {value:?}: {why}");
            match flag.as_str() {
                "--url" => url = Some(loopback_url(&value).map_err(refuse)?),
                "--expect-status" => expect = parse_statuses(&value).map_err(refuse)?,
                "--timeout" => timeout = parse_timeout(&value).map_err(refuse)?,
                _ => return Err(format!("{flag}: unknown flag, known are --url, --expect-status, --timeout")),
            }
        }
        Ok(Self { url: url.ok_or("--url: missing")?, expect, timeout })
    }

    /// Whether `status` is a pass.
    pub fn accepts(&self, status: u16) -> bool {
        if self.expect.is_empty() { (200..300).contains(&status) } else { self.expect.contains(&status) }
    }
}

/// A simulated pod speaks to this machine only: the request is a real one, and no test may reach out of it.
fn loopback_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| e.to_string())?;
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    if url.scheme() != "http" {
        return Err("only http is known to a simulated pod".into());
    }
    if host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()) {
        return Ok(url);
    }
    Err("a simulated pod reaches loopback addresses only".into())
}

fn parse_statuses(text: &str) -> Result<Vec<u16>, String> {
    let parse = |word: &str| match word.trim().parse() {
        Ok(status @ 100..=599) => Ok(status),
        _ => Err(format!("{word:?} is no HTTP status")),
    };
    text.split(',').map(parse).collect()
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let wanted: SignedDuration = text.parse().map_err(|_| "not a duration like 5s")?;
    match Duration::try_from(wanted) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err("must be more than 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> PodSpec {
        serde_json::from_value(json).expect("a pod spec")
    }

    fn probe(line: &str) -> Result<HttpProbe, String> {
        HttpProbe::parse(line.split_whitespace().map(str::to_owned))
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
    fn a_probe_is_read_with_its_defaults() {
        let full =
            probe("http --url http://127.0.0.1:80/healthz --expect-status=200,204 --timeout 2s").expect("a probe");
        assert_eq!((full.expect.as_slice(), full.timeout), ([200, 204].as_slice(), Duration::from_secs(2)));
        assert!(full.accepts(204) && !full.accepts(201));
        let short = probe("http --url http://localhost:80/").expect("a probe");
        assert!(short.accepts(201) && !short.accepts(301));
        assert!(probe("http --url http://[::1]:80/").is_ok());
    }

    #[test]
    fn a_bad_probe_names_the_flag() {
        for (line, want) in [
            ("tcp", "unknown command"),
            ("http", "--url: missing"),
            ("http --url", "--url: value missing"),
            ("http --url http://example.com/", "--url:"),
            ("http --url https://127.0.0.1/", "--url:"),
            ("http --url nonsense", "--url:"),
            ("http --url http://127.0.0.1/ --expect-status 2000", "--expect-status:"),
            ("http --url http://127.0.0.1/ --timeout 0s", "--timeout:"),
            ("http --url http://127.0.0.1/ --timeout 5", "--timeout:"),
            ("http --url http://127.0.0.1/ --bogus 5", "--bogus: unknown"),
        ] {
            let error = probe(line).expect_err(line);
            assert!(error.starts_with(want), "{line}: {error}");
        }
    }
}
