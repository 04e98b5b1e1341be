//! The page that tells one thing: how something ended, or why it did not.

use askama::Template;
use stagedoor_domain::Provider;
use stagedoor_domain::text::clean;

/// Longer sentences of others are cut.
const LONGEST_SENTENCE: usize = 300;

/// Tells what is to be told.
#[derive(Debug, Template)]
#[template(path = "pages/message.html")]
pub(crate) struct MessageView {
    /// The page's title.
    pub(crate) heading: &'static str,
    /// What happened.
    pub(crate) what: String,
    /// Where to take away what was granted at the service, although nothing came of it here.
    pub(crate) remove_at: Option<Removal>,
    /// What the person can do.
    pub(crate) now: &'static str,
    /// Whether to load the page again may help.
    pub(crate) again: bool,
    /// The stable code, for whoever is asked for help.
    pub(crate) code: Option<&'static str>,
    /// The id under which the operator finds the log line.
    pub(crate) call: Option<String>,
}

impl MessageView {
    /// A page that tells of no failure.
    pub(crate) fn wanted(heading: &'static str, what: &'static str, now: &'static str) -> Self {
        Self { heading, what: what.to_owned(), remove_at: None, now, again: false, code: None, call: None }
    }
}

/// Where a person takes a permission away at a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removal {
    /// The service's name.
    pub(crate) provider: &'static str,
    /// The page there.
    pub(crate) address: &'static str,
}

impl Removal {
    /// `None` if the service has no such page that is known.
    pub(crate) fn at(provider: Provider) -> Option<Self> {
        let address = match provider {
            Provider::Spotify => "https://www.spotify.com/account/apps/",
            Provider::Tidal => return None,
        };
        Some(Self { provider: provider.title(), address })
    }
}

/// A sentence of ours or of others, fit to be shown.
pub(crate) fn sentence(text: &str) -> String {
    clean(text, LONGEST_SENTENCE)
}
