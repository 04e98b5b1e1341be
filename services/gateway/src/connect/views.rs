//! What the templates are filled with. Names that come from outside are cleaned here and escaped by the templates.

use askama::Template;
use chrono::SecondsFormat;
use stagedoor_domain::Provider;
use stagedoor_domain::text::clean;
use stagedoor_tools::{Consent, WantedScope};
use url::Url;

/// The longest name of a person, agent, tenant or account that is shown, in characters.
const LONGEST_NAME: usize = 80;
/// Longer sentences of others are cut.
const LONGEST_SENTENCE: usize = 300;

/// Asks the person.
#[derive(Debug, Template)]
#[template(path = "connect/consent.html")]
pub(super) struct ConsentView {
    provider: &'static str,
    agent: String,
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
        let scope = |scope: &WantedScope| WantedScope {
            name: name(&scope.name),
            meaning: clean(&scope.meaning, LONGEST_SENTENCE),
        };
        Self {
            provider: consent.provider.title(),
            agent: name(&consent.agent),
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

/// Tells anything else.
#[derive(Debug, Template)]
#[template(path = "connect/message.html")]
pub(super) struct MessageView {
    /// The page's title.
    pub(super) heading: &'static str,
    /// What happened.
    pub(super) what: String,
    /// Where to take away what was granted at the service, although nothing came of it here.
    pub(super) remove_at: Option<Removal>,
    /// What the person can do.
    pub(super) now: &'static str,
    /// Whether to load the page again may help.
    pub(super) again: bool,
    /// The stable code, for whoever is asked for help.
    pub(super) code: Option<&'static str>,
    /// The id under which the operator finds the log line.
    pub(super) call: Option<String>,
}

impl MessageView {
    /// The page after a declined consent.
    pub(super) fn declined() -> Self {
        Self::wanted(
            "Nothing was linked",
            "You declined. Nothing was stored, and the agent is told.",
            "You can close this page. If you change your mind, ask the agent for a new link.",
        )
    }

    /// The end page without anything to tell.
    pub(super) fn nothing_left() -> Self {
        Self::wanted(
            "Nothing left to do here",
            "This link is finished.",
            "You can close this page. Ask the agent which accounts are linked, or for a new link.",
        )
    }

    fn wanted(heading: &'static str, what: &'static str, now: &'static str) -> Self {
        Self { heading, what: what.to_owned(), remove_at: None, now, again: false, code: None, call: None }
    }
}

/// Where a person takes a permission away at a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removal {
    /// The service's name.
    pub(super) provider: &'static str,
    /// The page there.
    pub(super) address: &'static str,
}

impl Removal {
    /// `None` if the service has no such page that is known.
    pub(super) fn at(provider: Provider) -> Option<Self> {
        remove_at(provider).map(|address| Self { provider: provider.title(), address })
    }
}

/// A sentence of ours or of others, fit to be shown.
pub(super) fn sentence(text: &str) -> String {
    clean(text, LONGEST_SENTENCE)
}

fn name(text: &str) -> String {
    clean(text, LONGEST_NAME)
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Where a person takes a permission away at the provider itself.
const fn remove_at(provider: Provider) -> Option<&'static str> {
    match provider {
        Provider::Spotify => Some("https://www.spotify.com/account/apps/"),
        Provider::Tidal => None,
    }
}
