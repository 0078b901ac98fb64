//! The pods that run for us on a node. Pure.

use super::means::ActConfig;
use super::pods::Owner;
use crate::domain::child_name;
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodOS, PodSecurityContext, PodSpec, Toleration,
    WindowsSecurityContextOptions,
};
use kube::api::ObjectMeta;
use std::{collections::BTreeMap, time::Duration};
use windlass_protocol::{NODE_VARIABLE, Request};

/// Who pods of agents run as: installing updates is for administrators only, and SYSTEM outlives a person's account.
const AGENT_USER: &str = r"NT AUTHORITY\SYSTEM";
/// Who pods of probes run as: the least privileged user of Windows containers.
const PROBE_USER: &str = "ContainerUser";

/// Where a pod runs, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub node: &'a str,
    pub owner: &'a Owner,
    /// What it is for, in the pod's name.
    pub purpose: &'a str,
    /// What tells this pod from all others.
    pub identity: &'a str,
}

impl Place<'_> {
    /// The name of the pod.
    pub fn pod_name(&self) -> String {
        child_name(&[self.node, self.purpose], self.identity)
    }
}

/// The pod that asks the agent on a node: a HostProcess pod, without credentials of any kind.
pub(super) fn agent(config: &ActConfig, place: Place<'_>, request: &Request) -> Pod {
    let container = Container {
        name: "agent".to_owned(),
        image: Some(config.agent_image.clone()),
        image_pull_policy: Some(config.image_pull_policy.clone()),
        command: Some(vec!["windlass-agent.exe".to_owned()]),
        args: Some(vec![request.command.name().to_owned(), "--request".to_owned(), request.to_arg()]),
        env: Some(vec![node_name()]),
        ..Container::default()
    };
    let windows = WindowsSecurityContextOptions {
        host_process: Some(true),
        run_as_user_name: Some(AGENT_USER.to_owned()),
        ..WindowsSecurityContextOptions::default()
    };
    let security = PodSecurityContext { windows_options: Some(windows), ..PodSecurityContext::default() };
    // A HostProcess pod has the host's network; the API server wants that said.
    let spec = PodSpec { host_network: Some(true), security_context: Some(security), ..spec(place.node, container) };
    pod(&config.agents_namespace, place, spec)
}

/// The name of the node on which the pod runs, by the kubelet that runs it: the machine's own may be another.
fn node_name() -> EnvVar {
    let field = ObjectFieldSelector { field_path: "spec.nodeName".to_owned(), ..ObjectFieldSelector::default() };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: NODE_VARIABLE.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

/// The pod of a probe: an ordinary Windows pod, as restricted as Pod Security wants it.
pub(super) fn probe(config: &ActConfig, place: Place<'_>, image: &str, command: Vec<String>, timeout: Duration) -> Pod {
    let container = Container {
        name: "probe".to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(config.image_pull_policy.clone()),
        command: Some(command),
        ..Container::default()
    };
    let windows = WindowsSecurityContextOptions {
        run_as_user_name: Some(PROBE_USER.to_owned()),
        ..WindowsSecurityContextOptions::default()
    };
    let security = PodSecurityContext {
        run_as_non_root: Some(true),
        windows_options: Some(windows),
        ..PodSecurityContext::default()
    };
    let spec = PodSpec {
        active_deadline_seconds: i64::try_from(timeout.as_secs()).ok(),
        security_context: Some(security),
        ..spec(place.node, container)
    };
    pod(&config.probes_namespace, place, spec)
}

/// What both kinds have in common: pinned to the node whatever its taints, run once, no token.
fn spec(node: &str, container: Container) -> PodSpec {
    PodSpec {
        node_name: Some(node.to_owned()),
        node_selector: Some(BTreeMap::from([("kubernetes.io/os".to_owned(), "windows".to_owned())])),
        os: Some(PodOS { name: "windows".to_owned() }),
        tolerations: Some(vec![Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() }]),
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        containers: vec![container],
        ..PodSpec::default()
    }
}

fn pod(namespace: &str, place: Place<'_>, spec: PodSpec) -> Pod {
    Pod {
        metadata: ObjectMeta {
            name: Some(place.pod_name()),
            namespace: Some(namespace.to_owned()),
            labels: Some(place.owner.labels(place.node)),
            owner_references: Some(vec![place.owner.reference()]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_protocol::{Command, Ticket, VERSION};

    fn config() -> ActConfig {
        ActConfig {
            agents_namespace: "windlass-agents".into(),
            probes_namespace: "windlass-probes".into(),
            agent_image: "agent:1".into(),
            probe_image: "probe:1".into(),
            image_pull_policy: "IfNotPresent".into(),
        }
    }

    fn owner() -> Owner {
        Owner::NodeUpdate { name: "r-win-7".into(), uid: "nu-uid".into(), rollout_uid: "ro-uid".into() }
    }

    #[test]
    fn an_agent_pod_is_system_on_its_node_and_has_no_token() {
        let ticket =
            Ticket { node_update_uid: "u".into(), step: "Stage".into(), round: 1, attempt: 1, challenge: "c".into() };
        let request =
            Request { version: VERSION, node: "win-7".into(), ticket, command: Command::Collect { follow: true } };
        let owner = owner();
        let place = Place { node: "win-7", owner: &owner, purpose: "stage", identity: "d" };
        let pod = agent(&config(), place, &request);
        let spec = pod.spec.expect("a spec");
        let options = spec.security_context.and_then(|s| s.windows_options).expect("options");
        assert_eq!(options.host_process, Some(true));
        assert_eq!(spec.host_network, Some(true), "the API server refuses a HostProcess pod without it");
        assert_eq!(spec.node_name.as_deref(), Some("win-7"));
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"), "a restored machine must not run it again");
        let args = spec.containers[0].args.clone().expect("arguments");
        assert_eq!(Request::from_arg(&args[2]), Ok(request));
        let told = &spec.containers[0].env.as_ref().expect("variables")[0];
        let field = told.value_from.as_ref().and_then(|from| from.field_ref.as_ref()).map(|f| f.field_path.as_str());
        assert_eq!((told.name.as_str(), field), (NODE_VARIABLE, Some("spec.nodeName")), "no host name is asked for");
        let owners = pod.metadata.owner_references.expect("an owner");
        assert_eq!((owners[0].kind.as_str(), owners[0].block_owner_deletion), ("NodeUpdate", None));
    }

    #[test]
    fn a_probe_pod_is_restricted_and_has_a_deadline() {
        let owner = owner();
        let place = Place { node: "win-7", owner: &owner, purpose: "net", identity: "d" };
        let pod = probe(&config(), place, "i", vec!["c".into()], Duration::from_secs(90));
        let spec = pod.spec.expect("a spec");
        let security = spec.security_context.expect("a security context");
        assert_eq!((security.run_as_non_root, spec.host_network), (Some(true), None));
        assert_eq!(spec.active_deadline_seconds, Some(90));
        assert!(pod.metadata.name.is_some_and(|name| name.starts_with("win-7-net-")));
    }
}
