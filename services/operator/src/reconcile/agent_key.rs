//! `AgentKey`: a key that works is in the Secret, at any time. A key is told once, so what the Secret holds is what counts: a key
//! whose Secret was not written is revoked and another is made.

use kube::ResourceExt;
use stagedoor_proto::admin::v1::{
    self, GetAgentKeyRequest, GetCallerRequest, KeyState, ListAgentKeysRequest, ListUsersRequest,
    RevokeAgentKeyRequest,
};

use super::agent_key_secret::{Held, KeySecret};
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

    fn is_meant_for_another(&self, context: &Context) -> bool {
        let claimed = self.status.as_ref().is_some_and(|status| status.installation.is_some());
        let namespace = self.namespace().unwrap_or_default();
        !claimed && tenant_ref::is_elsewhere(context, &namespace, &self.spec.tenant_ref)
    }

    fn prepare(&self, context: &Context, status: &mut AgentKeyStatus) -> Result<(), ReconcileError> {
        let namespace = self.namespace().unwrap_or_default();
        status.tenant = Some(tenant_ref::find(context, &namespace, &self.spec.tenant_ref)?.slug);
        status.secret_name = Some(self.secret_name());
        Ok(())
    }

    async fn apply(&self, context: &Context, status: &mut AgentKeyStatus) -> Result<Settled, ReconcileError> {
        let namespace = self.namespace().unwrap_or_default();
        let tenant = tenant_ref::find(context, &namespace, &self.spec.tenant_ref)?.slug;
        self.only_claim(context, &namespace)?;
        let user = self.user(context, &tenant).await?;
        let secret = KeySecret::read(context, self).await?;
        let held = secret.held();
        let current = self.current(context, &tenant, held.as_ref(), status).await?;
        let current = current.filter(|key| key.user_id == user && key.mode() == self.mode());
        let is_current = |held: &&Held| current.as_ref().is_some_and(|key| key.key_id == held.key_id);
        let intact = held.as_ref().filter(|held| held.intact).filter(is_current);
        let maker = Maker { object: self, context, tenant: &tenant, user: &user, secret: &secret };
        let key = match key_plan::decide(&self.spec, current.as_ref(), intact, context.now()) {
            Step::Over => {
                let because = "spec.expireTime of its AgentKey object is over";
                self.revoke_all(context, &tenant, status, because).await?;
                status.rotate_time = None;
                let message = "spec.expireTime is over: no key is made any more.".to_owned();
                return Ok(Settled { ready: false, reason: "Expired", message, again_after: None });
            }
            Step::Create => maker.create(status).await?,
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
        // The tenant is written down before anything is asked of the installation: without it, nothing was made.
        let Some(tenant) = status.tenant.clone() else { return Ok(Cleanup::Done) };
        // The keys of the name are another object's, if that was there first.
        if self.only_claim(context, &self.namespace().unwrap_or_default()).is_ok() {
            self.revoke_all(context, &tenant, status, "its AgentKey object was deleted").await?;
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

    /// The key in use, as the installation knows it. The status says which: a Secret may be written by more people than those
    /// who may end keys. The Secret is believed where the status was not written after it, and for keys of this object's name.
    async fn current(
        &self,
        context: &Context,
        tenant: &str,
        held: Option<&Held>,
        status: &AgentKeyStatus,
    ) -> Result<Option<v1::AgentKey>, ReconcileError> {
        let known = match &status.key_id {
            Some(id) => self.own(context, tenant, id).await?,
            None => None,
        };
        let Some(held) = held.filter(|held| status.key_id.as_ref() != Some(&held.key_id)) else {
            return Ok(known);
        };
        let works = known.as_ref().filter(|key| key.state() == KeyState::Active);
        if works.is_some_and(|key| key.replaced_by != held.key_id) {
            return Ok(known);
        }
        let next = self.own(context, tenant, &held.key_id).await?;
        Ok(next.or(known))
    }

    /// The key of that id, if it has this object's name for its key.
    async fn own(
        &self,
        context: &Context,
        tenant: &str,
        key_id: &str,
    ) -> Result<Option<v1::AgentKey>, ReconcileError> {
        Ok(get(context, tenant, key_id).await?.filter(|key| key.name == self.key_name()))
    }

    /// Ends every key of this object: those of its name that the operator made, also where neither Secret nor status tells of
    /// them, or that the status names.
    async fn revoke_all(
        &self,
        context: &Context,
        tenant: &str,
        status: &AgentKeyStatus,
        reason: &str,
    ) -> Result<(), ReconcileError> {
        let known = [status.key_id.as_deref(), status.previous_key_id.as_deref()];
        let me = context.admin.call(GetCallerRequest {}).await?.principal;
        for key in self.active(context, tenant).await? {
            if key.created_by == me || known.contains(&Some(key.key_id.as_str())) {
                self.revoke(context, tenant, &key.key_id, reason).await?;
            }
        }
        Ok(())
    }

    /// The keys of this object's name that work, whoever made them; none if the tenant is gone.
    pub(super) async fn active(
        &self,
        context: &Context,
        tenant: &str,
    ) -> Result<Vec<v1::AgentKey>, ReconcileError> {
        let list = ListAgentKeysRequest {
            tenant: tenant.to_owned(),
            name: self.key_name(),
            state: KeyState::Active.into(),
            ..ListAgentKeysRequest::default()
        };
        match context.admin.call(list).await {
            Ok(list) => Ok(list.agent_keys),
            Err(failure) if failure.is_missing() || failure.is_of_state() => Ok(Vec::new()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Ends a key of this object's name. One that is gone, or whose tenant is, does not work either.
    pub(super) async fn revoke(
        &self,
        context: &Context,
        tenant: &str,
        key_id: &str,
        reason: &str,
    ) -> Result<(), ReconcileError> {
        let present = match self.own(context, tenant, key_id).await {
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
