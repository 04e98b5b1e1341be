//! Who calls: an admin key, looked up at each call so that a revocation counts at once, or a token of the operators' issuer.
//! Nobody gets past this to a service. Who shows something that is not good is in the platform's trail.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use stagedoor_admin::{AdminCaller, AdminError, Bound, PLATFORM};
use stagedoor_audit::{AuditAction, AuditClient, Refusal};
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_crypto::PlainApiKey;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{CallId, ErrorCode, PrincipalKind, PublicError, TenantSlug, TenantStatus};
use stagedoor_storage::StoreError;
use tonic::Status;

use super::{AdminApi, is_grpc, json_errors, status};
use crate::client::Client;
use crate::concurrency::Permit;
use crate::oauth::{AdminClaims, TokenRefused};
use crate::token_validator::{Credential, TokenValidator};

/// Lets requests through whose caller is known, with the caller among their extensions.
pub(super) async fn layer(State(api): State<Arc<AdminApi>>, mut request: Request, next: Next) -> Response {
    let client = request.extensions().get::<Client>().cloned();
    let grpc = is_grpc(request.headers());
    let outcome = match api.sign_in(request.headers(), client.as_ref()).await {
        Err(TurnedAway::No { reason, guess, claimed }) => {
            Err(api.turn_away(reason, guess, claimed, client.as_ref()).await)
        }
        Err(TurnedAway::Unavailable(status)) => Err(*status),
        Ok(caller) => api.admit(&caller).map(|place| (caller, place)),
    };
    match outcome {
        Ok((caller, _place)) => {
            request.extensions_mut().insert(Arc::new(caller));
            next.run(request).await
        }
        Err(status) if grpc => status.into_http::<Body>(),
        Err(status) => json_errors::problem(&status).into_response(),
    }
}

/// Why a request has no caller.
enum TurnedAway {
    No {
        reason: AuthFailure,
        /// Whether it counts as a guess.
        guess: bool,
        /// Who it claims to be; `None` where it claims nothing of the right form, which is not worth a record.
        claimed: Option<Box<str>>,
    },
    Unavailable(Box<Status>),
}

impl AdminApi {
    /// A place for a call, so that no admin has all of them.
    fn admit(&self, caller: &AdminCaller) -> Result<Permit, Status> {
        let home = caller.bound_to.as_ref().map_or(self.rooms.platform.id, |bound| bound.id);
        self.concurrency.enter_as(home, &caller.kind).map_err(|full| status::of_public(*full))
    }

    async fn sign_in(&self, headers: &HeaderMap, client: Option<&Client>) -> Result<AdminCaller, TurnedAway> {
        let credential = TokenValidator.validate_admin(headers);
        let nothing = |reason| TurnedAway::No { reason, guess: false, claimed: None };
        match credential.map_err(nothing)? {
            Credential::Key(key) => self.by_key(&key, client.map(|client| client.address)).await,
            Credential::Token(token) => {
                let tokens = self.tokens.as_ref().ok_or_else(|| nothing(AuthFailure::Malformed))?;
                let claims =
                    tokens.sign_in(token.expose_secret()).await.map_err(|refused| match refused {
                        // What is no token at all claims nothing: a record of it would be anyone's to write.
                        TokenRefused::Invalid { reason: AuthFailure::Malformed, .. } => {
                            nothing(AuthFailure::Malformed)
                        }
                        TokenRefused::Invalid { reason, guess, .. } => {
                            TurnedAway::No { reason, guess, claimed: Some("admin-jwt:".into()) }
                        }
                        TokenRefused::Unavailable(error) => {
                            TurnedAway::Unavailable(Box::new(status::of_public(error)))
                        }
                    })?;
                self.by_claims(claims).await
            }
        }
    }

