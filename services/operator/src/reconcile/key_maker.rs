//! Makes and replaces the keys of one object, such that at any moment it can be cut off and begun again: a key is told once, so
//! one that was made and not stored is revoked, and another is made.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use secrecy::SecretString;
use stagedoor_proto::admin::v1::{
    self, CreateAgentKeyRequest, GetCallerRequest, KeyState, ListAgentKeysRequest, RotateAgentKeyRequest,
    UpdateAgentKeyRequest,
};

use super::agent_key_secret::{Held, KeySecret};
use super::convert::{self, request_id};
use super::key_plan::{self, Because};
use super::key_rights;
use crate::context::Context;
use crate::kind::{KindName, ReconcileError};
use crate::metrics::Change;
use crate::resources::{AgentKey, AgentKeyStatus};

/// The scope of a key in the moment between its making and its first update: a request to make one holds only what never
/// changes, so that it is the same request whenever it comes again.
const FIRST_SCOPE: &str = "catalog:read";
/// How many keys whose secret was lost may lie in the way.
const MOST_LOST: usize = 8;
/// Why a key whose Secret was not written is revoked.
const LOST: &str = "its secret was lost before it was stored";

/// Makes and replaces keys of one object.
pub(super) struct Maker<'a> {
    pub(super) object: &'a AgentKey,
    pub(super) context: &'a Context,
    pub(super) tenant: &'a str,
    pub(super) user: &'a str,
    pub(super) secret: &'a KeySecret<'a>,
}

