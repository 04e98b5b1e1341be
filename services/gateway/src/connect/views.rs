//! What the templates are filled with. Names that come from outside are cleaned here and escaped by the templates.

use askama::Template;
use chrono::SecondsFormat;
use stagedoor_domain::Provider;
use stagedoor_domain::text::clean;
use stagedoor_tools::{Consent, WantedScope};
use url::Url;

use crate::pages::{MessageView, Removal, sentence};

/// The longest name of a person, agent, tenant or account that is shown, in characters.
const LONGEST_NAME: usize = 80;

/// Asks the person.
#[derive(Debug, Template)]
#[template(path = "connect/consent.html")]
pub(super) struct ConsentView {
    provider: &'static str,
    /// `None` if an admin of the tenant asks.
    agent: Option<String>,
    tenant: String,
    software: Option<String>,
    person: String,
    links_again: Option<String>,
    scopes: Vec<WantedScope>,
    form: String,
    leaves_to: String,
    expires_at: String,
    expires_at_machine: String,
    remove_at: Option<&'static str>,
}

impl ConsentView {
    /// The page for `consent`; `form` is the page's half of the token against forged forms.
    pub(super) fn new(consent: &Consent, form: String) -> Self {
        let scope =
            |scope: &WantedScope| WantedScope { name: name(&scope.name), meaning: sentence(&scope.meaning) };
        Self {
            provider: consent.provider.title(),
            agent: consent.agent.as_deref().map(name),
            tenant: name(&consent.tenant_name),
            software: consent.software.as_deref().map(name).filter(|software| !software.is_empty()),
            person: name(&consent.person),
            links_again: consent.links_again.as_deref().map(name),
            scopes: consent.scopes.iter().map(scope).collect(),
            form,
            leaves_to: host(&consent.leaves_to),
            expires_at: consent.expires_at.format("%H:%M UTC").to_string(),
            expires_at_machine: consent.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            remove_at: remove_at(consent.provider),
        }
    }
}

/// Tells that it worked.
#[derive(Debug, Template)]
#[template(path = "connect/linked.html")]
pub(super) struct LinkedView {
    provider: &'static str,
    account: String,
    missing: Vec<String>,
    remove_at: Option<&'static str>,
}

impl LinkedView {
    /// The page for an account that was linked.
    pub(super) fn new(provider: Provider, account: &str, missing: Vec<String>) -> Self {
        let account = Some(name(account)).filter(|account| !account.is_empty());
        Self {
            provider: provider.title(),
            account: account.unwrap_or_else(|| "your account".to_owned()),
            missing,
            remove_at: remove_at(provider),
        }
    }
}

/// The page after a declined consent.
pub(super) fn declined() -> MessageView {
    MessageView::wanted(
        "Nothing was linked",
        "You declined. Nothing was stored, and the agent is told.",
        "You can close this page. If you change your mind, ask the agent for a new link.",
    )
}

/// The end page without anything to tell.
pub(super) fn nothing_left() -> MessageView {
    MessageView::wanted(
        "Nothing left to do here",
        "This link is finished.",
        "You can close this page. Ask the agent which accounts are linked, or for a new link.",
    )
}

fn name(text: &str) -> String {
    clean(text, LONGEST_NAME)
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Where a person takes a permission away at the provider itself.
fn remove_at(provider: Provider) -> Option<&'static str> {
    Removal::at(provider).map(|removal| removal.address)
}
