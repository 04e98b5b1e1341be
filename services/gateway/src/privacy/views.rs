//! What the templates are filled with. Names that come from outside are cleaned here and escaped by the templates.

use askama::Template;
use chrono::{DateTime, SecondsFormat, Utc};
use stagedoor_domain::text::clean;
use stagedoor_tools::{ErasureSeen, Holding, PrivacyKind, PrivacyOffer};

use crate::pages::MessageView;

/// The longest name of a person or tenant that is shown, in characters.
const LONGEST_NAME: usize = 80;

/// Asks the person.
#[derive(Debug, Template)]
#[template(path = "privacy/offer.html")]
pub(super) struct OfferView {
    deletes: bool,
    tenant: String,
    person: String,
    holdings: Vec<Holding>,
    left_out: &'static [&'static str],
    kept: Vec<String>,
    form: String,
    expires_at: Moment,
}

/// Shows how far a deletion is.
#[derive(Debug, Template)]
#[template(path = "privacy/erasure.html")]
pub(super) struct ErasureView {
    steps: Vec<StepView>,
    finished_at: Option<Moment>,
    due_by: Moment,
    request: String,
    form: String,
}

/// A step and whether it is done.
#[derive(Debug)]
struct StepView {
    what: &'static str,
    done: bool,
}

/// A time for people and for machines.
#[derive(Debug)]
struct Moment {
    text: String,
    machine: String,
}

impl OfferView {
    /// The page for `offer`; `form` is the page's half of the token against forged forms.
    pub(super) fn new(offer: &PrivacyOffer, form: String) -> Self {
        Self {
            deletes: offer.kind != PrivacyKind::Export,
            tenant: clean(&offer.tenant_name, LONGEST_NAME),
            person: clean(&offer.person, LONGEST_NAME),
            holdings: offer.holdings.clone(),
            left_out: offer.left_out,
            kept: offer.kept.clone(),
            form,
            expires_at: Moment::of_the_day(offer.expires_at),
        }
    }
}

impl ErasureView {
    /// The page for a deletion that was confirmed.
    pub(super) fn new(erasure: &ErasureSeen, form: String) -> Self {
        let steps = erasure.steps.iter().map(|(what, done)| StepView { what, done: *done });
        Self {
            steps: steps.collect(),
            finished_at: erasure.finished_at.map(Moment::new),
            due_by: Moment::new(erasure.due_by),
            request: erasure.request.to_string(),
            form,
        }
    }
}

impl Moment {
    fn new(at: DateTime<Utc>) -> Self {
        Self { text: at.format("%-d %B %Y, %H:%M UTC").to_string(), machine: machine(at) }
    }

    fn of_the_day(at: DateTime<Utc>) -> Self {
        Self { text: at.format("%H:%M UTC").to_string(), machine: machine(at) }
    }
}

/// The page of a deletion that was not wanted after all.
pub(super) fn kept_everything() -> MessageView {
    MessageView::wanted(
        "Nothing was deleted",
        "You decided to keep everything as it is.",
        "You can close this page. If you change your mind, ask the agent again.",
    )
}

fn machine(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
