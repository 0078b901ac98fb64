//! Objects that do not parse: told of once, by event, metric and, where there is one, status; never tried again.

use super::context::Context;
use kube::api::{Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, DynamicObject, ObjectMeta, TypeMeta};
use kube::{Api, Resource};

/// Tells of an object of kind `K` that does not parse. Nothing else is done with it until somebody changes it.
pub async fn tell<K: Resource<DynamicType = ()>>(ctx: &Context, invalid: &InvalidObject, has_status: bool) {
    let ObjectMeta { name, uid, generation, .. } = &invalid.metadata;
    let name = name.clone().unwrap_or_default();
    if !ctx.is_news(format!("{} {}", uid.as_deref().unwrap_or_default(), generation.unwrap_or_default())) {
        return;
    }
    let kind = K::kind(&());
    tracing::warn!(%kind, name, error = invalid.error, "object can not be read, left alone");
    ctx.metrics.unreadable(&kind);
    let message = format!("can not be read: {}", invalid.error);
    let object = DynamicObject {
        types: Some(TypeMeta { api_version: K::api_version(&()).into_owned(), kind: kind.into_owned() }),
        metadata: invalid.metadata.clone(),
        data: serde_json::Value::Null,
    };
    let resource = ApiResource::erase::<K>(&());
    ctx.events.invalid(&object, &resource, &message).await;
    if has_status {
        stall(ctx, &resource, &name, *generation, &message).await;
    }
}

/// Says it in the conditions. The typed object can not be written, it does not parse.
async fn stall(ctx: &Context, resource: &ApiResource, name: &str, generation: Option<i64>, message: &str) {
    let now = ctx.clock.now();
    let condition = |type_: &str, status: &str| {
        serde_json::json!({
            "type": type_, "status": status, "reason": "NotReadable", "message": message,
            "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "observedGeneration": generation,
        })
    };
    let conditions = [condition("Ready", "False"), condition("Reconciling", "False"), condition("Stalled", "True")];
    let patch = Patch::Merge(serde_json::json!({ "status": { "conditions": conditions } }));
    let api: Api<DynamicObject> = Api::all_with(ctx.means.clients.act.clone(), resource);
    if let Err(error) = api.patch_status(name, &PatchParams::default(), &patch).await {
        tracing::warn!(name, %error, "its status could not be written");
    }
}