impl Maker<'_> {
    /// A new key in the Secret, where there is none that works.
    pub(super) async fn create(&self, status: &mut AgentKeyStatus) -> Result<v1::AgentKey, ReconcileError> {
        self.secret.try_write(self.tenant).await?;
        self.revoke_lost(status).await?;
        let uid = self.object.uid().unwrap_or_default();
        // Each request follows the key that was made last: one that was answered is never asked again.
        let mut seed = self.newest().await?;
        for _ in 0..MOST_LOST {
            let create = CreateAgentKeyRequest {
                tenant: self.tenant.to_owned(),
                name: self.object.key_name(),
                mode: self.object.mode().into(),
                scopes: vec![FIRST_SCOPE.to_owned()],
                read_only: true,
                user_id: self.user.to_owned(),
                request_id: request_id(&[&uid, "create", &seed]),
                ..CreateAgentKeyRequest::default()
            };
            let made = match self.context.admin.call(create).await {
                Ok(made) => made,
                Err(failure) if failure.exists() => {
                    return Err(ReconcileError::waiting(
                        "KeyNameTaken",
                        format!("spec.keyName: {failure} The name is {:?}.", self.object.key_name()),
                    ));
                }
                Err(failure) => return Err(failure.into()),
            };
            let key = made.agent_key.unwrap_or_default();
            if !made.secret.is_empty() {
                let told = "KeyIssued";
                return self.store(status, key, (made.secret, &made.endpoint), (told, Change::Created)).await;
            }
            // This request was made before, and its answer, with the secret, was lost.
            self.object.revoke(self.context, self.tenant, &key.key_id, LOST).await?;
            seed = key.key_id;
        }
        Err(ReconcileError::waiting(
            "KeysLost",
            "Several keys were made one after the other and none could be stored; the operator's log says why.",
        ))
    }

    /// The id of the key of this object's name that was made last; empty if there was none.
    async fn newest(&self) -> Result<String, ReconcileError> {
        let list = ListAgentKeysRequest {
            tenant: self.tenant.to_owned(),
            name: self.object.key_name(),
            page_size: 1,
            ..ListAgentKeysRequest::default()
        };
        let newest = self.context.admin.call(list).await?.agent_keys.into_iter().next();
        Ok(newest.map(|key| key.key_id).unwrap_or_default())
    }

    /// Revokes keys of this object's name that the operator made and nobody holds: their answer was lost, or their Secret could
    /// not be written.
    async fn revoke_lost(&self, status: &AgentKeyStatus) -> Result<(), ReconcileError> {
        let me = self.context.admin.call(GetCallerRequest {}).await?.principal;
        let known = [status.key_id.as_deref(), status.previous_key_id.as_deref()];
        for key in self.object.active(self.context, self.tenant).await? {
            let is_known = known.contains(&Some(key.key_id.as_str()));
            if !is_known && key.created_by == me && key.last_use_time.is_none() {
                self.object.revoke(self.context, self.tenant, &key.key_id, LOST).await?;
            }
        }
        Ok(())
    }

    /// A new key in the Secret in place of `old`, which goes on for the overlap.
    pub(super) async fn rotate(
        &self,
        status: &mut AgentKeyStatus,
        old: &v1::AgentKey,
        because: Because,
    ) -> Result<v1::AgentKey, ReconcileError> {
        self.secret.try_write(self.tenant).await?;
        let uid = self.object.uid().unwrap_or_default();
        if !old.replaced_by.is_empty() {
            // Its secret is not in the Secret: it was lost, or told to someone else.
            let reason = "it replaced a key of an AgentKey object, whose Secret does not hold it";
            self.object.revoke(self.context, self.tenant, &old.replaced_by, reason).await?;
        }
        let rotate = RotateAgentKeyRequest {
            tenant: self.tenant.to_owned(),
            key_id: old.key_id.clone(),
            overlap: Some(convert::duration(key_plan::overlap(&self.object.spec))),
            expire_time: None,
            request_id: request_id(&[&uid, "rotate", &old.key_id, &old.replaced_by]),
            validate_only: false,
        };
        let rotated = match self.context.admin.call(rotate).await {
            Ok(rotated) => rotated,
            Err(failure) if failure.exists() => {
                // The key before is still there: two may be active, and the one in use is not it.
                if let Some(previous) = status.previous_key_id.take_if(|previous| *previous != old.key_id) {
                    let reason = "a newer key had to be replaced within its overlap";
                    self.object.revoke(self.context, self.tenant, &previous, reason).await?;
                }
                return Err(failure.into());
            }
            Err(failure) => return Err(failure.into()),
        };
        let key = rotated.agent_key.unwrap_or_default();
        if rotated.secret.is_empty() {
            self.object.revoke(self.context, self.tenant, &key.key_id, LOST).await?;
            return Err(ReconcileError::waiting(
                "KeyLost",
                "A new key's secret was lost before it was stored; another is made.",
            ));
        }
        let ended = rotated.old_agent_key.unwrap_or_default();
        tracing::info!(key = old.key_id, by = key.key_id, "a key is replaced, as {}", because.text());
        let told = ("KeyRotated", Change::Rotated);
        let key = self.store(status, key, (rotated.secret, &rotated.endpoint), told).await?;
        status.previous_key_id = Some(old.key_id.clone()).filter(|_| ended.state() == KeyState::Active);
        status.previous_expire_time = convert::time(ended.expire_time.as_ref()).map(convert::text);
        Ok(key)
    }

    /// Gives a new key its rights and puts it into the Secret.
    async fn store(
        &self,
        status: &mut AgentKeyStatus,
        key: v1::AgentKey,
        (secret, endpoint): (String, &str),
        (event, change): (&str, Change),
    ) -> Result<v1::AgentKey, ReconcileError> {
        let secret = SecretString::from(secret);
        let key = self.rights(key).await?.0;
        self.secret.write(self.tenant, (&key.key_id, &secret), endpoint).await?;
        status.key_id = Some(key.key_id.clone());
        self.context.metrics.changed(KindName::AgentKey, change);
        let note = format!("The key {} is in the Secret {:?}.", key.key_id, self.object.secret_name());
        self.context.events.tell(self.object, event, note).await;
        Ok(key)
    }

    /// Keeps a key as the spec says.
    pub(super) async fn keep(
        &self,
        status: &AgentKeyStatus,
        key: v1::AgentKey,
        held: &Held,
    ) -> Result<v1::AgentKey, ReconcileError> {
        let (key, changed) = self.rights(key).await?;
        if let Some(what) = changed {
            let drift = status.observed_generation == self.object.metadata.generation;
            let (change, event) = if drift {
                (Change::DriftCorrected, "DriftCorrected")
            } else {
                (Change::Updated, "KeyUpdated")
            };
            self.context.metrics.changed(KindName::AgentKey, change);
            self.context.events.tell(self.object, event, format!("Changed: {what}.")).await;
        }
        let endpoint = self.endpoint();
        if endpoint.as_ref().is_some_and(|endpoint| *endpoint != held.endpoint) {
            let endpoint = endpoint.unwrap_or_default();
            self.secret.write(self.tenant, (&held.key_id, &held.key), &endpoint).await?;
        }
        Ok(key)
    }

    /// Brings a key's rights about; says what was changed.
    async fn rights(&self, key: v1::AgentKey) -> Result<(v1::AgentKey, Option<String>), ReconcileError> {
        let Some(changes) = key_rights::changes(&self.object.spec, &key)? else { return Ok((key, None)) };
        let told = changes.update_mask.clone().unwrap_or_default().paths.join(", ");
        let update = UpdateAgentKeyRequest { tenant: self.tenant.to_owned(), ..changes };
        Ok((self.context.admin.call(update).await?, Some(told)))
    }

    /// Where the tenant's agents connect, as its object has it.
    fn endpoint(&self) -> Option<String> {
        let namespace = self.object.namespace().unwrap_or_default();
        let named = ObjectRef::new(&self.object.spec.tenant_ref.name).within(&namespace);
        self.context.stores.tenants.get(&named)?.status.as_ref()?.endpoint.clone()
    }
}
