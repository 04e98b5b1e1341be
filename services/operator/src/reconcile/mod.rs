//! Working on one object: its finalizer, what its kind does, its conditions, and when to look again. What a kind does is in the
//! file of its name.

mod agent_key;
mod agent_key_secret;
mod convert;
mod key_maker;
mod key_plan;
mod key_rights;
mod provider_app;
mod settings;
mod tenant;
mod tenant_ref;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::context::Context;
use crate::kind::{Cleanup, Kind, ObjectStatus, ReconcileError, Settled};
use crate::metrics::ReconcileOutcome;
use crate::resources::{ConditionType, condition, set_condition};

/// The finalizer on each object: what has to be done in the installation before the object goes.
pub const FINALIZER: &str = "stagedoor.dev/operator";
/// Who changes are by, in `managedFields`.
pub const FIELD_MANAGER: &str = "stagedoor-operator";

/// The pause after someone else was quicker.
const AFTER_CONFLICT: Duration = Duration::from_millis(200);

/// Works on an object as it was last seen, and says when to look again.
///
/// # Errors
/// None: what fails is in the object's conditions, and tried again.
pub async fn reconcile<K: Kind>(object: Arc<K>, context: Arc<Context>) -> Result<Action, Infallible> {
    let started = context.clock.elapsed();
    let (outcome, action) = work(&*object, &context).await;
    let took = context.clock.elapsed().saturating_sub(started);
    context.metrics.reconciled(K::NAME, outcome, took);
    Ok(action)
}

async fn work<K: Kind>(object: &K, context: &Context) -> (ReconcileOutcome, Action) {
    if is_foreign(object, context) {
        return (ReconcileOutcome::Foreign, Action::requeue(context.spread(context.config.resync())));
    }
    let mut object = object.clone();
    let mut status = object.status().cloned().unwrap_or_default();
    let held = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if object.meta().deletion_timestamp.is_none() {
        let settled = async {
            object.prepare(context, &mut status)?;
            claim(&mut object, context, &mut status).await?;
            if !held {
                set_finalizer(&object, context, true).await?;
            }
            object.apply(context, &mut status).await
        };
        let settled = settled.await;
        return match settled {
            Ok(settled) => settle(&object, context, status, settled).await,
            Err(error) => fail(&object, context, status, error).await,
        };
    }
    if !held {
        return (ReconcileOutcome::Released, Action::await_change());
    }
    let cleaned = async {
        claim(&mut object, context, &mut status).await?;
        match object.clean_up(context, &mut status).await? {
            Cleanup::Done => set_finalizer(&object, context, false).await.map(|()| None),
            Cleanup::Pending { reason, message, again_after } => Ok(Some((reason, message, again_after))),
        }
    };
    let cleaned = cleaned.await;
    match cleaned {
        Ok(None) => {
            context.pauses.forget(&object.uid().unwrap_or_default());
            (ReconcileOutcome::Released, Action::await_change())
        }
        Ok(Some((reason, message, again_after))) => {
            let pending = Settled { ready: false, reason, message, again_after: Some(again_after) };
            let (_, action) = settle(&object, context, status, pending).await;
            (ReconcileOutcome::Waiting, action)
        }
        Err(error) => fail(&object, context, status, error).await,
    }
}

/// Whether an object is another installation's, and not to be touched.
fn is_foreign<K: Kind>(object: &K, context: &Context) -> bool {
    let claimed = object.status().and_then(ObjectStatus::installation);
    claimed.is_some_and(|by| by != context.config.installation) || object.is_meant_for_another(context)
}

/// Writes into the object that it is this installation's, and what the clean-up has to know, before anything is done. An object
/// that is nobody's has to be the one that was seen: of several operators one is first, and the others see that they are not.
async fn claim<K: Kind>(
    object: &mut K,
    context: &Context,
    status: &mut K::Status,
) -> Result<(), ReconcileError> {
    let mut claimed = status.clone();
    *claimed.installation_mut() = Some(context.config.installation.clone());
    if object.status() != Some(&claimed) {
        let patch = Patch::Apply(status_patch(object, &claimed));
        let by = PatchParams::apply(FIELD_MANAGER).force();
        *object = api(object, context).patch_status(&object.name_any(), &by, &patch).await?;
    }
    *status = claimed;
    Ok(())
}

/// The whole status, for this object only. Where no operator has it yet, only as it was last seen.
fn status_patch<K: Kind>(object: &K, status: &K::Status) -> serde_json::Value {
    let is_claimed = object.status().and_then(ObjectStatus::installation).is_some();
    let version = object.resource_version().filter(|_| !is_claimed);
    let mut metadata = json!({"name": object.name_any(), "uid": object.uid()});
    if let Some(version) = version {
        metadata["resourceVersion"] = version.into();
    }
    json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "status": status,
    })
}

