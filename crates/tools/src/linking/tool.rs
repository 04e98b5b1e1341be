//! `account_link`: begins a link, and tells how it went. A client that can lead its person to a page is asked to
//! (multi round-trip requests); any other gets the page's address in an ordinary answer.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stagedoor_domain::{
    ErrorCode, LimitClass, LinkAttemptId, LinkedAccountId, Provider, PublicError, TenantContext, ToolName,
};
use stagedoor_storage::StoreError;
use stagedoor_storage::link_attempts::{self, LinkAttempt, LinkOutcome, NewLinkAttempt};
use uuid::Uuid;

use super::failure::{Failure, unknown};
use super::output::LinkOutput;
use super::rounds::first_message;
use super::secrets::{hash, secret};
use super::{Linking, of_attempt, scopes};
use crate::accounts::{self, Account};
use crate::desk::acting_for;
use crate::dispatch::{Interaction, UrlQuestion};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::request_state::Round;

/// What to link.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkArguments {
    /// Needed without `account` and `link`.
    provider: Option<Provider>,
    /// `id` of a linked account, to link it again; without it, one is added.
    account: Option<String>,
    /// `link` of an earlier answer: asks how it went, begins no other.
    link: Option<String>,
}

/// What one call comes to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The person is to be led to a page first.
    Ask(UrlQuestion, String),
    /// An answer.
    Answer(Box<LinkOutput>),
}

/// The class that a call counts on besides `api`: one that begins a link counts on its tool's, one that asks how a
/// link went only on `api`. What says here that it asks begins nothing below, whatever else it says.
pub fn limit_class(tool: ToolName, arguments: Option<&RawValue>, state: Option<&str>) -> LimitClass {
    #[derive(Deserialize)]
    struct Asked {
        link: Option<String>,
    }
    let asks = || {
        let asked: Option<Asked> = arguments.and_then(|raw| serde_json::from_str(raw.get()).ok());
        state.is_some() || asked.is_some_and(|asked| asked.link.is_some())
    };
    if tool == ToolName::AccountLink && asks() { LimitClass::Api } else { tool.limit_class() }
}

impl Linking {
    /// One call of `account_link`.
    pub(crate) async fn call(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        interaction: &Interaction<'_>,
        arguments: LinkArguments,
    ) -> Result<Step, PublicError> {
        if let Some(state) = interaction.state {
            return self.go_on(ctx, origin, interaction, &arguments, state).await;
        }
        match &arguments.link {
            Some(link) => self.look(ctx, origin, link).await,
            None => self.begin(ctx, origin, interaction, &arguments).await,
        }
    }

    async fn begin(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        interaction: &Interaction<'_>,
        arguments: &LinkArguments,
    ) -> Result<Step, PublicError> {
        let user = acting_for(ctx)?;
        let accounts = self.desk.load_accounts(ctx, user).await?;
        let again = self.account_to_link_again(ctx, origin, arguments, &accounts).await?;
        let provider = match again {
            Some(account) => account.provider,
            None => self.desk.choose_provider(ctx, arguments.provider).await?,
        };
        self.desk.app(ctx, provider).await?;
        // Who signs in may turn out to be linked already, and then all agents of the person use the new grant.
        let granted = accounts.iter().filter(|account| account.provider == provider);
        let granted: Vec<String> = granted.flat_map(|account| &account.scopes).cloned().collect();
        let now = self.desk.clock.now();
        let page = secret(self.desk.entropy.as_ref());
        let attempt = NewLinkAttempt {
            id: LinkAttemptId::generate(self.desk.clock.as_ref(), self.desk.entropy.as_ref()),
            user,
            principal: ctx.principal().label(),
            agent: origin.client().software.as_deref().unwrap_or_default().to_owned(),
            provider,
            account: again.map(|account| account.id),
            scopes: scopes::wanted(ctx.principal(), provider, &granted),
            page_hash: hash(&page),
            device: Some(self.desk.fingerprint(ctx, origin.client()).await?),
            created_at: now,
            expires_at: now + self.options.attempt_life,
        };
        let store = self.desk.vault().store();
        let insert = store.with_tenant(ctx, async |tx| link_attempts::insert(tx, &attempt).await);
        insert.await.map_err(|error| match (&error, attempt.account) {
            // It was unlinked since it was chosen.
            (StoreError::LinkEnded, Some(gone)) => {
                accounts::not_linked(Some(provider), Some(&gone.to_string()))
            }
            _ => store_failure(&error),
        })?;
        origin.about(of_attempt(attempt.id));
        let url = self.page_address(ctx, &page);
        if interaction.opens_urls {
            let round = Round { attempt: attempt.id, retry: 0, page };
            return self.ask(ctx, arguments, first_message(provider), url, &round).await;
        }
        Ok(Step::Answer(Box::new(LinkOutput::offered(&attempt, url))))
    }

