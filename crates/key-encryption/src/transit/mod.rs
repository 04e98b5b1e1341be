//! Tenants' keys wrapped by Vault's or OpenBao's transit engine, whose key never leaves it. What is asked and answered is
//! <https://developer.hashicorp.com/vault/api-docs/secret/transit>.

pub(crate) mod format;
mod http;
mod login;
mod options;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stagedoor_crypto::keys::wrap_binding;
use stagedoor_crypto::{DataKey, KekError, KekProvider, KeyOwner, Wrap};
use stagedoor_domain::{Clock, Entropy, TenantId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use options::{TransitError, TransitLogin, TransitOptions};

use http::{Refusal, VaultHttp, decode, encode};
use login::Login;

/// How often the token's end is looked at, and the service itself while it is in trouble.
const LOOK: Duration = Duration::from_secs(5);
/// How many looks lie between two of the key's versions.
const LOOKS_PER_REFRESH: u32 = 12;
/// For how long after an outage no call asks again.
const PAUSE: Duration = Duration::from_secs(1);

/// A key of a transit engine.
pub struct TransitKeys {
    http: VaultHttp,
    login: Login,
    mount: String,
    key: String,
    clock: Arc<dyn Clock>,
    versions: Mutex<Versions>,
    trouble: Mutex<Option<Trouble>>,
}

/// The versions that the service says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Versions {
    oldest: u64,
    latest: u64,
}

struct Trouble {
    at: Duration,
    reason: String,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct KeyState {
    #[serde(rename = "type")]
    kind: String,
    latest_version: u64,
    min_decryption_version: u64,
    #[serde(default)]
    derived: bool,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: SecretString,
}

impl TransitKeys {
    /// Logs in, looks at the key, and, where it is to wrap, tries that what it encrypts is bound to its place.
    pub async fn open(
        options: TransitOptions,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, TransitError> {
        check_names(&options)?;
        let keys = Self {
            http: VaultHttp::new(&options)?,
            login: Login::new(options.login, Arc::clone(&clock)),
            mount: options.mount,
            key: options.key,
            clock,
            versions: Mutex::new(Versions { oldest: 1, latest: 1 }),
            trouble: Mutex::default(),
        };
        let state = match keys.ask::<Answer<KeyState>>(&["keys", &keys.key], None).await {
            Ok(answer) => answer.data,
            Err(Refusal::NotFound) => return Err(TransitError::NoSuchKey(keys.key)),
            Err(refusal) => return Err(TransitError::Service(keys.refused("read the key", refusal))),
        };
        if state.derived || !matches!(&*state.kind, "aes256-gcm96" | "chacha20-poly1305") {
            return Err(TransitError::KeyType(state.kind));
        }
        keys.note(&state);
        if options.wraps {
            keys.prove(entropy).await?;
        }
        Ok(keys)
    }

    /// Renews the token before it ends and looks for new versions of the key, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let looking = async {
            let mut looks = 0;
            loop {
                tokio::time::sleep(LOOK).await;
                looks += 1;
                self.renew().await;
                if looks >= LOOKS_PER_REFRESH || self.trouble().is_some() {
                    looks = 0;
                    self.refresh().await;
                }
            }
        };
        shutdown.run_until_cancelled(looking).await;
    }

    /// Renews the token, or logs in anew, if its end is near.
    pub async fn renew(&self) {
        self.login.keep_alive(&self.http).await;
    }

    /// Looks at the key again, which also tells whether the service can be reached.
    pub async fn refresh(&self) {
        match self.ask::<Answer<KeyState>>(&["keys", &self.key], None).await {
            Ok(answer) => {
                self.note(&answer.data);
                self.reached();
            }
            Err(refusal) => drop(self.refused("read the key", refusal)),
        }
    }

    /// The service must refuse what stands in another place; old versions of Vault did not look.
    async fn prove(&self, entropy: &dyn Entropy) -> Result<(), TransitError> {
        let mut probe = Zeroizing::new([0; 32]);
        entropy.fill(probe.as_mut_slice());
        let sealed = self.encrypt(probe.as_slice(), b"here").await.map_err(TransitError::Service)?;
        let opened = self.decrypt(&sealed, b"here").await.map_err(TransitError::Service)?;
        match self.decrypt(&sealed, b"elsewhere").await {
            Err(KekError::Altered) if *opened == *probe => Ok(()),
            Err(KekError::Altered) | Ok(_) => Err(TransitError::NotBound),
            Err(error) => Err(TransitError::Service(error)),
        }
    }

    async fn encrypt(&self, plaintext: &[u8], binding: &[u8]) -> Result<String, KekError> {
        self.unpaused()?;
        let body = json!({ "plaintext": *encode(plaintext), "associated_data": *encode(binding) });
        match self.ask::<Answer<Encrypted>>(&["encrypt", &self.key], Some(&body)).await {
            Ok(answer) => {
                self.reached();
                Ok(answer.data.ciphertext)
            }
            Err(refusal) => Err(self.refused("encrypt", refusal)),
        }
    }

    async fn decrypt(&self, ciphertext: &str, binding: &[u8]) -> Result<Zeroizing<Vec<u8>>, KekError> {
        self.unpaused()?;
        let body = json!({ "ciphertext": ciphertext, "associated_data": *encode(binding) });
        let answer = self.ask::<Answer<Decrypted>>(&["decrypt", &self.key], Some(&body)).await;
        match answer {
            Ok(answer) => {
                self.reached();
                decode(answer.data.plaintext.expose_secret()).ok_or(KekError::Altered)
            }
            Err(Refusal::Invalid(words)) => {
                self.reached();
                Err(self.not_decrypted(ciphertext, &words))
            }
            Err(refusal) => Err(self.refused("decrypt", refusal)),
        }
    }

