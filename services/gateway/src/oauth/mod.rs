//! The resource server of OAuth: tokens of issuers that tenants have registered, instead of keys. `sign_in` is the whole
//! way of one token; what clients are told is in `challenge` and `metadata`. Tokens are never issued, stored or passed on.

mod admins;
pub mod challenge;
mod egress;
mod fetch;
mod jwt;
mod key_set;
mod keys;
pub mod metadata;
mod people;
mod registered;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_audit::AuditLog;
use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{
    Clock, Entropy, ErrorCode, Issuer, Principal, PrincipalKind, PublicError, Tenant, TenantSlug, ToolsetSet,
};
use stagedoor_storage::{Store, StoreError};

pub(crate) use self::admins::AdminClaims;
pub use self::admins::AdminTokens;
pub use self::challenge::{Objection, Resources, StepUp};
pub use self::fetch::FetchSetupError;
pub use self::jwt::LONGEST_TOKEN;

use self::egress::Egress;
use self::jwt::{Flaw, Jwt};
use self::keys::{Keys, NoKey};
use self::people::{People, PeopleError};
use self::registered::Registered;
use crate::background::Background;
use crate::tenant_watch::TenantWatch;

/// How far the clocks of an issuer and ours may be apart (SECURITY §2).
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// Checks tokens.
#[derive(Debug)]
pub struct Tokens {
    resources: Arc<Resources>,
    registered: Registered,
    keys: Arc<Keys>,
    people: People,
    clock: Arc<dyn Clock>,
}

/// Who signed in with a token.
#[derive(Debug)]
pub(crate) struct TokenSignIn {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) issuer: Arc<Issuer>,
}

/// Why a token is not accepted.
#[derive(Debug)]
pub(crate) enum TokenRefused {
    /// It is not valid here. Clients are not told why.
    Invalid {
        /// The tenant, where one of its own issuers has signed the token; for its audit trail.
        tenant: Option<Arc<Tenant>>,
        /// Why, for metrics.
        reason: AuthFailure,
        /// Whether it counts as a guess.
        guess: bool,
    },
    /// It cannot be told now whether it is.
    Unavailable(PublicError),
}

impl Tokens {
    /// Checks tokens against what is registered in `store`; `watch` knows what became of tenants since.
    ///
    /// # Errors
    /// If there can be no client for issuers.
    pub fn new(
        config: &Config,
        store: Store,
        watch: Arc<TenantWatch>,
        (audit, background): (AuditLog, Background),
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
    ) -> Result<Self, FetchSetupError> {
        let egress = Egress::new(&config.oauth.allowed_networks, config.oauth.allow_http);
        Ok(Self {
            resources: Arc::new(Resources::new(&config.server.public_url)),
            registered: Registered::new(store.clone(), watch),
            keys: Arc::new(Keys::new(&config.oauth, egress, Arc::clone(&clock), background)?),
            people: People::new(store, audit, Arc::clone(&clock), entropy),
            clock,
        })
    }

    /// What endpoints are called.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// The issuers that clients of this tenant can ask for a token. Looks them up if `look_up`, else says what is
    /// remembered; none if they cannot be told.
    pub(crate) async fn issuers_of(&self, slug: &str, look_up: bool) -> Vec<Arc<Issuer>> {
        let Ok(slug) = slug.parse::<TenantSlug>() else { return Vec::new() };
        let known = if look_up {
            self.registered.of(&slug).await.ok().flatten()
        } else {
            self.registered.remembered(&slug).await
        };
        known.map(|known| known.issuers.clone()).unwrap_or_default()
    }

    /// The tenant and principal of a token that was sent to the path `called` of the tenant `slug`. Whether tenant and
    /// token are still good now is for the caller to check.
    pub(crate) async fn sign_in(
        &self,
        slug: &TenantSlug,
        called: &str,
        token: &str,
    ) -> Result<TokenSignIn, TokenRefused> {
        let jwt = Jwt::read(token).map_err(|flaw| malformed(flaw, None))?;
        let claimed = jwt.issuer().map_err(|flaw| malformed(flaw, None))?;
        let known = self.registered.of(slug).await.map_err(|error| unavailable(&error))?;
        let Some(known) = known else { return Err(guess(None, AuthFailure::Unknown)) };
        // Whoever is not registered is not asked for keys either.
        let Some(issuer) = known.find(claimed) else { return Err(guess(None, AuthFailure::Unknown)) };
        signed_by(&self.keys, issuer, &jwt).await?;
        // From here on it is the issuer's own word.
        let tenant = self.registered.newest_tenant(&known);
        let of_tenant = || Some(Arc::clone(&tenant));
        let audiences = jwt.audiences().map_err(|flaw| malformed(flaw, of_tenant()))?;
        if !self.is_for_us(&audiences, slug, called) {
            return Err(guess(of_tenant(), AuthFailure::Unknown));
        }
        let ends = end_of(&jwt, self.clock.now()).map_err(|refused| refused.into_refusal(of_tenant()))?;
        let subject = jwt.subject(&issuer.subject_claim).map_err(|flaw| malformed(flaw, of_tenant()))?;
        let scopes = jwt.scope().map_err(|flaw| malformed(flaw, of_tenant()))?;
        let user = self.people.find(&known, issuer, subject).await.map_err(|error| unknown_person(&error))?;
        let Some(user) = user else {
            return Err(TokenRefused::Invalid {
                tenant: of_tenant(),
                reason: AuthFailure::Unknown,
                guess: false,
            });
        };
        let principal = Principal {
            kind: PrincipalKind::Jwt { issuer: issuer.id, user },
            user: Some(user),
            scopes: issuer.scopes(scopes),
            toolsets: issuer.toolsets.unwrap_or_else(ToolsetSet::all),
            read_only: issuer.read_only,
            expires_at: Some(ends),
            allowed_networks: Vec::new(),
        };
        Ok(TokenSignIn { tenant, principal: Arc::new(principal), issuer: Arc::clone(issuer) })
    }

