//! The rounds of a link with a client that leads its person to the page (multi round-trip requests): the question and
//! the state that goes with it, and the retry that brings both back.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use stagedoor_domain::{Provider, PublicError, TenantContext, ToolName};
use stagedoor_storage::StoreError;
use stagedoor_storage::link_attempts::{self, LinkAttempt, LinkOutcome, LinkStage};

use super::failure::Failure;
use super::output::LinkOutput;
use super::tool::{LinkArguments, Step};
use super::{Linking, of_attempt};
use crate::arguments::invalid;
use crate::desk::internal;
use crate::dispatch::{Interaction, UrlQuestion};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::request_state::{self, Binding, Rejected, Round};

/// The key under which the question and its answer stand.
const QUESTION: &str = "link";

/// What a client says became of the question (MCP, elicitation, "Response actions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Decline,
    Cancel,
}

impl Linking {
    /// A retry with `requestState`: takes the client's answer, and waits a while for the person.
    pub(super) async fn go_on(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        interaction: &Interaction<'_>,
        arguments: &LinkArguments,
        state: &str,
    ) -> Result<Step, PublicError> {
        let now = self.desk.clock.now();
        let key = self.desk.tenant_key_of(ctx, state).await?;
        let canonical = canonical(arguments)?;
        let opened = Binding::new(ctx, ToolName::AccountLink, &canonical).open(&key, now, state);
        let mut round = match opened {
            Ok(round) => round,
            Err(rejected) => {
                let public = rejected.public();
                if let Rejected::Foreign(attempt) = rejected {
                    self.desk.hijack(ctx, origin.client(), of_attempt(attempt), public.code).await;
                }
                return Err(public);
            }
        };
        let action = action(interaction.responses)?;
        let attempt = self.own_attempt(ctx, origin, round.attempt).await?;
        let (store, id) = (self.desk.vault().store(), attempt.id);
        let advance = store.with_tenant(ctx, async |tx| {
            let advanced = link_attempts::advance_retry(tx, id, round.retry).await?;
            if advanced && matches!(action, Some(Action::Decline | Action::Cancel)) {
                let failure =
                    if action == Some(Action::Decline) { Failure::Declined } else { Failure::Cancelled };
                link_attempts::decline(tx, id, failure.as_str(), now).await?;
            }
            Ok::<_, StoreError>(advanced)
        });
        if !advance.await.map_err(|error| store_failure(&error))? {
            return Err(request_state::invalid_for("was used before", id));
        }
        round.retry += 1;
        let wait = if action == Some(Action::Accept) { self.options.wait } else { Duration::ZERO };
        let attempt = self.settled(ctx, attempt, wait).await?;
        match attempt.outcome(self.desk.clock.now()) {
            LinkOutcome::Linked(account) => self.linked(ctx, &attempt, account).await,
            LinkOutcome::Ended(failure) => Err(Failure::read(failure).public(attempt.provider)),
            LinkOutcome::Open if !interaction.opens_urls => {
                Ok(Step::Answer(Box::new(LinkOutput::pending(&attempt))))
            }
            LinkOutcome::Open => {
                let url = self.page_address(ctx, &round.page);
                let message = message(&attempt, round.retry);
                self.ask(ctx, arguments, message, url, &round).await
            }
        }
    }

    /// The question, with a state for the retry.
    pub(super) async fn ask(
        &self,
        ctx: &TenantContext,
        arguments: &LinkArguments,
        message: String,
        url: String,
        round: &Round,
    ) -> Result<Step, PublicError> {
        let key = self.desk.tenant_key(ctx).await?;
        let canonical = canonical(arguments)?;
        let binding = Binding::new(ctx, ToolName::AccountLink, &canonical);
        let sealed = binding.seal(&key, self.desk.entropy.as_ref(), self.desk.clock.now(), round);
        let state = sealed.map_err(|error| internal(&error))?;
        Ok(Step::Ask(UrlQuestion { key: QUESTION, message, url }, state))
    }
}

/// What the person is told with the address of their page.
pub(super) fn first_message(provider: Provider) -> String {
    format!("Open this page to link your {} account. It shows who asks and for what.", provider.title())
}

/// The same once the client has come back, and the link is not decided.
fn message(attempt: &LinkAttempt, retry: i64) -> String {
    let name = attempt.provider.title();
    if attempt.stage == LinkStage::Exchanging {
        format!(
            "Your {name} account is being linked; nothing is left to do on this page. Come back in a moment."
        )
    } else if retry == 0 {
        first_message(attempt.provider)
    } else {
        format!("Your {name} account is not linked yet. Finish it on this page, then come back.")
    }
}

/// The arguments in one form, however the client writes them.
fn canonical(arguments: &LinkArguments) -> Result<Vec<u8>, PublicError> {
    serde_json::to_vec(arguments).map_err(|error| internal(&error))
}

/// What the client answered; `None` if it did not answer this question.
fn action(responses: Option<&RawValue>) -> Result<Option<Action>, PublicError> {
    #[derive(Deserialize)]
    struct Responses {
        link: Option<Response>,
    }
    #[derive(Deserialize)]
    struct Response {
        action: Action,
    }
    let Some(raw) = responses else { return Ok(None) };
    let read: Result<Responses, _> = serde_json::from_str(raw.get());
    let responses = read.map_err(|_| {
        invalid("`inputResponses.link` must be an object whose `action` is accept, decline or cancel.")
    })?;
    Ok(responses.link.map(|response| response.action))
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::ErrorCode;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn an_answer_is_one_of_three_words() {
        let read = |text: &str| action(Some(&raw(text)));
        assert_eq!(read(r#"{"link":{"action":"accept","content":{}}}"#).unwrap(), Some(Action::Accept));
        assert_eq!(read(r#"{"link":{"action":"cancel"}}"#).unwrap(), Some(Action::Cancel));
        assert_eq!(read(r#"{"other":{"action":"accept"}}"#).unwrap(), None);
        assert_eq!(action(None).unwrap(), None);
        for wrong in [r#"{"link":{"action":"agree"}}"#, r#"{"link":"accept"}"#, "[]", "7"] {
            assert_eq!(read(wrong).unwrap_err().code, ErrorCode::InvalidArguments, "{wrong}");
        }
    }

    #[test]
    fn arguments_have_one_form_however_they_are_written() {
        let read = |text: &str| canonical(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(read(r#"{"provider":"tidal","account":null}"#), read(r#"{ "provider": "tidal" }"#));
        assert_ne!(read(r#"{"provider":"tidal"}"#), read(r#"{"provider":"spotify"}"#));
    }
}
