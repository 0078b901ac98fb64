//! Probe `cel` (needs a client): an expression over an object of the cluster is true.

use super::ProbeVerdict;
use crate::act::error::call;
use crate::act::means::Means;
use crate::api::{CelProbe, ResourceRef};
use cel::objects::Map;
use cel::{Context, Program, Value};
use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use std::sync::Arc;

pub(super) async fn probe(means: &Means, probe: &CelProbe) -> ProbeVerdict {
    let wanted = &probe.resource;
    let api = api(means, wanted);
    let place = wanted.namespace.as_ref().map(|n| format!("{n}/")).unwrap_or_default();
    let name = format!("{} {place}{}", wanted.kind, wanted.name);
    match call(api.get(&wanted.name)).await {
        Ok(object) => evaluate(&probe.expression, &object, &name),
        Err(e) if e.is_not_found() => ProbeVerdict::NotYet(format!("there is no {name}")),
        Err(e) if e.code() == Some(403) => ProbeVerdict::Failed(format!("{name}: {e}")),
        Err(e) => ProbeVerdict::NotYet(format!("{name}: {e}")),
    }
}

/// The plural comes from the kind by the rules of English, as kube has them: good for all kinds that the chart
/// lets the operator read, without asking the API server for its catalogue.
fn api(means: &Means, wanted: &ResourceRef) -> Api<DynamicObject> {
    let (group, version) = wanted.api_version.split_once('/').unwrap_or(("", &wanted.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &wanted.kind));
    let client = means.clients.read.clone();
    match &wanted.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

/// Evaluates an expression over `object`. False may become true; an expression that makes no sense stays one.
fn evaluate(expression: &str, object: &DynamicObject, name: &str) -> ProbeVerdict {
    let failed = |error: &dyn std::fmt::Display| ProbeVerdict::Failed(format!("expression: {error}"));
    let program = match Program::compile(expression) {
        Ok(program) => program,
        Err(error) => return failed(&error),
    };
    let mut context = Context::default();
    let json = serde_json::to_value(object).unwrap_or_default();
    let value = match cel::to_value(json) {
        Ok(value) => signed(value),
        Err(error) => return failed(&error),
    };
    context.add_variable_from_value("object", value);
    match program.execute(&context) {
        Ok(Value::Bool(true)) => ProbeVerdict::Passed,
        Ok(Value::Bool(false)) => ProbeVerdict::NotYet(format!("{expression} is false for {name}")),
        Ok(_) => failed(&"it gives neither true nor false"),
        // A field that is not there yet: a Deployment without a ready replica has no `readyReplicas`.
        Err(cel::ExecutionError::NoSuchKey(key)) => ProbeVerdict::NotYet(format!("{name} has no {key}")),
        Err(error) => failed(&error),
    }
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
    }
}
