//! The public keys with which a tenant's exports, receipts and checkpoints are verified, as a JWK Set (RFC 7517 §5, RFC
//! 8037), for anyone. A tenant that does not exist, or has signed nothing yet, has an answer of the same form: a key that
//! nothing is signed with, the same at each call and in each replica, so that nobody learns which tenants there are. It
//! changes only when the oldest pepper is retired.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use moka::future::Cache;
use serde_json::json;
use stagedoor_crypto::{Peppers, SigningKey, VerifyingKey};
use stagedoor_domain::TenantSlug;
use stagedoor_domain::error::Chain;
use stagedoor_storage::{Store, StoreError};

use crate::problem::Problem;
use crate::router;
use crate::state::AppState;

/// How long a key that was just made may be missing from an answer.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// Answers remembered at most; strangers choose the names.
const REMEMBERED: u64 = 10_000;
const CACHEABLE: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// RFC 7517 §8.5.2.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// Answers by name.
#[derive(Debug)]
pub struct SigningKeys {
    store: Store,
    peppers: Arc<Peppers>,
    known: Cache<TenantSlug, Bytes>,
}

impl SigningKeys {
    /// The keys in `store`; `peppers` make up those that are not there.
    pub fn new(store: Store, peppers: Arc<Peppers>) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build();
        Self { store, peppers, known }
    }

    async fn of(&self, slug: TenantSlug) -> Result<Bytes, Arc<StoreError>> {
        let look_up = async {
            let mut keys = self.store.public_signing_keys(&slug).await?;
            if keys.is_empty() {
                keys.push(decoy(&self.peppers, &slug));
            }
            let keys: Vec<_> = keys.iter().map(VerifyingKey::to_jwk).collect();
            Ok::<_, StoreError>(Bytes::from(json!({ "keys": keys }).to_string()))
        };
        Box::pin(self.known.try_get_with_by_ref(&slug, look_up)).await
    }
}

/// `GET /t/{tenant}/.well-known/signing-keys`.
pub async fn serve(State(state): State<Arc<AppState>>, Path(slug): Path<String>) -> Response {
    let Ok(slug) = slug.parse::<TenantSlug>() else { return router::not_found().await.into_response() };
    match state.signing_keys.of(slug).await {
        Ok(keys) => ([(CONTENT_TYPE, JWK_SET), (CACHE_CONTROL, CACHEABLE)], keys).into_response(),
        Err(error) => {
            tracing::error!(error = %Chain(&*error), "signing keys could not be looked up");
            Problem::new(error.public()).into_response()
        }
    }
}

/// A key of the form of a tenant's own, whose private half is forgotten at once.
fn decoy(peppers: &Peppers, slug: &TenantSlug) -> VerifyingKey {
    let id = peppers.derive("stagedoor/decoy-signing-key-id/1", slug.as_str());
    let mut random = [0; 16];
    random.copy_from_slice(&id[..16]);
    let seed = peppers.derive("stagedoor/decoy-signing-key/1", slug.as_str());
    let id = uuid::Builder::from_random_bytes(random).into_uuid();
    SigningKey::from_seed(id, &seed).expect("32 bytes are a seed").verifying_key()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_key_is_of_the_form_of_a_real_one_and_stays_the_same() {
        let pepper = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        let peppers = Peppers::from_files([("1", pepper.as_bytes())]).unwrap();
        let (ada, bob) = ("ada".parse().unwrap(), "bob".parse().unwrap());
        let key = decoy(&peppers, &ada);
        assert_eq!(key, decoy(&peppers, &ada));
        assert_ne!(key.bytes(), decoy(&peppers, &bob).bytes());
        assert_ne!(key.id(), decoy(&peppers, &bob).id());
        assert_eq!(key.id().get_version_num(), 4);
        let newer = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
        let rotated = Peppers::from_files([("1", pepper.as_bytes()), ("2", newer.as_bytes())]).unwrap();
        assert_eq!(key, decoy(&rotated, &ada), "a real key does not change with the pepper");
    }
}