    async fn by_key(&self, key: &PlainApiKey, address: Option<IpAddr>) -> Result<AdminCaller, TurnedAway> {
        let label = PrincipalKind::AdminKey(key.id().clone()).label();
        let no = |reason, guess| TurnedAway::No { reason, guess, claimed: Some(label.as_str().into()) };
        let store = self.rooms.provisioning.store();
        let stored = store.find_admin_key(key.id()).await.map_err(|error| unavailable(&error))?;
        let stored = stored.filter(|stored| key.verify(&stored.digest, &self.rooms.peppers));
        let stored = stored.ok_or_else(|| no(AuthFailure::Unknown, true))?;
        let now = self.rooms.clock.now();
        if !stored.is_valid_at(now) {
            return Err(no(AuthFailure::Expired, false));
        }
        let elsewhere = |address| !stored.allowed_networks.iter().any(|network| network.contains(&address));
        if !stored.allowed_networks.is_empty() && address.is_none_or(elsewhere) {
            return Err(no(AuthFailure::Blocked, false));
        }
        if let Err(error) = store.note_admin_key_use(&stored.id, now).await {
            tracing::warn!(error = %Chain(&error), "the use of an admin key was not noted");
        }
        if let Some(new) = key.newer_digest(&stored.digest, &self.rooms.peppers) {
            match store.repepper_admin_key(&stored.id, &stored.digest, &new).await {
                Ok(stored) => {
                    let newest = new.pepper_version;
                    tracing::info!(key = %key.id(), newest, stored, "an admin key was brought under a new pepper");
                }
                Err(error) => {
                    tracing::warn!(key = %key.id(), error = %Chain(&error), "an admin key stays under its old pepper for now");
                }
            }
        }
        Ok(AdminCaller {
            kind: PrincipalKind::AdminKey(stored.id),
            role: stored.role,
            bound_to: stored.bound_to.map(|(id, slug, _)| Bound { id, slug }),
            allowed_networks: stored.allowed_networks,
            expires_at: stored.expires_at,
        })
    }

    async fn by_claims(&self, claims: AdminClaims) -> Result<AdminCaller, TurnedAway> {
        let kind = PrincipalKind::AdminToken(claims.subject.into());
        let no = || TurnedAway::No {
            reason: AuthFailure::Unknown,
            guess: false,
            claimed: Some(kind.label().into()),
        };
        let bound_to = match claims.tenant {
            None => None,
            Some(named) => {
                let slug: TenantSlug = named.parse().map_err(|_| no())?;
                let found = self.rooms.provisioning.store().find_tenant(&slug).await;
                let tenant = found.map_err(|error| unavailable(&error))?;
                let there = |status| !matches!(status, TenantStatus::Deleting | TenantStatus::Deleted);
                // Nobody is an admin of the installation's own, whose trail is for operators.
                let tenant = tenant.filter(|tenant| there(tenant.status) && slug.as_str() != PLATFORM);
                let tenant = tenant.ok_or_else(no)?;
                Some(Bound { id: tenant.id, slug })
            }
        };
        // A token's end says nothing of its holder, who may have another one at any time.
        Ok(AdminCaller { kind, role: claims.role, bound_to, allowed_networks: Vec::new(), expires_at: None })
    }

    /// One answer for all, so that none can be told apart; but whoever guesses too often is told to wait, and is on record
    /// no more.
    async fn turn_away(
        &self,
        reason: AuthFailure,
        guess: bool,
        claimed: Option<Box<str>>,
        client: Option<&Client>,
    ) -> Status {
        self.state.metrics.auth_failures.count(reason);
        if guess
            && let Some(client) = client
            && let Err(error) = self.state.authenticator.record_guess(client.address).await
        {
            return status::of_public(error);
        }
        if claimed.is_some() {
            self.record(claimed, client).await;
        }
        status::of_public(
            PublicError::new(ErrorCode::Unauthenticated, "A valid key of the admin API is needed.")
                .hint("Send it as `Authorization: Bearer sd_admin_…`; `stagedoor admin-key create` makes the first one."),
        )
    }

    async fn record(&self, claimed: Option<Box<str>>, client: Option<&Client>) {
        let refusal = Refusal {
            call: CallId::generate(&*self.rooms.clock, &*self.rooms.entropy),
            action: AuditAction::Authenticate,
            resource: None,
            claimed,
            error: ErrorCode::Unauthenticated,
            response_code: ErrorCode::Unauthenticated.http_status(),
            client: AuditClient {
                address: client.map(|client| client.address),
                user_agent: client.and_then(|client| client.user_agent.clone()),
                software: None,
            },
        };
        if let Err(error) = self.rooms.audit.refuse(Arc::clone(&self.rooms.platform), refusal).await {
            tracing::error!(error = %Chain(&error), "a refusal of the admin API was not recorded");
        }
    }
}

fn unavailable(error: &StoreError) -> TurnedAway {
    tracing::error!(error = %Chain(error), "a caller of the admin API could not be looked up");
    TurnedAway::Unavailable(Box::new(status::of(&AdminError::from(error.public()))))
}
