//! Probe `cel` (needs a client): an expression over a workload of the cluster is true.
//!
//! Whoever writes a policy borrows the operator's eyes by it, and these reach Secrets. So only workloads are looked at, and
//! what is told of an expression that fails is never a value of the object.

use super::ProbeVerdict;
use crate::act::error::call;
use crate::act::means::Means;
use crate::api::{CEL_API_VERSION, CEL_KINDS, CelProbe, ResourceRef};
use cel::objects::Map;
use cel::{Context, ExecutionError, Program, Value};
use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use std::sync::Arc;

pub(super) async fn probe(means: &Means, probe: &CelProbe) -> ProbeVerdict {
    let wanted = &probe.resource;
    if let Some(refusal) = refusal(wanted) {
        return ProbeVerdict::Failed(refusal);
    }
    let name = format!("{} {}/{}", wanted.kind, wanted.namespace, wanted.name);
    match call(api(means, wanted).get(&wanted.name)).await {
        Ok(object) => evaluate(&probe.expression, &object, &name),
        Err(e) if e.is_not_found() => ProbeVerdict::NotYet(format!("there is no {name}")),
        Err(e) if e.code() == Some(403) => ProbeVerdict::Failed(format!("{name}: {e}")),
        Err(e) => ProbeVerdict::NotYet(format!("{name}: {e}")),
    }
}

/// Why this object is not read, in the words of the CRD's rule: policies that were stored before it had one still come here.
fn refusal(wanted: &ResourceRef) -> Option<String> {
    if wanted.api_version != CEL_API_VERSION {
        return Some(format!("cel.resource.apiVersion must be {CEL_API_VERSION}, not {}", wanted.api_version));
    }
    if CEL_KINDS.contains(&wanted.kind.as_str()) {
        return None;
    }
    let [most @ .., last] = CEL_KINDS;
    Some(format!("cel.resource.kind must be {} or {last}, not {}", most.join(", "), wanted.kind))
}

/// The plural comes from the kind by the rules of English, as kube has them: good for the kinds of workloads, without
/// asking the API server for its catalogue.
fn api(means: &Means, wanted: &ResourceRef) -> Api<DynamicObject> {
    let (group, version) = wanted.api_version.split_once('/').unwrap_or(("", &wanted.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &wanted.kind));
    Api::namespaced_with(means.clients.read.clone(), &wanted.namespace, &resource)
}

/// Why this is no expression of CEL, if it is none.
pub fn cel_syntax_error(expression: &str) -> Option<String> {
    Program::compile(expression).err().map(|error| error.to_string())
}

/// Evaluates an expression over `object`. False may become true; an expression that makes no sense stays one.
fn evaluate(expression: &str, object: &DynamicObject, name: &str) -> ProbeVerdict {
    let failed = |why: &str| ProbeVerdict::Failed(format!("expression: {why}"));
    let program = match Program::compile(expression) {
        Ok(program) => program,
        // It has not seen the object yet: all it can show is the expression.
        Err(error) => return failed(&error.to_string()),
    };
    let mut context = Context::default();
    let json = serde_json::to_value(object).unwrap_or_default();
    let Ok(value) = cel::to_value(json) else { return failed(&format!("{name} can not be read by CEL")) };
    context.add_variable_from_value("object", signed(value));
    match program.execute(&context) {
        Ok(Value::Bool(true)) => ProbeVerdict::Passed,
        Ok(Value::Bool(false)) => ProbeVerdict::NotYet(format!("{expression} is false for {name}")),
        Ok(_) => failed("it gives neither true nor false"),
        // A field that is not there yet: a Deployment without a ready replica has no `readyReplicas`.
        Err(ExecutionError::NoSuchKey(key)) => {
            ProbeVerdict::NotYet(format!("{name} has no {}", written(expression, &key).unwrap_or("such field")))
        }
        Err(error) => failed(&told(expression, &error)),
    }
}

