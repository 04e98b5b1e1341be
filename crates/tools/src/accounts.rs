//! `accounts_list`, and which linked account a call means.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{ErrorCode, LinkedAccountId, Provider, PublicError, TenantContext, ToolName, UserId};

use crate::desk::Desk;
use crate::foresight::{self, Outlook};
use crate::reuse::Produced;

/// A person's account at a provider, as calls need it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: LinkedAccountId,
    pub(crate) user: UserId,
    pub(crate) provider: Provider,
    pub(crate) name: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) relink_needed: bool,
    /// What its grant covers, in the provider's words; nothing if it has none.
    pub(crate) scopes: Vec<String>,
    pub(crate) linked_at: DateTime<Utc>,
    /// When the person last consented.
    pub(crate) authorized_at: Option<DateTime<Utc>>,
    /// When its grant ends whatever is done, if it does.
    pub(crate) grant_ends_at: Option<DateTime<Utc>>,
    /// Whether its grant was set aside because it did not open.
    pub(crate) unreadable: bool,
    /// When its access ends because there is no refresh token; `None` if there is one, or no grant.
    pub(crate) works_until: Option<DateTime<Utc>>,
}

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoArguments {}

/// The linked accounts.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AccountsOutput {
    accounts: Vec<AccountOutput>,
    /// Services that this installation of your tenant is set up for.
    providers: Vec<Provider>,
    /// What to do where nothing is linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

/// One linked account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountOutput {
    /// Hand this in as `account` where a service has several.
    id: String,
    provider: Provider,
    /// The account's name at the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Its market (ISO 3166-1 alpha-2).
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// `linked`; `relink_needed` if the service no longer accepts the grant; `unreadable` if it did not open and was
    /// set aside.
    status: &'static str,
    /// What the person granted, in the service's words.
    scopes: Vec<String>,
    /// When it was linked for the first time (RFC 3339).
    linked_at: String,
    /// When the person last consented (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_at: Option<String>,
    /// When the access ends for good unless the person links the account again (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_ends_at: Option<String>,
    /// When the access ends because the service lets it not be renewed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    works_until: Option<String>,
    /// What the person should know, each a sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Arguments of `account_link`, where the account should be linked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    link_again: Option<LinkAgain>,
}

/// What to hand to `account_link`.
#[derive(Debug, Serialize, JsonSchema)]
struct LinkAgain {
    provider: Provider,
    account: String,
}

/// `accounts_list`: always from the database, never from a cache.
pub(crate) async fn list(desk: &Desk, ctx: &TenantContext, _arguments: NoArguments) -> Produced {
    let accounts = match ctx.user() {
        Some(user) => desk.load_accounts(ctx, user).await?,
        None => Vec::new(),
    };
    let providers: Vec<Provider> = desk.apps(ctx).await?.iter().map(|app| app.provider).collect();
    let now = desk.clock.now();
    let may_link =
        ctx.user().is_some() && ctx.principal().sees(ToolName::AccountLink) && !providers.is_empty();
    let next = (accounts.is_empty() && may_link)
        .then_some("Nothing is linked. Call account_link with one of `providers`.");
    let accounts = accounts.iter().map(|account| shown(account, now)).collect();
    desk.fresh(&AccountsOutput { accounts, providers, next })
}

fn shown(account: &Account, now: DateTime<Utc>) -> AccountOutput {
    let outlook = foresight::outlook(account, now);
    let status = if account.unreadable {
        "unreadable"
    } else if account.relink_needed || matches!(outlook, Outlook::Ended { .. }) {
        "relink_needed"
    } else {
        "linked"
    };
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let warnings = [foresight::warning(account, now), foresight::not_renewable(account)].into_iter();
    let again = status != "linked" || account.works_until.is_some() || outlook != Outlook::Open;
    AccountOutput {
        id: account.id.to_string(),
        provider: account.provider,
        name: account.name.clone(),
        country: account.country.clone(),
        status,
        scopes: account.scopes.clone(),
        linked_at: text(account.linked_at),
        authorized_at: account.authorized_at.map(text),
        grant_ends_at: account.grant_ends_at.map(text),
        works_until: account.works_until.map(text),
        warnings: warnings.flatten().collect(),
        link_again: again.then(|| LinkAgain { provider: account.provider, account: account.id.to_string() }),
    }
}

/// The account that fits what the call says and can be used; an error that lists them where several fit.
pub(crate) fn choose<'a>(
    accounts: &'a [Account],
    provider: Option<Provider>,
    id: Option<&str>,
) -> Result<&'a Account, PublicError> {
    match find(accounts, provider, id)? {
        account if account.relink_needed => Err(relink_needed(account.provider)),
        account => Ok(account),
    }
}