async fn settle<K: Kind>(
    object: &K,
    context: &Context,
    mut status: K::Status,
    settled: Settled,
) -> (ReconcileOutcome, Action) {
    let (now, generation) = (context.now(), object.meta().generation);
    let synced = ("Synced", "The installation has what the spec names.");
    *status.observed_generation_mut() = generation;
    let conditions = status.conditions_mut();
    set_condition(conditions, (ConditionType::Synced, true), synced, generation, now);
    let ready = (settled.reason, settled.message.as_str());
    set_condition(conditions, (ConditionType::Ready, settled.ready), ready, generation, now);
    let resync = context.spread(context.config.resync());
    if let Err(error) = write_status(object, context, &status).await {
        return retry(object, context, &error, None);
    }
    context.pauses.forget(&object.uid().unwrap_or_default());
    let again = settled.again_after.map_or(resync, |again| again.min(resync));
    (ReconcileOutcome::Settled, Action::requeue(again))
}

async fn fail<K: Kind>(
    object: &K,
    context: &Context,
    mut status: K::Status,
    error: ReconcileError,
) -> (ReconcileOutcome, Action) {
    if is_gone(&error) {
        return (ReconcileOutcome::Released, Action::await_change());
    }
    if error.is_conflict() {
        tracing::info!(kind = K::NAME.as_str(), object = %name_of(object), %error, "someone was quicker");
        return retry(object, context, &error, None);
    }
    let (now, generation) = (context.now(), object.meta().generation);
    let (word, message) = (error.word(), error.to_string());
    let before = condition(status.conditions(), ConditionType::Synced);
    let is_new = before.is_none_or(|before| before.reason != word || before.message != message);
    let conditions = status.conditions_mut();
    set_condition(conditions, (ConditionType::Synced, false), (word, &message), generation, now);
    // What could be used before an outage can be used during it.
    let waits = matches!(error, ReconcileError::Waiting { .. });
    let was_ready = condition(conditions, ConditionType::Ready).is_some_and(|ready| ready.status == "True");
    if waits || !was_ready {
        set_condition(conditions, (ConditionType::Ready, false), (word, &message), generation, now);
    }
    if is_new {
        tracing::warn!(kind = K::NAME.as_str(), object = %name_of(object), reason = word, %error, "an object is not as its spec says");
        context.events.warn(object, word, message).await;
    }
    if let Err(error) = write_status(object, context, &status).await {
        return retry(object, context, &error, None);
    }
    let asked = match &error {
        ReconcileError::Admin(failure) => failure.retry_after,
        _ => None,
    };
    retry(object, context, &error, asked)
}

fn retry<K: Kind>(
    object: &K,
    context: &Context,
    error: &ReconcileError,
    at_least: Option<Duration>,
) -> (ReconcileOutcome, Action) {
    let (uid, generation) = (object.uid().unwrap_or_default(), object.meta().generation.unwrap_or_default());
    let pause = context.pause(&uid, generation, at_least);
    match error {
        error if error.is_conflict() => {
            (ReconcileOutcome::Conflict, Action::requeue(pause.max(context.spread(AFTER_CONFLICT))))
        }
        ReconcileError::Waiting { .. } => (ReconcileOutcome::Waiting, Action::requeue(pause)),
        _ => (ReconcileOutcome::Failed, Action::requeue(pause)),
    }
}

/// Puts the finalizer on or takes it off, if the object is still the one that was seen.
async fn set_finalizer<K: Kind>(object: &K, context: &Context, held: bool) -> Result<(), ReconcileError> {
    let others = object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER);
    let mut finalizers: Vec<&str> = others.map(String::as_str).collect();
    if held {
        finalizers.push(FINALIZER);
    }
    let patch = Patch::Merge(json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()},
    }));
    let by = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api(object, context).patch(&object.name_any(), &by, &patch).await?;
    Ok(())
}

/// Server-side apply of the whole status: what is not in it any more goes.
async fn write_status<K: Kind>(
    object: &K,
    context: &Context,
    status: &K::Status,
) -> Result<(), ReconcileError> {
    if object.status() == Some(status) {
        return Ok(());
    }
    let patch = Patch::Apply(status_patch(object, status));
    let by = PatchParams::apply(FIELD_MANAGER).force();
    let written = api(object, context).patch_status(&object.name_any(), &by, &patch).await;
    match written.map_err(ReconcileError::from) {
        Err(error) if is_gone(&error) => Ok(()),
        written => written.map(drop),
    }
}

fn api<K: Kind>(object: &K, context: &Context) -> Api<K> {
    Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default())
}

/// Whether the object itself is gone meanwhile.
fn is_gone(error: &ReconcileError) -> bool {
    matches!(error, ReconcileError::Kubernetes(kube::Error::Api(status)) if status.code == 404)
}

fn name_of<K: Kind>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