/// A name that an error gives, if it is the author's own word: `object.a[object.b]` asks for a field named by a value.
fn written<'a>(expression: &str, name: &'a str) -> Option<&'a str> {
    expression.contains(name).then_some(name)
}

/// What may be told of an error: its kind. Its own text shows the values that it stumbled over.
fn told(expression: &str, error: &ExecutionError) -> String {
    use ExecutionError as E;
    let kind = match error {
        E::UndeclaredReference(name) => match written(expression, name) {
            Some(name) => return format!("there is no variable or function {name}"),
            None => "there is no such variable or function",
        },
        E::NoSuchKey(_) => "there is no such field",
        E::InvalidArgumentCount { .. } | E::MissingArgumentOrTarget => "a function has too few or too many arguments",
        E::UnsupportedTargetType { .. } | E::NotSupportedAsMethod { .. } => {
            "a function is not for a value of this type"
        }
        E::UnexpectedType { .. } | E::NoSuchOverload => "an operator or a function is not for values of these types",
        E::UnsupportedUnaryOperator(operator, _) => return format!("the operator {operator} is not for this type"),
        E::UnsupportedBinaryOperator(operator, ..) => return format!("the operator {operator} is not for these types"),
        E::ValuesNotComparable(..) => "values of these types can not be compared",
        E::UnsupportedKeyType(_) | E::UnsupportedMapIndex(_) | E::UnsupportedListIndex(_) | E::UnsupportedIndex(..) => {
            "a value of this type is no index"
        }
        E::IndexOutOfBounds(_) => "an index is out of bounds",
        E::UnsupportedFunctionCallIdentifierType(_) => "what is called is no function",
        E::UnsupportedFieldsConstruction(_) => "messages can not be made here",
        E::FunctionError { .. } => "a function refuses its arguments",
        E::DivisionByZero(_) | E::RemainderByZero(_) => "something is divided by zero",
        E::Overflow(operator, ..) => return format!("the operator {operator} overflows"),
        // The enum may grow: what is not known here may show anything.
        _ => "it can not be evaluated",
    };
    kind.to_owned()
}

