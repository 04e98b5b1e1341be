//! The Secret that holds a key: read, and written by server-side apply. It belongs to its `AgentKey` and goes with it. One that
//! belongs to something else is never touched.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::FIELD_MANAGER;
use crate::context::Context;
use crate::kind::ReconcileError;
use crate::resources::AgentKey;

/// The keys of the Secret.
const KEY: &str = "key";
const KEY_ID: &str = "keyId";
const ENDPOINT: &str = "endpoint";
const MCP: &str = "mcp.json";

/// What is in it.
pub(super) struct Held {
    pub(super) key_id: String,
    pub(super) key: SecretString,
    pub(super) endpoint: String,
    /// Whether all of it is there and fits together.
    pub(super) intact: bool,
}

/// A Secret of an object.
pub(super) struct KeySecret<'a> {
    api: Api<Secret>,
    name: String,
    owner: &'a AgentKey,
    /// As it was read.
    present: Option<Secret>,
}

impl<'a> KeySecret<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// `SecretTaken` if there is one of that name that is not this object's.
    pub(super) async fn read(context: &Context, owner: &'a AgentKey) -> Result<Self, ReconcileError> {
        let api: Api<Secret> =
            Api::namespaced(context.client.clone(), &owner.namespace().unwrap_or_default());
        let name = owner.secret_name();
        let present = api.get_opt(&name).await?;
        let uid = owner.uid().unwrap_or_default();
        let is_ours = |secret: &Secret| secret.owner_references().iter().any(|owner| owner.uid == uid);
        if present.as_ref().is_some_and(|secret| !is_ours(secret)) {
            return Err(taken(&name));
        }
        Ok(Self { api, name, owner, present })
    }

    /// What is in it; nothing if there is no Secret or no id of a key in it.
    pub(super) fn held(&self) -> Option<Held> {
        let data = self.present.as_ref()?.data.as_ref()?;
        let text =
            |key: &str| data.get(key).and_then(|ByteString(bytes)| String::from_utf8(bytes.clone()).ok());
        let key_id = text(KEY_ID).filter(|id| !id.is_empty())?;
        let key = SecretString::from(text(KEY).unwrap_or_default());
        let endpoint = text(ENDPOINT).unwrap_or_default();
        let whole = key.expose_secret();
        // `sd_live_` + id + `_` + secret + checksum; a damaged one is not tried to be mended.
        let intact = stagedoor_crypto::PlainApiKey::parse(whole).is_ok_and(|key| key.id().as_str() == key_id)
            && text(MCP).is_some_and(|mcp| mcp == mcp_json(&endpoint, whole));
        Some(Held { key_id, key, endpoint, intact })
    }

    /// Asks whether a key could be written into it, and writes nothing: no key is made that could not be stored.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) async fn try_write(&self, tenant: &str) -> Result<(), ReconcileError> {
        self.send(tenant, ("", &SecretString::default()), "", true).await
    }

    /// Writes a key into it.
    ///
    /// # Errors
    /// `SecretTaken` if someone else was quicker to make one of that name; a conflict if it was changed meanwhile.
    pub(super) async fn write(
        &self,
        tenant: &str,
        key: (&str, &SecretString),
        endpoint: &str,
    ) -> Result<(), ReconcileError> {
        self.send(tenant, key, endpoint, false).await
    }

    async fn send(
        &self,
        tenant: &str,
        (key_id, key): (&str, &SecretString),
        endpoint: &str,
        dry_run: bool,
    ) -> Result<(), ReconcileError> {
        let key = key.expose_secret();
        let texts = [
            (KEY, key.to_owned()),
            (KEY_ID, key_id.to_owned()),
            (ENDPOINT, endpoint.to_owned()),
            (MCP, mcp_json(endpoint, key)),
        ];
        let data = texts.map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())));
        let labels = [
            ("app.kubernetes.io/managed-by", FIELD_MANAGER),
            ("app.kubernetes.io/part-of", "stagedoor"),
            ("stagedoor.dev/tenant", tenant),
        ];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
                owner_references: Some(vec![self.owner_reference()]),
                // Applies to the Secret that was read, and to no other of that name.
                uid: self.present.as_ref().and_then(ResourceExt::uid),
                resource_version: self.present.as_ref().and_then(ResourceExt::resource_version),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some(BTreeMap::from(data)),
            ..Secret::default()
        };
        if self.present.is_some() {
            let by = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force() };
            self.api.patch(&self.name, &by, &Patch::Apply(&secret)).await?;
            return Ok(());
        }
        // A first apply would take over whatever is there by now; a create does not.
        let by = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run };
        match self.api.create(&by, &secret).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Err(taken(&self.name)),
            created => Ok(created.map(drop)?),
        }
    }

    fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: AgentKey::api_version(&()).into_owned(),
            kind: AgentKey::kind(&()).into_owned(),
            name: self.owner.name_any(),
            uid: self.owner.uid().unwrap_or_default(),
            controller: Some(true),
            // Would need the right to change finalizers.
            block_owner_deletion: None,
        }
    }
}

fn taken(name: &str) -> ReconcileError {
    ReconcileError::waiting(
        "SecretTaken",
        format!(
            "spec.secretName: there is a Secret {name:?} that this AgentKey did not make; delete it, or make an AgentKey with another secretName."
        ),
    )
}

/// The configuration of MCP clients that have an `mcpServers` object.
fn mcp_json(endpoint: &str, key: &str) -> String {
    let bearer = format!("Bearer {key}");
    let server: Value = json!({"type": "http", "url": endpoint, "headers": {"Authorization": bearer}});
    format!("{:#}\n", json!({"mcpServers": {"stagedoor": server}}))
}
