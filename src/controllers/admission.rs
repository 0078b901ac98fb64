//! Whether the API server sees to it that approvals are honest.
//!
//! `spec.approver` is the creating user's name because a ValidatingAdmissionPolicy of the chart says so. Where that is not
//! in force, or was not when an approval was made, the name proves nothing and the approval is ignored.

use super::context::Context;
use super::error::ReconcileError;
use crate::api::UpdateApproval;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::Api;

/// Name of the policy and of its binding, as the chart has them.
const NAME: &str = "windlass-approvals";
/// The rule that the policy must have, as the chart has it.
const RULE: &str = "object.spec.approver == request.userInfo.username";

/// Why this approval proves nothing; `None`: it was made under the policy.
///
/// # Errors
/// The API server does not say.
pub async fn doubt(ctx: &Context, approval: &UpdateApproval) -> Result<Option<String>, ReconcileError> {
    let client = &ctx.means.clients.read;
    let failed = || ReconcileError::api("reading the admission policy of approvals");
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let policy = policies.get_opt(NAME).await.map_err(failed())?;
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let binding = bindings.get_opt(NAME).await.map_err(failed())?;
    Ok(judge(policy.as_ref(), binding.as_ref(), &approval.metadata))
}

fn judge(
    policy: Option<&ValidatingAdmissionPolicy>,
    binding: Option<&ValidatingAdmissionPolicyBinding>,
    approval: &ObjectMeta,
) -> Option<String> {
    let Some(policy) = policy else { return Some(format!("there is no ValidatingAdmissionPolicy {NAME}")) };
    let Some(binding) = binding else { return Some(format!("there is no ValidatingAdmissionPolicyBinding {NAME}")) };
    if !policy.spec.as_ref().is_some_and(compares_names) {
        return Some(format!("ValidatingAdmissionPolicy {NAME} does not compare spec.approver with the creating user"));
    }
    if !binding.spec.as_ref().is_some_and(denies_everywhere) {
        return Some(format!("ValidatingAdmissionPolicyBinding {NAME} does not deny in the whole cluster"));
    }
    let made = |meta: &ObjectMeta| meta.creation_timestamp.as_ref().map(|at| at.0);
    let in_force = made(&policy.metadata).max(made(&binding.metadata));
    // Times are whole seconds, and a binding takes about half of one to be in force.
    (made(approval) <= in_force).then(|| format!("it is older than ValidatingAdmissionPolicyBinding {NAME}"))
}

fn compares_names(spec: &ValidatingAdmissionPolicySpec) -> bool {
    let constraints = spec.match_constraints.as_ref();
    let rules = constraints.and_then(|c| c.resource_rules.as_deref()).unwrap_or_default();
    let has = |list: Option<&Vec<String>>, wanted: &str| list.is_some_and(|list| list.iter().any(|one| one == wanted));
    let about = rules.iter().any(|rule| {
        has(rule.api_groups.as_ref(), crate::api::GROUP)
            && has(rule.resources.as_ref(), "updateapprovals")
            && has(rule.operations.as_ref(), "CREATE")
            && rule.resource_names.is_none()
    });
    let unconditional = spec.match_conditions.as_ref().is_none_or(Vec::is_empty)
        && constraints.is_some_and(|c| c.exclude_resource_rules.as_ref().is_none_or(Vec::is_empty));
    let fails_closed = spec.failure_policy.as_deref().is_none_or(|policy| policy == "Fail");
    let rule = spec.validations.iter().flatten().any(|validation| validation.expression == RULE);
    about && unconditional && fails_closed && rule
}

fn denies_everywhere(spec: &ValidatingAdmissionPolicyBindingSpec) -> bool {
    let denies = spec.validation_actions.iter().flatten().any(|action| action == "Deny");
    let narrowed = spec.match_resources.as_ref().is_some_and(|m| {
        m.namespace_selector.as_ref().is_some_and(|s| *s != LabelSelector::default())
            || m.object_selector.as_ref().is_some_and(|s| *s != LabelSelector::default())
            || m.resource_rules.as_ref().is_some_and(|rules| !rules.is_empty())
            || m.exclude_resource_rules.as_ref().is_some_and(|rules| !rules.is_empty())
    });
    spec.policy_name.as_deref() == Some(NAME) && denies && spec.param_ref.is_none() && !narrowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn verdict(change_policy: &Value, change_binding: &Value, made: &str) -> Option<String> {
        let mut policy = json!({
            "metadata": {"name": NAME, "creationTimestamp": "2026-11-22T10:00:00Z"},
            "spec": {
                "failurePolicy": "Fail", "validations": [{"expression": RULE}],
                "matchConstraints": {"namespaceSelector": {}, "objectSelector": {}, "resourceRules": [{
                    "apiGroups": ["windlass.dev"], "apiVersions": ["v1alpha1"], "operations": ["CREATE"],
                    "resources": ["updateapprovals"],
                }]},
            },
        });
        let mut binding = json!({
            "metadata": {"name": NAME, "creationTimestamp": "2026-11-22T10:00:01Z"},
            "spec": {"policyName": NAME, "validationActions": ["Deny"]},
        });
        for (object, change) in [(&mut policy, change_policy), (&mut binding, change_binding)] {
            for (key, value) in change.as_object().into_iter().flatten() {
                object["spec"][key] = value.clone();
            }
        }
        let policy = serde_json::from_value(policy).expect("a policy");
        let binding = serde_json::from_value(binding).expect("a binding");
        let meta = serde_json::from_value(json!({"creationTimestamp": made})).expect("metadata");
        judge(Some(&policy), Some(&binding), &meta)
    }

    #[test]
    fn an_approval_counts_only_when_made_under_the_policy_in_force() {
        let (none, later) = (json!({}), "2026-11-22T10:00:02Z");
        assert_eq!(verdict(&none, &none, later), None);
        assert!(verdict(&none, &none, "2026-11-22T10:00:01Z").is_some_and(|why| why.contains("older")));
        for change in [
            json!({"failurePolicy": "Ignore"}),
            json!({"validations": [{"expression": "true"}]}),
            json!({"matchConditions": [{"name": "x", "expression": "false"}]}),
            json!({"matchConstraints": {"resourceRules": []}}),
        ] {
            assert!(verdict(&change, &none, later).is_some(), "{change}");
        }
        for change in [
            json!({"validationActions": ["Audit"]}),
            json!({"policyName": "another"}),
            json!({"matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}}}),
        ] {
            assert!(verdict(&none, &change, later).is_some(), "{change}");
        }
        assert!(
            judge(None, None, &ObjectMeta::default()).is_some_and(|why| why.contains("no ValidatingAdmissionPolicy"))
        );
    }
}
