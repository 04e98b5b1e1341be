//! `AgentKey`: a key that works is in the Secret, at any time. A key is told once, so what the Secret holds is what counts: a key
//! whose Secret was not written is revoked and another is made.

use kube::ResourceExt;
use stagedoor_proto::admin::v1::{
    self, GetAgentKeyRequest, KeyState, ListUsersRequest, RevokeAgentKeyRequest,
};

use super::agent_key_secret::KeySecret;
use super::convert;
use super::key_maker::Maker;
use super::key_plan::{self, Step};
use super::tenant_ref;
use crate::context::{Context, first_claim};
use crate::kind::{Cleanup, Kind, KindName, ReconcileError, Settled};
use crate::metrics::Change;
use crate::resources::{AgentKey, AgentKeyStatus, KeyMode};

impl Kind for AgentKey {
    const NAME: KindName = KindName::AgentKey;
    type Status = AgentKeyStatus;

    fn status(&self) -> Option<&AgentKeyStatus> {
        self.status.as_ref()
    }

    async fn apply(&self, context: &Context, status: &mut AgentKeyStatus) -> Result<Settled, ReconcileError> {
        let namespace = self.namespace().unwrap_or_default();
        let tenant = tenant_ref::find(context, &namespace, &self.spec.tenant_ref)?.slug;
        status.tenant = Some(tenant.clone());
        status.secret_name = Some(self.secret_name());
        self.only_claim(context, &namespace)?;
        let user = self.user(context, &tenant).await?;
        let secret = KeySecret::read(context, self).await?;
        let held = secret.held();
        let named = held.as_ref().map(|held| held.key_id.clone()).or_else(|| status.key_id.clone());
        let current = match &named {
            Some(id) => get(context, &tenant, id).await?,
            None => None,
        };
        let current = current.filter(|key| key.user_id == user && key.mode() == self.mode());
        let intact = held.as_ref().filter(|held| held.intact);
        let maker = Maker { object: self, context, tenant: &tenant, user: &user, secret: &secret };
        let key = match key_plan::decide(&self.spec, current.as_ref(), intact, context.now()) {
            Step::Over => {
                for id in named.iter().chain(&status.previous_key_id) {
                    self.revoke(context, &tenant, id, "spec.expireTime of its AgentKey object is over")
                        .await?;
                }
                status.rotate_time = None;
                let message = "spec.expireTime is over: no key is made any more.".to_owned();
                return Ok(Settled { ready: false, reason: "Expired", message, again_after: None });
            }
            Step::Create => maker.create(status, named.as_deref().unwrap_or_default()).await?,
            Step::Rotate(old, because) => maker.rotate(status, old, because).await?,
            Step::Keep(key, held) => maker.keep(status, key.clone(), held).await?,
        };
        Ok(self.settled(context, status, &key))
    }