    /// The account that `account` names; one of another person looks missing, and its use is recorded.
    async fn account_to_link_again<'a>(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        arguments: &LinkArguments,
        accounts: &'a [Account],
    ) -> Result<Option<&'a Account>, PublicError> {
        let Some(id) = arguments.account.as_deref() else { return Ok(None) };
        match accounts::find(accounts, arguments.provider, Some(id)) {
            Ok(account) => Ok(Some(account)),
            Err(error) => {
                self.desk.foreign_account(ctx, origin, id).await;
                Err(error)
            }
        }
    }

    /// `link`: how an earlier link went.
    async fn look(&self, ctx: &TenantContext, origin: &Origin, link: &str) -> Result<Step, PublicError> {
        let Ok(id) = link.parse::<Uuid>() else { return Err(unknown()) };
        let attempt = self.own_attempt(ctx, origin, id.into()).await?;
        match attempt.outcome(self.desk.clock.now()) {
            LinkOutcome::Linked(account) => self.linked(ctx, &attempt, account).await,
            LinkOutcome::Ended(failure) => Err(Failure::read(failure).public(attempt.provider)),
            LinkOutcome::Open => Ok(Step::Answer(Box::new(LinkOutput::pending(&attempt)))),
        }
    }

    /// A link of this caller; one of another looks unknown, and its use is recorded.
    pub(super) async fn own_attempt(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        id: LinkAttemptId,
    ) -> Result<LinkAttempt, PublicError> {
        let found = self.find(ctx, id).await?.ok_or_else(unknown)?;
        if found.principal == ctx.principal().label() && Some(found.user) == ctx.user() {
            return Ok(found);
        }
        self.desk.hijack(ctx, origin.client(), of_attempt(id), ErrorCode::LinkUnknown).await;
        Err(unknown())
    }

    /// The answer of a link that came to an account.
    pub(super) async fn linked(
        &self,
        ctx: &TenantContext,
        attempt: &LinkAttempt,
        account: LinkedAccountId,
    ) -> Result<Step, PublicError> {
        let accounts = self.desk.load_accounts(ctx, attempt.user).await?;
        // It was unlinked since, and what was known of the link went with it.
        let account = accounts.into_iter().find(|known| known.id == account).ok_or_else(unknown)?;
        Ok(Step::Answer(Box::new(LinkOutput::linked(attempt, account))))
    }

    pub(super) fn page_address(&self, ctx: &TenantContext, page: &SecretString) -> String {
        let base = self.options.public_url.as_str().trim_end_matches('/');
        format!("{base}/t/{}/connect/{}", ctx.tenant().slug.as_str(), page.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn only_a_call_that_begins_a_link_counts_as_one() {
        let class = |arguments: &str, state| limit_class(ToolName::AccountLink, Some(&raw(arguments)), state);
        assert_eq!(class(r#"{"provider":"tidal"}"#, None), LimitClass::Auth);
        assert_eq!(class(r#"{"link":null}"#, None), LimitClass::Auth);
        assert_eq!(class(r#"{"link":7}"#, None), LimitClass::Auth);
        assert_eq!(class(r#"{"link":"a"}"#, None), LimitClass::Api);
        assert_eq!(class("{}", Some("state")), LimitClass::Api);
        assert_eq!(limit_class(ToolName::AccountLink, None, None), LimitClass::Auth);
        assert_eq!(limit_class(ToolName::Search, None, Some("state")), LimitClass::Search);
    }
}