/// Whole numbers of JSON as CEL's `int`, which is what a literal is: to this crate, `2u` does not equal `2`.
fn signed(value: Value) -> Value {
    if let Value::UInt(number) = value {
        return i64::try_from(number).map_or(value, Value::Int);
    }
    if let Value::List(items) = value {
        return Value::List(Arc::new(items.iter().cloned().map(signed).collect()));
    }
    if let Value::Map(map) = value {
        let entries = map.map.iter().map(|(key, value)| (key.clone(), signed(value.clone())));
        return Value::Map(Map { map: Arc::new(entries.collect()) });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_expression_is_true_false_or_nonsense() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 2}, "status": {"readyReplicas": 2, "ports": [80], "conditions": [{"type": "Available"}]}}))
        .expect("an object");
        let verdict = |expression| evaluate(expression, &object, "Deployment shop/web");
        assert_eq!(verdict("object.status.readyReplicas == object.spec.replicas"), ProbeVerdict::Passed);
        assert_eq!(verdict("object.spec.replicas == 2 && object.status.ports == [80]"), ProbeVerdict::Passed);
        assert_eq!(verdict("object.status.conditions.exists(c, c.type == 'Available')"), ProbeVerdict::Passed);
        assert!(matches!(verdict("object.spec.replicas > 5"), ProbeVerdict::NotYet(why) if why.contains("shop/web")));
        assert!(matches!(verdict("object.status.absent == 1"), ProbeVerdict::NotYet(_)));
        for nonsense in ["object.spec.replicas", "1 +", "nothing == 1"] {
            assert!(matches!(verdict(nonsense), ProbeVerdict::Failed(_)), "{nonsense}");
        }
        let absent = ProbeVerdict::NotYet("Deployment shop/web has no absent".into());
        assert_eq!(verdict("object.status.absent == 1"), absent);
        let unknown = ProbeVerdict::Failed("expression: there is no variable or function nothing".into());
        assert_eq!(verdict("nothing == 1"), unknown);
        let no_number = ProbeVerdict::Failed("expression: the operator sub is not for these types".into());
        assert_eq!(verdict("object.metadata.name - 1 == 0"), no_number);
    }

    #[test]
    fn an_error_shows_no_value_of_the_object() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"key": "hunter2", "list": ["hunter2"], "map": {"hunter2": "hunter2"}, "number": 77_123}}))
        .expect("an object");
        let prying = [
            "object.data.key - 1",
            "-object.data.key",
            "!object.data.key",
            "object.data.key < 1",
            "object.data.key + 1",
            "object.data.key * 2",
            "object.data.key in 1",
            "object.data[object.data.key]",
            "object.data[object.data.map]",
            "object.data.list[object.data.key]",
            "object.data.list[object.data.number]",
            "object.data.key[0]",
            "object.data.key.size(1, 2)",
            "object.data.key.nothing()",
            "nothing(object.data.key)",
            "duration(object.data.key)",
            "timestamp(object.data.key)",
            "int(object.data.key)",
            "double(object.data.key)",
            "uint(object.data.key)",
            "bytes(object.data.number)",
            "object.data.key.matches('(')",
            "'x'.matches(object.data.key + '(')",
            "object.data.number / 0",
            "object.data.number % 0",
            "object.data.number * 9223372036854775807",
            "object.data.number.key",
            "object.data.key.all(c, c)",
            "object.data.list.all(c, c)",
            "object.data.key ? 1 : 2",
            "object.data.key && true",
            "{object.data.map: 1}",
            "{object.data.key: 1}[object.data.number]",
            "object.data.key",
            "object.data.key.contains(1)",
            "object.data.key.startsWith(object.data.map)",
            "max(object.data.key, object.data.map)",
            "object.data.map.map(k, k - 1)",
            "object.data.map.exists(k, k)",
            "has(object.data.key.x)",
        ];
        for expression in prying {
            let verdict = format!("{:?}", evaluate(expression, &object, "Secret s"));
            assert!(!verdict.contains("hunter2") && !verdict.contains("77123"), "{expression}: {verdict}");
        }
    }

    #[test]
    fn only_workloads_are_read() {
        let refused = |api_version: &str, kind: &str| {
            let (namespace, name) = ("windlass-system".to_owned(), "x".to_owned());
            refusal(&ResourceRef { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace, name })
        };
        for kind in CEL_KINDS {
            assert_eq!(refused("apps/v1", kind), None);
        }
        let secret = "cel.resource.apiVersion must be apps/v1, not v1";
        assert_eq!(refused("v1", "Secret").as_deref(), Some(secret));
        let kind = "cel.resource.kind must be Deployment, ReplicaSet, StatefulSet or DaemonSet, not ControllerRevision";
        assert_eq!(refused("apps/v1", "ControllerRevision").as_deref(), Some(kind));
        assert!(refused("windlass.dev/v1alpha1", "Deployment").is_some());
        assert!(refused("apps/v2", "Deployment").is_some());
    }

    /// The operator, the CRD and the chart name the same kinds.
    #[test]
    fn the_chart_grants_what_is_read() {
        let rbac = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/windlass/templates/rbac.yaml"));
        let plurals = CEL_KINDS.map(|kind| format!("{}s", kind.to_lowercase())).join(", ");
        let rule = format!("- apiGroups: [apps]\n  resources: [{plurals}]\n  verbs: [get]\n");
        assert!(rbac.contains(&rule), "{rule}");
        let schema = serde_json::to_string(&schemars::schema_for!(ResourceRef)).expect("a schema");
        let [most @ .., last] = CEL_KINDS;
        assert!(schema.contains(&format!("must be {} or {last}", most.join(", "))), "{schema}");
        assert!(schema.contains(&format!("self in ['{}']", CEL_KINDS.join("', '"))), "{schema}");
        assert!(schema.contains(&format!("self == '{CEL_API_VERSION}'")), "{schema}");
    }
}