    async fn clean_up(
        &self,
        context: &Context,
        status: &mut AgentKeyStatus,
    ) -> Result<Cleanup, ReconcileError> {
        let Some(tenant) = status.tenant.clone() else { return Ok(Cleanup::Done) };
        let held = match KeySecret::read(context, self).await {
            Ok(secret) => secret.held().map(|held| held.key_id),
            // Someone else's Secret holds no key of this object.
            Err(ReconcileError::Waiting { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut ids: Vec<_> =
            [held, status.key_id.clone(), status.previous_key_id.clone()].into_iter().flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in &ids {
            self.revoke(context, &tenant, id, "its AgentKey object was deleted").await?;
        }
        Ok(Cleanup::Done)
    }
}

impl AgentKey {
    /// The mode as the admin API has it.
    pub(super) fn mode(&self) -> v1::KeyMode {
        match self.spec.mode {
            KeyMode::Live => v1::KeyMode::Live,
            KeyMode::Test => v1::KeyMode::Test,
        }
    }

    /// Fails if another object of this tenant with the same name for its key was there first.
    fn only_claim(&self, context: &Context, namespace: &str) -> Result<(), ReconcileError> {
        let same = |other: &AgentKey| {
            other.namespace().as_deref() == Some(namespace)
                && other.spec.tenant_ref == self.spec.tenant_ref
                && other.key_name() == self.key_name()
        };
        let claims = context.stores.agent_keys.state().into_iter().filter(|other| same(other));
        let has_it = |key: &AgentKey| key.status.as_ref().is_some_and(|status| status.key_id.is_some());
        match first_claim(claims, has_it) {
            Some(first) if first.uid() != self.uid() => Err(ReconcileError::waiting(
                "Duplicate",
                format!(
                    "spec.keyName: the AgentKey {:?} has this name already; make this one with another keyName.",
                    first.name_any()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The id of the person whom the key acts for; empty for nobody.
    async fn user(&self, context: &Context, tenant: &str) -> Result<String, ReconcileError> {
        let Some(subject) = &self.spec.external_subject else {
            let id = self.spec.user_id.as_deref().unwrap_or_default();
            return Ok(convert::uuid_text(id).unwrap_or_else(|| id.to_owned()));
        };
        let list = ListUsersRequest {
            tenant: tenant.to_owned(),
            external_subject: subject.clone(),
            ..ListUsersRequest::default()
        };
        let users = context.admin.call(list).await?.users;
        let user = users.into_iter().find(|user| user.external_subject == *subject);
        user.map(|user| user.user_id).ok_or_else(|| {
            ReconcileError::waiting(
                "PersonMissing",
                "spec.externalSubject: the tenant has nobody of that subject yet (`stagedoorctl users create --external-subject`).",
            )
        })
    }

    /// Ends a key. One that is gone, or whose tenant is, does not work either.
    pub(super) async fn revoke(
        &self,
        context: &Context,
        tenant: &str,
        key_id: &str,
        reason: &str,
    ) -> Result<(), ReconcileError> {
        let present = match get(context, tenant, key_id).await {
            Ok(Some(key)) if key.state() == KeyState::Active => key,
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        };
        let revoke = RevokeAgentKeyRequest {
            tenant: tenant.to_owned(),
            key_id: present.key_id,
            reason: reason.to_owned(),
            validate_only: false,
        };
        match context.admin.call(revoke).await {
            Ok(_) => {
                context.metrics.changed(KindName::AgentKey, Change::Revoked);
                let note = format!("The key {key_id} was revoked: {reason}.");
                context.events.tell(self, "KeyRevoked", note).await;
                Ok(())
            }
            Err(failure) if failure.is_missing() || failure.is_of_state() => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn settled(&self, context: &Context, status: &mut AgentKeyStatus, key: &v1::AgentKey) -> Settled {
        let now = context.now();
        let due = key_plan::due(key, self.spec.rotation);
        let ends = convert::time(key.expire_time.as_ref());
        status.key_id = Some(key.key_id.clone());
        status.issue_time = convert::time(key.create_time.as_ref()).map(convert::text);
        status.expire_time = ends.map(convert::text);
        status.rotate_time = due.map(convert::text);
        let previous_ends = status
            .previous_expire_time
            .as_deref()
            .and_then(|end| chrono::DateTime::parse_from_rfc3339(end).ok());
        let previous_ends = previous_ends.map(|end| end.to_utc());
        if previous_ends.is_none_or(|end| end <= now) {
            status.previous_key_id = None;
            status.previous_expire_time = None;
        }
        let next = [due, ends, key_plan::end(&self.spec), previous_ends]
            .into_iter()
            .flatten()
            .filter(|time| *time > now);
        let message = format!("The key {} is in the Secret {:?}.", key.key_id, self.secret_name());
        let again_after = next.min().map(|time| convert::until(time, now));
        Settled { again_after, ..Settled::ready("Issued", message) }
    }
}

/// A key as the installation knows it.
async fn get(context: &Context, tenant: &str, key_id: &str) -> Result<Option<v1::AgentKey>, ReconcileError> {
    let request = GetAgentKeyRequest { tenant: tenant.to_owned(), key_id: key_id.to_owned() };
    match context.admin.call(request).await {
        Ok(key) => Ok(Some(key)),
        Err(failure) if failure.is_missing() => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
