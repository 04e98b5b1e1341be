//! The Secret that holds the versions of the key-encryption key, through the API server of Kubernetes. The only user of
//! kube. Each change names the state that it is made to, so that two writers never undo each other's.

use std::fmt;

use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use secrecy::zeroize::Zeroizing;
use serde_json::{Map, Value, json};

use super::key_files::{KeyFileChange, KeyFileSet, KeyFiles, KeyPlaceError};

/// Who the change is by, in the Secret's `managedFields`.
const MANAGER: &str = "stagedoor-keeper";

/// A Secret whose keys are the names of key files.
pub struct KeySecret {
    secrets: Api<Secret>,
    namespace: String,
    name: String,
}

impl KeySecret {
    /// The Secret `NAMESPACE/NAME`, as the pod's service account or the kubeconfig in force may reach it.
    ///
    /// # Errors
    /// Another form of name, or nothing that says where the API server is.
    pub async fn open(named: &str) -> Result<Self, KeyPlaceError> {
        let client = Client::try_default().await.map_err(|error| failed(named, error))?;
        Self::with(client, named)
    }

    /// The same through a client that is handed in.
    pub fn with(client: Client, named: &str) -> Result<Self, KeyPlaceError> {
        let parts = named.split_once('/');
        let parts = parts
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains('/'));
        let Some((namespace, name)) = parts else {
            let text =
                format!("{named:?} names no Secret: wanted NAMESPACE/NAME, such as music/stagedoor-keys");
            return Err(KeyPlaceError::Unusable(text));
        };
        let secrets = Api::namespaced(client, namespace);
        Ok(Self { secrets, namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn failed(&self, error: kube::Error) -> KeyPlaceError {
        match &error {
            kube::Error::Api(status) if status.code == 409 => KeyPlaceError::Conflict(self.to_string()),
            _ => failed(&self.to_string(), error),
        }
    }
}

#[async_trait]
impl KeyFiles for KeySecret {
    async fn read(&self) -> Result<KeyFileSet, KeyPlaceError> {
        let secret = self.secrets.get(&self.name).await.map_err(|error| self.failed(error))?;
        if secret.immutable == Some(true) {
            let text = format!("the Secret {self} is immutable: keys cannot be rotated in it");
            return Err(KeyPlaceError::Unusable(text));
        }
        let files = secret.data.unwrap_or_default().into_iter();
        Ok(KeyFileSet {
            files: files.map(|(name, ByteString(content))| (name, Zeroizing::new(content))).collect(),
            revision: secret.metadata.resource_version,
        })
    }

    /// One JSON merge patch (RFC 7396) that names the `resourceVersion` it was made for: the API server answers 409 if
    /// there is a later one.
    async fn change(&self, seen: &KeyFileSet, changes: Vec<KeyFileChange>) -> Result<(), KeyPlaceError> {
        let mut data = Map::new();
        for change in changes {
            match change {
                KeyFileChange::Add(name, content) => {
                    data.insert(name, json!(ByteString(content.to_vec())));
                }
                KeyFileChange::Rename { from, to } => {
                    let there = seen.files.get(&from);
                    let there = there.ok_or_else(|| KeyPlaceError::Conflict(self.to_string()))?;
                    data.insert(to, json!(ByteString(there.to_vec())));
                    data.insert(from, Value::Null);
                }
                KeyFileChange::Remove(name) => {
                    data.insert(name, Value::Null);
                }
            }
        }
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": seen.revision},
            "data": data,
        }));
        let by = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.secrets.patch(&self.name, &by, &patch).await.map_err(|error| self.failed(error))?;
        Ok(())
    }
}

fn failed(named: &str, error: impl std::error::Error + Send + Sync + 'static) -> KeyPlaceError {
    KeyPlaceError::Secret(named.to_owned(), Box::new(error))
}

impl fmt::Display for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySecret({self})")
    }
}

#[cfg(test)]
mod tests;
