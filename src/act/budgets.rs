//! Which PodDisruptionBudget stands in the way of a pod (needs a client).

use super::ActError;
use super::error::call;
use super::means::Means;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, ResourceExt};

/// Names the budgets of a pod: `shop/web`, or several, which no eviction passes; the API server's own words when none
/// of them selects the pod any more.
///
/// # Errors
/// [`ActError::ListBudgets`].
pub(super) async fn of_pod(means: &Means, pod: &Pod, words: &str) -> Result<String, ActError> {
    let namespace = pod.namespace().unwrap_or_default();
    let api: Api<PodDisruptionBudget> = Api::namespaced(means.clients.read.clone(), &namespace);
    let error = |source| ActError::ListBudgets { namespace: namespace.clone(), source };
    let budgets = call(api.list(&ListParams::default())).await.map_err(error)?.items;
    Ok(name(&budgets, pod).unwrap_or_else(|| words.to_owned()))
}

/// The budgets that select the pod, sorted.
fn name(budgets: &[PodDisruptionBudget], pod: &Pod) -> Option<String> {
    let mut names: Vec<_> = budgets
        .iter()
        .filter(|budget| selects(budget, pod))
        .map(|budget| format!("{}/{}", pod.namespace().unwrap_or_default(), budget.name_any()))
        .collect();
    names.sort_unstable();
    (!names.is_empty()).then(|| names.join(" and "))
}

/// Whether a budget is about the pod. An empty selector selects all pods of the namespace, a missing one none.
fn selects(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|s| s.selector.clone());
    let selector = selector.and_then(|s| Selector::try_from(s).ok());
    selector.is_some_and(|selector| selector.matches(pod.labels()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn budget(name: &str, selector: &Value) -> PodDisruptionBudget {
        let json = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": selector}});
        serde_json::from_value(json).expect("a budget")
    }

    #[test]
    fn the_budgets_of_a_pod_are_named() {
        let json = json!({"metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}}});
        let pod: Pod = serde_json::from_value(json).expect("a pod");
        let web = || budget("web", &json!({"matchLabels": {"app": "web"}}));
        let others = budget("db", &json!({"matchLabels": {"app": "db"}}));
        let any = budget("any", &json!({}));
        let listed =
            budget("listed", &json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "x"]}]}));
        assert_eq!(name(&[others.clone(), web()], &pod).as_deref(), Some("shop/web"));
        assert_eq!(name(&[web(), any], &pod).as_deref(), Some("shop/any and shop/web"));
        assert_eq!(name(&[listed], &pod).as_deref(), Some("shop/listed"));
        assert_eq!(name(&[others], &pod), None);
    }
}
