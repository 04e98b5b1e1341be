//! Linking a person's account: what the pages of a link need (consent, agreement, the provider's answer) and the
//! tool that agents call. Pages and addresses are the gateway's; rows are `storage`'s; OAuth is `providers`'.

mod admins;
mod asker;
mod completion;
mod failure;
pub(crate) mod output;
mod pages;
pub(crate) mod revocation;
mod rounds;
mod scopes;
pub(crate) mod secrets;
pub(crate) mod tool;
mod unkept;
pub(crate) mod unlink;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use stagedoor_audit::AuditResource;
use stagedoor_domain::{LinkAttemptId, Provider};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::desk::Desk;

pub use admins::{LinkOffer, UnlinkedAccount};

/// How links are made.
#[derive(Debug, Clone)]
pub struct LinkingOptions {
    /// The address under which people and providers reach the gateway, such as `https://music.example.com`.
    pub public_url: Url,
    /// How long a call that asks how a link went may wait for the person.
    pub wait: Duration,
    /// How long a person has to finish a link.
    pub attempt_life: TimeDelta,
    /// Ends the waiting, because the process is about to end.
    pub stop: CancellationToken,
}

/// What a person is asked to agree to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The tenant's name.
    pub tenant_name: String,
    /// The person, as the tenant names them.
    pub person: String,
    /// The agent that asks: the name of its API key. `None` if an admin of the tenant asks.
    pub agent: Option<String>,
    /// The agent's program, as it says itself.
    pub software: Option<String>,
    /// Whose account is to be linked.
    pub provider: Provider,
    /// What the agent could do then.
    pub scopes: Vec<WantedScope>,
    /// The name of the account that is linked again, if one is.
    pub links_again: Option<String>,
    /// When the link ends.
    pub expires_at: DateTime<Utc>,
    /// The origin that agreeing leads to, for the page's `form-action`.
    pub leaves_to: Url,
}

/// One scope and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedScope {
    /// Its name at the provider.
    pub name: String,
    /// What it allows, in words for people.
    pub meaning: String,
}

/// Where an agreement leads.
#[derive(Clone)]
pub struct Departure {
    /// The provider's authorize address; holds the OAuth `state`, so it is no text for a log.
    pub url: Url,
    /// What only this browser knows, for a cookie.
    pub browser_secret: SecretString,
}

/// What came back from the provider through the person's browser.
#[derive(Debug)]
pub struct ProviderAnswer {
    /// The provider that the address names.
    pub provider: Provider,
    /// The hash of the `state` by which the link was found.
    pub state_hash: [u8; 32],
    /// The authorization code, or the provider's `error` (RFC 6749 §4.1.2).
    pub outcome: Result<SecretString, String>,
    /// Who says that it answers (RFC 9207 `iss`).
    pub issuer: Option<String>,
    /// The cookie of the browser.
    pub browser_secret: Option<SecretString>,
}

/// What the person's last page tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedPage {
    /// Whose account it is.
    pub provider: Provider,
    /// The account's name.
    pub account: String,
    /// Scopes that were asked for, or granted before, and are not granted now, in the provider's words.
    pub missing_scopes: Vec<String>,
}

/// What a provider's answer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// The account is linked.
    Linked(LinkedPage),
    /// The account was linked by this answer when it came for the first time.
    LinkedBefore,
}

/// Links accounts.
pub struct Linking {
    desk: Arc<Desk>,
    options: LinkingOptions,
}

impl Linking {
    pub(crate) fn new(desk: Arc<Desk>, options: LinkingOptions) -> Arc<Self> {
        Arc::new(Self { desk, options })
    }
}

/// A link as audit records name it.
fn of_attempt(attempt: LinkAttemptId) -> AuditResource {
    AuditResource { kind: "link", id: attempt.to_string().into() }
}

impl fmt::Debug for Linking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linking").finish_non_exhaustive()
    }
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure").finish_non_exhaustive()
    }
}
