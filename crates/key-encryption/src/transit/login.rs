//! Our token at the key service: read from a file that an agent replaces, or gained by Kubernetes authentication and
//! renewed before it ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use stagedoor_crypto::KekError;
use stagedoor_domain::Clock;

use super::http::{Refusal, VaultHttp};
use super::options::TransitLogin;
use crate::directory::read_file;

/// Who we are, and the token that says so.
#[derive(Debug)]
pub(super) struct Login {
    how: TransitLogin,
    clock: Arc<dyn Clock>,
    held: tokio::sync::Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    token: Arc<SecretString>,
    lease: Option<Lease>,
}

/// A token's life, counted from before it was asked for.
#[derive(Debug, Clone, Copy)]
struct Lease {
    renew_at: Duration,
    ends_at: Duration,
    length: Duration,
    renewable: bool,
}

#[derive(Deserialize)]
struct LoginAnswer {
    auth: Granted,
}

#[derive(Deserialize)]
struct Granted {
    client_token: SecretString,
    /// Seconds; 0 for a token that does not end.
    lease_duration: u64,
    renewable: bool,
}

impl Login {
    pub(super) fn new(how: TransitLogin, clock: Arc<dyn Clock>) -> Self {
        Self { how, clock, held: tokio::sync::Mutex::default() }
    }

    /// The token to send; none where a proxy adds it. One call at a time logs in, the others wait for it.
    pub(super) async fn token(&self, http: &VaultHttp) -> Result<Option<Arc<SecretString>>, KekError> {
        if matches!(self.how, TransitLogin::Proxy) {
            return Ok(None);
        }
        let mut held = self.held.lock().await;
        let now = self.clock.elapsed();
        if let Some(held) = &*held
            && held.lease.is_none_or(|lease| now < lease.ends_at)
        {
            return Ok(Some(Arc::clone(&held.token)));
        }
        let gained = self.gain(http).await?;
        let token = Arc::clone(&gained.token);
        *held = Some(gained);
        Ok(Some(token))
    }

    /// Another token than `refused`, if there is one to be had.
    pub(super) async fn another(
        &self,
        http: &VaultHttp,
        refused: &SecretString,
    ) -> Result<Option<Arc<SecretString>>, KekError> {
        {
            let mut held = self.held.lock().await;
            if held.as_ref().is_some_and(|held| same(&held.token, refused)) {
                *held = None;
            }
        }
        Ok(self.token(http).await?.filter(|token| !same(token, refused)))
    }

    /// Renews the token if that is due, and gains a new one where it cannot be renewed for long.
    pub(super) async fn keep_alive(&self, http: &VaultHttp) {
        let mut held = self.held.lock().await;
        let now = self.clock.elapsed();
        let Some(current) = held.as_ref() else { return };
        let Some(lease) = current.lease.filter(|lease| now >= lease.renew_at) else { return };
        if lease.renewable {
            let path = ["auth", "token", "renew-self"];
            match http.write::<LoginAnswer>(&path, Some(&current.token), &json!({})).await {
                // Near the end of what the service allows at all, renewals get short.
                Ok(answer) if Duration::from_secs(answer.auth.lease_duration) * 3 >= lease.length => {
                    let length = lease.length;
                    let renewed = Lease::of(&answer.auth, now).map(|lease| Lease { length, ..lease });
                    *held = Some(Held { token: Arc::clone(&current.token), lease: renewed });
                    return;
                }
                Err(Refusal::Unreachable(error)) => {
                    tracing::warn!(%error, "the key service's token could not be renewed yet");
                    return;
                }
                Ok(_) | Err(_) => {}
            }
        }
        match self.gain(http).await {
            Ok(gained) => *held = Some(gained),
            Err(error) => tracing::warn!(%error, "no new token of the key service yet"),
        }
    }

    async fn gain(&self, http: &VaultHttp) -> Result<Held, KekError> {
        match &self.how {
            TransitLogin::Proxy => Err(KekError::unreachable("the proxy before the key service adds tokens")),
            TransitLogin::TokenFile(file) => Ok(Held { token: Arc::new(read(file).await?), lease: None }),
            TransitLogin::Kubernetes { mount, role, token_file } => {
                let account = read(token_file).await?;
                let path: Vec<&str> = ["auth"].into_iter().chain(mount.split('/')).chain(["login"]).collect();
                let body = json!({ "role": role, "jwt": account.expose_secret() });
                let now = self.clock.elapsed();
                let answer: LoginAnswer = http.write(&path, None, &body).await.map_err(not_logged_in)?;
                Ok(Held { lease: Lease::of(&answer.auth, now), token: Arc::new(answer.auth.client_token) })
            }
        }
    }
}

impl Lease {
    fn of(granted: &Granted, now: Duration) -> Option<Self> {
        let length = Duration::from_secs(granted.lease_duration);
        (!length.is_zero()).then(|| Self {
            renew_at: now + length * 2 / 3,
            ends_at: now + length,
            length,
            renewable: granted.renewable,
        })
    }
}

fn not_logged_in(refusal: Refusal) -> KekError {
    let reason = match refusal {
        Refusal::Unreachable(error) => return error,
        Refusal::Invalid(words) | Refusal::Denied(words) => words,
        Refusal::NotFound => "no such authentication method".to_owned(),
    };
    KekError::unreachable(format!("the key service refuses the Kubernetes login: {reason}"))
}

async fn read(file: &Path) -> Result<SecretString, KekError> {
    let path = file.to_owned();
    let unreadable = || format!("the token file {} cannot be read", file.display());
    let content = tokio::task::spawn_blocking(move || read_file(&path))
        .await
        .map_err(|_| KekError::unreachable(unreadable()))?
        .map_err(|error| KekError::Unreachable { reason: unreadable(), source: Some(error.into()) })?
        .ok_or_else(|| KekError::unreachable(format!("there is no token file {}", file.display())))?;
    let text = std::str::from_utf8(content.trim_ascii()).ok().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| KekError::unreachable(format!("{} holds no token", file.display())))?;
    Ok(SecretString::from(text))
}

fn same(left: &SecretString, right: &SecretString) -> bool {
    stagedoor_crypto::digest::constant_time_eq(
        left.expose_secret().as_bytes(),
        right.expose_secret().as_bytes(),
    )
}