/// The account that fits what the call says, whether or not it can be used.
pub(crate) fn find<'a>(
    accounts: &'a [Account],
    provider: Option<Provider>,
    id: Option<&str>,
) -> Result<&'a Account, PublicError> {
    let fits = |account: &&Account| {
        provider.is_none_or(|provider| account.provider == provider)
            && id.is_none_or(|id| account.id.to_string() == id)
    };
    let candidates: Vec<&Account> = accounts.iter().filter(fits).collect();
    match candidates.as_slice() {
        [only] => Ok(only),
        [] => Err(not_linked(provider, id)),
        several => {
            let list: Vec<String> = several
                .iter()
                .map(|account| {
                    let name = account.name.as_deref().unwrap_or("unnamed");
                    format!("{} ({} {name})", account.id, account.provider)
                })
                .collect();
            let message = format!("Several linked accounts fit: {}.", list.join(", "));
            Err(PublicError::new(ErrorCode::AccountAmbiguous, message)
                .hint("Say `provider`, or `account` with one of these ids."))
        }
    }
}

pub(crate) fn relink_needed(provider: Provider) -> PublicError {
    let message = format!("{} no longer accepts the grant of this account.", provider.title());
    PublicError::new(ErrorCode::RelinkNeeded, message)
        .hint(format!(
            "The person has to link the account again: call account_link with provider {provider} and the account's id \
             from accounts_list; nothing else helps."
        ))
}

pub(crate) fn not_linked(provider: Option<Provider>, id: Option<&str>) -> PublicError {
    let what = match (provider, id) {
        (_, Some(id)) => format!("No linked account has the id {id:?}."),
        (Some(provider), None) => format!("No {} account is linked.", provider.title()),
        (None, None) => "No account is linked.".to_owned(),
    };
    PublicError::new(ErrorCode::AccountNotLinked, what)
        .hint("accounts_list shows which accounts there are, account_link links one.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn account(number: u128, provider: Provider, relink_needed: bool) -> Account {
        Account {
            id: Uuid::from_u128(number).into(),
            user: Uuid::nil().into(),
            provider,
            name: None,
            country: None,
            scopes: Vec::new(),
            linked_at: DateTime::UNIX_EPOCH,
            authorized_at: None,
            grant_ends_at: None,
            relink_needed,
            unreadable: false,
            works_until: None,
        }
    }

    #[test]
    fn an_account_that_should_be_linked_again_says_how() {
        let now = DateTime::UNIX_EPOCH;
        let again = |account: &Account| {
            let shown = shown(account, now);
            (shown.status, shown.link_again.map(|again| again.account), shown.warnings.len())
        };
        let fine = account(1, Provider::Spotify, false);
        let id = Some(fine.id.to_string());
        assert_eq!(again(&fine), ("linked", None, 0));
        assert_eq!(again(&Account { relink_needed: true, ..fine.clone() }), ("relink_needed", id.clone(), 0));
        assert_eq!(again(&Account { unreadable: true, ..fine.clone() }), ("unreadable", id.clone(), 0));
        let ends =
            |days| Account { grant_ends_at: Some(now + chrono::TimeDelta::days(days)), ..fine.clone() };
        assert_eq!(again(&ends(31)), ("linked", None, 0));
        assert_eq!(again(&ends(30)), ("linked", id.clone(), 1));
        assert_eq!(again(&ends(0)), ("relink_needed", id, 1));
    }

    #[test]
    fn the_choice_is_never_a_guess() {
        let accounts = [
            account(1, Provider::Spotify, false),
            account(2, Provider::Tidal, false),
            account(3, Provider::Tidal, true),
        ];
        let code = |provider, id: Option<&str>| choose(&accounts, provider, id).map_err(|error| error.code);
        assert_eq!(code(Some(Provider::Spotify), None).unwrap().id, accounts[0].id);
        assert_eq!(code(None, None).unwrap_err(), ErrorCode::AccountAmbiguous);
        assert_eq!(code(Some(Provider::Tidal), None).unwrap_err(), ErrorCode::AccountAmbiguous);
        let second = accounts[1].id.to_string();
        assert_eq!(code(None, Some(&second)).unwrap().id, accounts[1].id);
        let third = accounts[2].id.to_string();
        assert_eq!(code(None, Some(&third)).unwrap_err(), ErrorCode::RelinkNeeded);
        assert_eq!(find(&accounts, None, Some(&third)).unwrap().id, accounts[2].id);
        assert_eq!(code(Some(Provider::Spotify), Some(&second)).unwrap_err(), ErrorCode::AccountNotLinked);
    }
}