    /// Whether a token for these is for the endpoint that was called: for all of the tenant's, or for this one alone. A
    /// token for a narrower path is not good at a wider one.
    fn is_for_us(&self, audiences: &[&str], slug: &TenantSlug, called: &str) -> bool {
        let whole = self.resources.of(slug);
        let narrow = self.resources.at(called);
        audiences.iter().any(|audience| *audience == whole || narrow.as_deref() == Some(*audience))
    }
}

/// Fails unless a key of `issuer` has signed the token, with an algorithm that the issuer is registered for.
async fn signed_by(keys: &Arc<Keys>, issuer: &Issuer, jwt: &Jwt<'_>) -> Result<(), TokenRefused> {
    if !issuer.algorithms.contains(jwt.algorithm) {
        return Err(guess(None, AuthFailure::Unknown));
    }
    let found = keys.find(issuer, &jwt.kid, jwt.algorithm).await.map_err(|missing| match missing {
        NoKey::Unknown => guess(None, AuthFailure::Unknown),
        NoKey::Unavailable => TokenRefused::Unavailable(issuer_unavailable()),
    })?;
    let signed = found.key().is_some_and(|key| jwt.is_signed_with(key));
    if signed { Ok(()) } else { Err(guess(None, AuthFailure::WrongSecret)) }
}

/// When the token ends, with leeway; or why it is not good now.
fn end_of(jwt: &Jwt<'_>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Untimely> {
    let time = |claim: &str| -> Result<Option<DateTime<Utc>>, Untimely> {
        let seconds = jwt.time(claim).map_err(Untimely::Flawed)?;
        seconds
            .map(|seconds| DateTime::from_timestamp(seconds, 0).ok_or(Untimely::Flawed(Flaw::Claim)))
            .transpose()
    };
    let ends = time("exp")?.ok_or(Untimely::Flawed(Flaw::Claim))? + LEEWAY;
    if ends <= now {
        return Err(Untimely::Over);
    }
    for begin in ["nbf", "iat"] {
        if time(begin)?.is_some_and(|at| at > now + LEEWAY) {
            return Err(Untimely::Early);
        }
    }
    Ok(ends)
}

/// Why a token is not good at this time.
enum Untimely {
    Over,
    Early,
    Flawed(Flaw),
}

impl Untimely {
    /// Clients present tokens that have just ended, and those of a clock that is ahead: neither is a guess.
    fn into_refusal(self, tenant: Option<Arc<Tenant>>) -> TokenRefused {
        match self {
            Self::Over | Self::Early => {
                TokenRefused::Invalid { tenant, reason: AuthFailure::Expired, guess: false }
            }
            Self::Flawed(flaw) => malformed(flaw, tenant),
        }
    }
}

fn malformed(flaw: Flaw, tenant: Option<Arc<Tenant>>) -> TokenRefused {
    tracing::debug!(error = %flaw, "a token was refused");
    TokenRefused::Invalid { tenant, reason: AuthFailure::Malformed, guess: false }
}

fn guess(tenant: Option<Arc<Tenant>>, reason: AuthFailure) -> TokenRefused {
    TokenRefused::Invalid { tenant, reason, guess: true }
}

fn unavailable(error: &StoreError) -> TokenRefused {
    tracing::error!(error = %Chain(error), "a tenant's issuers could not be looked up");
    TokenRefused::Unavailable(error.public())
}

fn unknown_person(error: &PeopleError) -> TokenRefused {
    tracing::error!(error = %Chain(error), "the person of a token could not be looked up");
    TokenRefused::Unavailable(error.public())
}

fn issuer_unavailable() -> PublicError {
    PublicError::new(
        ErrorCode::IssuerUnavailable,
        "The issuer of this token does not answer, so it cannot be verified now.",
    )
    .retry_after(std::time::Duration::from_secs(5))
    .hint("Send the same token again in some seconds; a new one would fare no better.")
}