    /// What the engine's words for a ciphertext that it does not open mean.
    fn not_decrypted(&self, ciphertext: &str, words: &str) -> KekError {
        let foreign = ["version is disallowed", "version is too new", "encryption key not found"];
        if foreign.iter().any(|known| words.contains(known)) {
            return KekError::UnknownKey(self.id(format::version(ciphertext).unwrap_or_default()));
        }
        let altered = ["message authentication failed", "invalid ciphertext", "unable to decrypt"];
        if altered.iter().any(|known| words.contains(known)) {
            return KekError::Altered;
        }
        KekError::unreachable(format!("the key service refuses to decrypt: {words}"))
    }

    /// One request to the engine, and a second one with another token if the first token was refused.
    async fn ask<T: DeserializeOwned>(&self, path: &[&str], body: Option<&Value>) -> Result<T, Refusal> {
        let path: Vec<&str> = self.mount.split('/').chain(path.iter().copied()).collect();
        let token = self.login.token(&self.http).await.map_err(Refusal::Unreachable)?;
        let first = self.send(&path, token.as_deref(), body).await;
        let (Err(Refusal::Denied(_)), Some(refused)) = (&first, &token) else { return first };
        match self.login.another(&self.http, refused).await.map_err(Refusal::Unreachable)? {
            Some(token) => self.send(&path, Some(&token), body).await,
            None => first,
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token: Option<&SecretString>,
        body: Option<&Value>,
    ) -> Result<T, Refusal> {
        match body {
            Some(body) => self.http.write(path, token, body).await,
            None => self.http.read(path, token).await,
        }
    }

    /// The error of a request that was refused for no fault of a ciphertext. Noted, and logged when it is news.
    fn refused(&self, what: &str, refusal: Refusal) -> KekError {
        let error = match refusal {
            Refusal::Unreachable(error) => error,
            Refusal::Denied(words) => KekError::unreachable(format!(
                "the key service does not let us {what} with {:?}: {words}",
                self.key
            )),
            Refusal::Invalid(words) => KekError::unreachable(format!(
                "the key service refuses to {what} with {:?}: {words}",
                self.key
            )),
            Refusal::NotFound => KekError::unreachable(format!(
                "the key service has no transit engine at {:?} with a key {:?}",
                self.mount, self.key
            )),
        };
        let reason = error.to_string();
        let news = self.trouble().as_ref().is_none_or(|trouble| trouble.reason != reason);
        if news {
            tracing::error!(error = %stagedoor_domain::error::Chain(&error), "the key service is in trouble");
        }
        *self.trouble() = Some(Trouble { at: self.clock.elapsed(), reason });
        error
    }

    fn reached(&self) {
        if self.trouble().take().is_some() {
            tracing::info!("the key service works again");
        }
    }

    fn unpaused(&self) -> Result<(), KekError> {
        match &*self.trouble() {
            Some(trouble) if self.clock.elapsed().saturating_sub(trouble.at) < PAUSE => {
                Err(KekError::unreachable(trouble.reason.clone()))
            }
            _ => Ok(()),
        }
    }

    fn note(&self, state: &KeyState) {
        let seen = Versions { oldest: state.min_decryption_version.max(1), latest: state.latest_version };
        let before = std::mem::replace(&mut *self.versions(), seen);
        if before != seen {
            tracing::info!(oldest = seen.oldest, latest = seen.latest, "versions of the transit key");
        }
    }

    fn id(&self, version: u64) -> Uuid {
        format::version_id(&self.mount, &self.key, version)
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names become parts of paths: none may lead elsewhere.
fn check_names(options: &TransitOptions) -> Result<(), TransitError> {
    let good = |name: &str| {
        let characters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !name.is_empty() && !matches!(name, "." | "..") && name.chars().all(characters)
    };
    let mut mounts = vec![&options.mount];
    if let TransitLogin::Kubernetes { mount, .. } = &options.login {
        mounts.push(mount);
    }
    for mount in mounts {
        if !mount.split('/').all(good) {
            return Err(TransitError::Name(mount.clone()));
        }
    }
    if good(&options.key) { Ok(()) } else { Err(TransitError::Name(options.key.clone())) }
}

#[async_trait]
impl KekProvider for TransitKeys {
    async fn wrap(
        &self,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        _: &dyn Entropy,
    ) -> Result<Wrap, KekError> {
        let ciphertext = self.encrypt(&key.to_wrap(), &wrap_binding(tenant, key.id(), revision)).await?;
        let version = format::version(&ciphertext).ok_or_else(|| {
            KekError::unreachable("the key service gave no ciphertext of the form vault:v1:…")
        })?;
        Ok(format::store(self.id(version), &ciphertext))
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError> {
        let (wrapped_by, version, ciphertext) = format::read(wrapped)?;
        if self.id(version) != wrapped_by {
            return Err(KekError::UnknownKey(wrapped_by));
        }
        let held = self.decrypt(ciphertext, &wrap_binding(tenant, id, revision)).await?;
        Ok(DataKey::from_wrap(id, KeyOwner::Tenant, &held)?)
    }

    fn active_id(&self) -> Option<Uuid> {
        let latest = self.versions().latest;
        Some(self.id(latest))
    }

    fn ids(&self) -> Vec<Uuid> {
        let Versions { oldest, latest } = *self.versions();
        (oldest..=latest).map(|version| self.id(version)).collect()
    }

    fn problem(&self) -> Option<String> {
        self.trouble().as_ref().map(|trouble| trouble.reason.clone())
    }
}

impl fmt::Debug for TransitKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransitKeys")
            .field("mount", &self.mount)
            .field("key", &self.key)
            .field("versions", &*self.versions())
            .finish_non_exhaustive()
    }
}
