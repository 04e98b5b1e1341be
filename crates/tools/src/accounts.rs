//! `accounts_list`, and which linked account a call means.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{ErrorCode, LinkedAccountId, Provider, PublicError, TenantContext, UserId};

use crate::desk::{Desk, Produced};

/// A person's account at a provider, as calls need it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: LinkedAccountId,
    pub(crate) user: UserId,
    pub(crate) provider: Provider,
    pub(crate) name: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) relink_needed: bool,
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
    /// `linked`, or `relink_needed` if the service no longer accepts the grant.
    status: &'static str,
}

/// `accounts_list`: always from the database, never from a cache.
pub(crate) async fn list(desk: &Desk, ctx: &TenantContext, _arguments: NoArguments) -> Produced {
    let accounts = match ctx.user() {
        Some(user) => desk.load_accounts(ctx, user).await?,
        None => Vec::new(),
    };
    let providers = desk.apps(ctx).await?.iter().map(|app| app.provider).collect();
    let accounts = accounts
        .iter()
        .map(|account| AccountOutput {
            id: account.id.to_string(),
            provider: account.provider,
            name: account.name.clone(),
            country: account.country.clone(),
            status: if account.relink_needed { "relink_needed" } else { "linked" },
        })
        .collect();
    desk.fresh(&AccountsOutput { accounts, providers })
}

/// The account that fits what the call says; an error that lists them where several do.
pub(crate) fn choose<'a>(
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
        [only] if only.relink_needed => Err(relink_needed(only.provider)),
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
        .hint("The person has to link the account again; nothing else helps.")
}

fn not_linked(provider: Option<Provider>, id: Option<&str>) -> PublicError {
    let what = match (provider, id) {
        (_, Some(id)) => format!("No linked account has the id {id:?}."),
        (Some(provider), None) => format!("No {} account is linked.", provider.title()),
        (None, None) => "No account is linked.".to_owned(),
    };
    PublicError::new(ErrorCode::AccountNotLinked, what).hint("accounts_list shows which accounts there are.")
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
            relink_needed,
        }
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
        assert_eq!(code(Some(Provider::Spotify), Some(&second)).unwrap_err(), ErrorCode::AccountNotLinked);
    }
}
