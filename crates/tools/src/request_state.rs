//! `requestState` of multi round-trip requests (MCP 2026-07-28): sealed under the tenant's key, bound to one
//! principal, tool and set of arguments. That each works once, and until when its link can be finished, is for the link's
//! row.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use stagedoor_crypto::{DataKey, SealContext, digest};
use stagedoor_domain::{Entropy, ErrorCode, LinkAttemptId, PublicError, TenantContext, ToolName};
use uuid::Uuid;

/// How long a state can be used: longer than any link is open, so that whoever comes back late still hears how it went.
const LIFE: TimeDelta = TimeDelta::hours(2);

/// The longest text that is looked at; ours are much shorter.
const MAX_LENGTH: usize = 4_096;

/// What a state carries from one round to the next.
#[derive(Debug)]
pub(crate) struct Round {
    /// The link that it is about.
    pub(crate) attempt: LinkAttemptId,
    /// How often the link was asked for before; a state counts only while this is its link's number.
    pub(crate) retry: i64,
    /// The page's address, which is stored nowhere else.
    pub(crate) page: SecretString,
}

/// Why a state does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Not of this server, tenant or tool, or altered.
    Altered,
    /// Of another principal of the tenant, for this link.
    Foreign(LinkAttemptId),
    /// For other arguments.
    OtherArguments,
    /// Of this principal, for this link, but too old.
    Expired(LinkAttemptId),
}

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    attempt: Uuid,
    retry: i64,
    #[serde(borrow)]
    page: Cow<'a, str>,
    #[serde(borrow)]
    principal: Cow<'a, str>,
    arguments: [u8; 32],
    expires_at: DateTime<Utc>,
}

/// To what a state is bound.
pub(crate) struct Binding<'a> {
    ctx: &'a TenantContext,
    tool: ToolName,
    arguments: [u8; 32],
}

impl<'a> Binding<'a> {
    /// The caller, the tool and its arguments in their canonical form.
    pub(crate) fn new(ctx: &'a TenantContext, tool: ToolName, arguments: &[u8]) -> Self {
        Self { ctx, tool, arguments: digest::sha256(&[arguments]) }
    }

    /// A state for the next round.
    pub(crate) fn seal(
        &self,
        key: &DataKey,
        entropy: &dyn Entropy,
        now: DateTime<Utc>,
        round: &Round,
    ) -> Result<String, serde_json::Error> {
        let principal = self.ctx.principal().label();
        let content = Content {
            attempt: round.attempt.0,
            retry: round.retry,
            page: round.page.expose_secret().into(),
            principal: principal.into(),
            arguments: self.arguments,
            expires_at: now + LIFE,
        };
        let plaintext = Zeroizing::new(serde_json::to_vec(&content)?);
        Ok(URL_SAFE_NO_PAD.encode(key.seal(&self.place(), &plaintext, entropy)))
    }

    /// What a state that came back carries.
    pub(crate) fn open(&self, key: &DataKey, now: DateTime<Utc>, state: &str) -> Result<Round, Rejected> {
        if state.len() > MAX_LENGTH {
            return Err(Rejected::Altered);
        }
        let envelope = URL_SAFE_NO_PAD.decode(state).map_err(|_| Rejected::Altered)?;
        let plaintext = key.open(&self.place(), &envelope).map_err(|_| Rejected::Altered)?;
        let content: Content<'_> = serde_json::from_slice(&plaintext).map_err(|_| Rejected::Altered)?;
        if content.principal != self.ctx.principal().label() {
            return Err(Rejected::Foreign(content.attempt.into()));
        }
        if content.arguments != self.arguments {
            return Err(Rejected::OtherArguments);
        }
        if content.expires_at <= now {
            return Err(Rejected::Expired(content.attempt.into()));
        }
        Ok(Round {
            attempt: content.attempt.into(),
            retry: content.retry,
            page: SecretString::from(content.page.as_ref()),
        })
    }

    fn place(&self) -> SealContext {
        SealContext {
            tenant: self.ctx.tenant_id(),
            table: "request_state",
            column: self.tool.as_str(),
            row: Uuid::nil(),
            revision: 0,
        }
    }
}

impl Rejected {
    /// What the agent is told; whose state it was is told to nobody.
    pub(crate) fn public(self) -> PublicError {
        match self {
            Self::Altered | Self::Foreign(_) => invalid("was not given out by this server for this call"),
            Self::OtherArguments => invalid("was given out for other arguments"),
            Self::Expired(attempt) => invalid_for("is more than two hours old", attempt),
        }
    }
}

/// A state that this principal was given for a link and that does not count any more: the link can still be asked about.
pub(crate) fn invalid_for(why: &str, attempt: LinkAttemptId) -> PublicError {
    invalid(why).hint(format!(
        "Call account_link with {{\"link\":\"{attempt}\"}} and without requestState to ask how the link went."
    ))
}

/// A state that does not count.
fn invalid(why: &str) -> PublicError {
    PublicError::new(ErrorCode::InvalidRequestState, format!("The requestState {why}."))
        .hint("Call again without requestState; that begins anew.")
}

#[cfg(test)]
mod tests;
