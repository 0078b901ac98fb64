//! Kubernetes' own kinds: which there are, and the schemas of those that a simulation reads.

use super::refusal::FieldError;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::core::schema::StructuralSchemaRewriter;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The versions that Kubernetes serves for good, with their kinds.
const SERVED: [(&str, &str); 22] = [
    (
        "v1",
        "Binding ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod \
         PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy \
         ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("apiregistration.k8s.io/v1", "APIService"),
    ("apps/v1", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet"),
    ("authentication.k8s.io/v1", "SelfSubjectReview TokenRequest TokenReview"),
    (
        "authorization.k8s.io/v1",
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    ),
    ("autoscaling/v1", "HorizontalPodAutoscaler Scale"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob Job"),
    ("certificates.k8s.io/v1", "CertificateSigningRequest"),
    ("coordination.k8s.io/v1", "Lease"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("events.k8s.io/v1", "Event"),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema PriorityLevelConfiguration"),
    ("networking.k8s.io/v1", "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR"),
    ("node.k8s.io/v1", "RuntimeClass"),
    ("policy/v1", "Eviction PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole ClusterRoleBinding Role RoleBinding"),
    ("resource.k8s.io/v1", "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("storage.k8s.io/v1", "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass"),
];

/// Fields whose values, and maps of whose values, are quantities: `cpu: 2` is one as well as `cpu: "2"`.
const QUANTITIES: [&str; 2] = ["sizeLimit", "divisor"];
const OF_QUANTITIES: [&str; 3] = ["limits", "requests", "overhead"];

/// The kinds that a simulation reads, by kind, with the version that it reads.
static READ: LazyLock<BTreeMap<&str, (&str, JSONSchemaProps)>> = LazyLock::new(|| {
    let read = [
        ("Deployment", "apps/v1", schema_of::<Deployment>()),
        ("Node", "v1", schema_of::<Node>()),
        ("Pod", "v1", schema_of::<Pod>()),
        ("PodDisruptionBudget", "policy/v1", schema_of::<PodDisruptionBudget>()),
    ];
    read.into_iter().filter_map(|(kind, version, schema)| Some((kind, (version, schema?)))).collect()
});

fn schema_of<K: JsonSchema>() -> Option<JSONSchemaProps> {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let schema = settings.with_transform(StructuralSchemaRewriter).into_generator().into_root_schema_for::<K>();
    serde_json::from_value(schema.to_value()).ok()
}

/// The schema of a kind that a simulation reads.
pub(super) fn schema(api_version: &str, kind: &str) -> Option<&'static JSONSchemaProps> {
    READ.get(kind).filter(|(version, _)| *version == api_version).map(|(_, schema)| schema)
}

/// The field that is wrong where there is no such kind, and what may stand there. The kinds of other groups are free, but
/// not those that a simulation reads: they would be taken for what they are not.
pub(super) fn no_match(api_version: &str, kind: &str) -> Option<(&'static str, Vec<String>)> {
    let names = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
    let has = |kinds: &str| kinds.split(' ').any(|one| one == kind);
    let served = SERVED.iter().find(|(version, _)| *version == api_version);
    if served.is_some_and(|(_, kinds)| has(kinds)) {
        return None;
    }
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    // A group without a dot is Kubernetes' own, and a version of it that is not served is none any more.
    let built_in = served.is_some() || !group.contains('.');
    if !built_in && !READ.contains_key(kind) {
        return None;
    }
    let elsewhere: Vec<_> = SERVED.iter().filter(|(_, kinds)| has(kinds)).map(|(version, _)| *version).collect();
    match served {
        Some((_, kinds)) if elsewhere.is_empty() => Some(("kind", names(kinds.split(' ').collect()))),
        _ => Some(("apiVersion", names(elsewhere))),
    }
}

/// Makes texts of the quantities that are written as numbers, as the API server reads them.
pub(super) fn quantities_as_texts(object: &mut Value) {
    let as_text = |value: &mut Value| {
        if let Value::Number(number) = value {
            *value = number.to_string().into();
        }
    };
    match object {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Object(list) if OF_QUANTITIES.contains(&name.as_str()) => {
                        list.values_mut().for_each(as_text);
                    }
                    value if QUANTITIES.contains(&name.as_str()) => as_text(value),
                    value => quantities_as_texts(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(quantities_as_texts),
        _ => {}
    }
}

/// What of the values no schema says.
pub(super) fn values(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let counts = ["replicas", "minAvailable", "maxUnavailable"];
    let spec = &object["spec"];
    for (field, value) in counts.iter().map(|name| (format!("spec.{name}"), &spec[*name])) {
        if value.as_i64().is_some_and(|count| count < 0) {
            errors.push(FieldError::invalid(&field, Some(value), "must be greater than or equal to 0"));
        }
        let percent = |text: &str| text.strip_suffix('%').is_some_and(|number| number.parse::<u32>().is_ok());
        if value.as_str().is_some_and(|text| !percent(text)) {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                '93%', regex used for validation is '[0-9]+%')";
            errors.push(FieldError::invalid(&field, Some(value), detail));
        }
    }
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        errors.push(FieldError::invalid("spec", None, "minAvailable and maxUnavailable cannot be both set"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::super::Kinds;
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let object: Value = serde_saphyr::from_str(text).unwrap();
        let told = |error: FieldError| format!("{}: {}", error.field, error.told());
        Kinds::default().admit(object).err().into_iter().flatten().map(told).collect()
    }

    /// A Deployment with whatever people write into one, as `kubectl get` shows it.
    const DEPLOYMENT: &str = include_str!("deployment.yaml");

    const BUDGET: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: web
  namespace: shop
  creationTimestamp: null
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}
spec:
  minAvailable: 50%
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {app: web}
    matchExpressions: [{key: tier, operator: In, values: [front]}]
status: {currentHealthy: 3, desiredHealthy: 2, disruptionsAllowed: 1, expectedPods: 3, observedGeneration: 1}
";

    #[test]
    fn what_the_api_server_takes_is_taken() {
        assert_eq!(errors(DEPLOYMENT), [""; 0]);
        assert_eq!(errors(BUDGET), [""; 0]);
        assert_eq!(errors(&BUDGET.replace("minAvailable: 50%", "maxUnavailable: 0")), [""; 0]);
        let (_, template) = DEPLOYMENT.split_once("  template:\n").unwrap();
        let pod = template.lines().take_while(|line| line.starts_with("    ")).fold(String::new(), |pod, line| {
            format!("{pod}{}\n", &line[4..]) // as deep as it stands in the Deployment
        });
        let pod = format!("apiVersion: v1\nkind: Pod\n{}", pod.replacen("metadata:", "metadata:\n  name: web-1", 1));
        assert_eq!(errors(&pod), [""; 0], "{pod}");
    }

    #[test]
    fn a_quantity_may_be_a_number_and_is_a_text_to_whoever_reads_it() {
        let object: Value = serde_saphyr::from_str(DEPLOYMENT).unwrap();
        let admitted = Kinds::default().admit(object).unwrap();
        let resources = &admitted["spec"]["template"]["spec"]["containers"][0]["resources"];
        assert_eq!(resources["requests"], serde_json::json!({"cpu": "0.5", "memory": "1Gi"}));
        assert!(serde_json::from_value::<Deployment>(admitted).is_ok());
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        let cases = [
            (
                BUDGET,
                "minAvailable: 50%",
                "minAvailabel: 1",
                "spec.minAvailabel: unknown field \"spec.minAvailabel\", expected one of maxUnavailable, minAvailable, selector, unhealthyPodEvictionPolicy",
            ),
            (
                BUDGET,
                "minAvailable: 50%",
                "minAvailable: half",
                "spec.minAvailable: Invalid value: \"half\": a valid percent string",
            ),
            (BUDGET, "minAvailable: 50%", "minAvailable: [1]", "spec.minAvailable: Invalid value: \"array\""),
            (
                BUDGET,
                "minAvailable: 50%",
                "maxUnavailable: -1",
                "spec.maxUnavailable: Invalid value: -1: must be greater",
            ),
            (
                BUDGET,
                "minAvailable: 50%",
                "minAvailable: 1\n  maxUnavailable: 1",
                "spec: Invalid value: minAvailable and maxUnavailable cannot be both set",
            ),
            (BUDGET, "matchLabels:", "matchLabel:", "spec.selector.matchLabel: unknown field"),
            (
                BUDGET,
                "matchLabels: {app: web}",
                "matchLabels: {app: 1}",
                "spec.selector.matchLabels.app: Invalid value: \"integer\"",
            ),
            (BUDGET, "  namespace: shop", "  namespce: shop", "metadata.namespce: unknown field"),
            (
                DEPLOYMENT,
                "replicas: 3",
                "replicas: one",
                "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer",
            ),
            (DEPLOYMENT, "replicas: 3", "replica: 3", "spec.replica: unknown field \"spec.replica\", expected one of "),
            (DEPLOYMENT, "nodeSelector:", "nodeselector:", "spec.template.spec.nodeselector: unknown field"),
            (
                DEPLOYMENT,
                "containerPort: 80",
                "containerport: 80",
                "spec.template.spec.containers[0].ports[0].containerport: unknown field",
            ),
            (
                DEPLOYMENT,
                "kind: Deployment",
                "kind: Deploymnt",
                "kind: no matches for kind \"Deploymnt\" in version \"apps/v1\", expected one of ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet",
            ),
            (
                DEPLOYMENT,
                "apiVersion: apps/v1",
                "apiVersion: v1",
                "apiVersion: no matches for kind \"Deployment\" in version \"v1\", expected apps/v1",
            ),
            (
                DEPLOYMENT,
                "apiVersion: apps/v1",
                "apiVersion: extensions/v1beta1",
                "apiVersion: no matches for kind \"Deployment\" in version \"extensions/v1beta1\", expected apps/v1",
            ),
            (
                DEPLOYMENT,
                "apiVersion: apps/v1",
                "apiVersion: apps.k8s.io/v1",
                "apiVersion: no matches for kind \"Deployment\"",
            ),
        ];
        for (text, from, to, expected) in cases {
            assert!(text.contains(from), "{from}");
            let found = errors(&text.replacen(from, to, 1));
            assert!(found.first().is_some_and(|first| first.starts_with(expected)), "{to}: {found:#?}");
        }
    }

    #[test]
    fn kinds_of_other_groups_are_free() {
        for (version, kind) in
            [("example.com/v1", "Widget"), ("gateway.networking.k8s.io/v1", "Gateway"), ("v1", "Secret")]
        {
            let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x, whatever: 1}}\n");
            assert_eq!(errors(&text), [""; 0], "{version} {kind}");
        }
    }
}
