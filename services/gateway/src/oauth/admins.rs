//! Tokens of the installation's own issuer, with which operators may call the admin API in place of a key. The same rules as
//! for agents' tokens; what differs is that role and tenant are claims, and that the issuer stands in the configuration.

use std::sync::Arc;

use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_domain::{Clock, Issuer, IssuerId};
use stagedoor_storage::admin_keys::AdminRole;
use uuid::Uuid;

use super::egress::Egress;
use super::fetch::FetchSetupError;
use super::jwt::Jwt;
use super::keys::Keys;
use super::{LONGEST_TOKEN, TokenRefused, end_of, guess, malformed, signed_by};
use crate::background::Background;

/// Checks the tokens of operators.
#[derive(Debug)]
pub struct AdminTokens {
    issuer: Issuer,
    audience: String,
    role_claim: String,
    tenant_claim: String,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminClaims {
    /// Whom it is of.
    pub(crate) subject: String,
    /// What it is for.
    pub(crate) role: AdminRole,
    /// The name in URLs of the only tenant that it is for.
    pub(crate) tenant: Option<String>,
}

impl AdminTokens {
    /// Those of the issuer that `config` names, if it names one. It may be anywhere, which tenants' issuers may not: where
    /// operators sign in is often inside.
    ///
    /// # Errors
    /// If there can be no client for it.
    pub fn new(
        config: &Config,
        clock: &Arc<dyn Clock>,
        background: Background,
    ) -> Result<Option<Self>, FetchSetupError> {
        let Config { admin: config, oauth, .. } = config;
        let Some(url) = &config.issuer_url else { return Ok(None) };
        let keys = Keys::new(oauth, Egress::anywhere(oauth.allow_http), Arc::clone(clock), background)?;
        Ok(Some(Self {
            // As issuers name themselves: without the slash that a bare host gets as an address.
            issuer: Issuer::new(IssuerId(Uuid::nil()), url.clone()),
            audience: config.issuer_audience.clone().unwrap_or_default(),
            role_claim: config.issuer_role_claim.clone(),
            tenant_claim: config.issuer_tenant_claim.clone(),
            keys: Arc::new(keys),
            clock: Arc::clone(clock),
        }))
    }

    /// What a token says, if it is good now.
    pub(crate) async fn sign_in(&self, token: &str) -> Result<AdminClaims, TokenRefused> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenRefused::Invalid { tenant: None, reason: AuthFailure::Malformed, guess: false });
        }
        let flawed = |flaw| malformed(flaw, None);
        let jwt = Jwt::read(token).map_err(flawed)?;
        if jwt.issuer().map_err(flawed)? != self.issuer.url {
            return Err(guess(None, AuthFailure::Unknown));
        }
        signed_by(&self.keys, &self.issuer, &jwt).await?;
        if !jwt.audiences().map_err(flawed)?.contains(&self.audience.as_str()) {
            return Err(guess(None, AuthFailure::Unknown));
        }
        end_of(&jwt, self.clock.now()).map_err(|untimely| untimely.into_refusal(None))?;
        let role = jwt.subject(&self.role_claim).ok().and_then(AdminRole::named);
        let role = role.ok_or_else(|| guess(None, AuthFailure::Unknown))?;
        let tenant = jwt.optional(&self.tenant_claim).map_err(flawed)?.map(str::to_owned);
        let subject = jwt.subject("sub").map_err(flawed)?.to_owned();
        let fits = match role {
            AdminRole::PlatformOperator => tenant.is_none(),
            AdminRole::TenantAdmin => tenant.is_some(),
            AdminRole::Auditor => true,
        };
        if fits { Ok(AdminClaims { subject, role, tenant }) } else { Err(guess(None, AuthFailure::Unknown)) }
    }
}
