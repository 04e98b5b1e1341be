//! `account_unlink`: ends the grant at the provider where it can be ended, and deletes what came from the account.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Provider, PublicError, TenantContext};
use stagedoor_providers::Revocation;
use stagedoor_storage::linked_accounts::{self, Unlinked};
use stagedoor_storage::provider_sessions;

use crate::accounts::{self, Account};
use crate::arguments::invalid;
use crate::desk::{Desk, Produced, acting_for, report};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::trail::of_account;

/// Which account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnlinkArguments {
    /// The account's `id` as `accounts_list` shows it; needed if a service has several.
    account: Option<String>,
    /// Which service; enough if only one account of it is linked.
    provider: Option<Provider>,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UnlinkOutput {
    unlinked: UnlinkedAccount,
    deleted: Deleted,
    /// At the service: `revoked`; `unsupported` if it ends no grants for clients; `failed` if it could not be
    /// reached; `no_grant` if there was none to revoke.
    revocation: &'static str,
    /// What the person can still do there.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The account that was.
#[derive(Debug, Serialize, JsonSchema)]
struct UnlinkedAccount {
    id: String,
    provider: Provider,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// What was deleted, in records.
#[derive(Debug, Serialize, JsonSchema)]
struct Deleted {
    /// Stored grants.
    sessions: u64,
    /// Copies of grants that had not opened.
    quarantined_copies: u64,
    /// Devices that had used it.
    devices: u64,
    /// Tries to link it.
    links: u64,
    /// Notes of files that it was imported from.
    imports: u64,
}

/// What became of the grant at the provider.
enum Ending {
    Revoked,
    Unsupported(Option<&'static str>),
    Failed,
    NoGrant,
}

/// `account_unlink`.
pub(crate) async fn run(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: UnlinkArguments,
) -> Produced {
    if arguments.account.is_none() && arguments.provider.is_none() {
        return Err(invalid(
            "`account` is missing; say which account, by the `id` that accounts_list shows.",
        ));
    }
    let account = choose(desk, ctx, origin, &arguments).await?;
    origin.about(of_account(account.id));
    // First there, then here: as long as the row stays, a failure here can be repeated.
    let ending = revoke(desk, ctx, &account).await;
    let store = desk.vault().store();
    let unlink = store.with_tenant(ctx, async |tx| linked_accounts::unlink(tx, account.id).await);
    let unlinked = unlink.await.map_err(|error| store_failure(&error));
    desk.account_changed(ctx, account.user, account.provider, account.id).await;
    let unlinked = unlinked?
        .ok_or_else(|| accounts::not_linked(Some(account.provider), Some(&account.id.to_string())))?;
    desk.fresh(&answer(&account, &ending, &unlinked))
}

async fn choose(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: &UnlinkArguments,
) -> Result<Account, PublicError> {
    let accounts = desk.load_accounts(ctx, acting_for(ctx)?).await?;
    let id = arguments.account.as_deref();
    match (accounts::find(&accounts, arguments.provider, id), id) {
        (Ok(account), _) => Ok(account.clone()),
        (Err(error), None) => Err(error),
        (Err(error), Some(id)) => {
            desk.foreign_account(ctx, origin, id).await;
            Err(error)
        }
    }
}

/// Ends the grant at the provider. Whatever goes wrong there, the account is unlinked here.
async fn revoke(desk: &Desk, ctx: &TenantContext, account: &Account) -> Ending {
    let token = match provider_sessions::load(desk.vault(), ctx, account.id).await {
        Ok(Some(session)) => session.refresh_token.unwrap_or(session.access_token),
        Ok(None) => return Ending::NoGrant,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "a grant could not be opened to revoke it");
            return Ending::Failed;
        }
    };
    match asked_to_revoke(desk, ctx, account.provider, &token).await {
        Some(Revocation::Revoked) => Ending::Revoked,
        Some(Revocation::Unsupported { remove_at }) => Ending::Unsupported(remove_at),
        None => Ending::Failed,
    }
}

async fn asked_to_revoke(
    desk: &Desk,
    ctx: &TenantContext,
    provider: Provider,
    token: &SecretString,
) -> Option<Revocation> {
    let app = desk.app(ctx, provider).await.ok()?;
    let revoked = desk.music(provider).revoke(ctx, &app, token).await;
    revoked.inspect_err(|error| drop(report(error))).ok()
}

fn answer(account: &Account, ending: &Ending, unlinked: &Unlinked) -> UnlinkOutput {
    let name = account.provider.title();
    let (revocation, next) = match ending {
        Ending::Revoked => ("revoked", None),
        Ending::NoGrant => ("no_grant", None),
        Ending::Unsupported(Some(page)) => (
            "unsupported",
            Some(format!(
                "Nothing here can use the account any more. {name} lets only the person remove the app there: {page}"
            )),
        ),
        Ending::Unsupported(None) => (
            "unsupported",
            Some(format!(
                "Nothing here can use the account any more. The person can remove the app in their {name} account."
            )),
        ),
        Ending::Failed => (
            "failed",
            Some(format!(
                "Nothing here can use the account any more, but {name} could not be told. The person should remove the \
                 app in their {name} account{}.",
                remove_page(account.provider)
            )),
        ),
    };
    UnlinkOutput {
        unlinked: UnlinkedAccount {
            id: account.id.to_string(),
            provider: account.provider,
            name: account.name.clone(),
        },
        deleted: Deleted {
            sessions: unlinked.sessions,
            quarantined_copies: unlinked.quarantined,
            devices: unlinked.devices,
            links: unlinked.attempts,
            imports: unlinked.imports,
        },
        revocation,
        next,
    }
}

/// Where a person removes an app, as far as it is known without asking the provider.
fn remove_page(provider: Provider) -> &'static str {
    match provider {
        Provider::Spotify => ": https://www.spotify.com/account/apps/",
        Provider::Tidal => "",
    }
}
