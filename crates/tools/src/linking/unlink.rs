//! `account_unlink`: ends the grant at the provider where it can be ended (`revocation`), and deletes what came from the
//! account.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext};
use stagedoor_storage::linked_accounts::{self, Unlinked};
use stagedoor_storage::provider_sessions;
use stagedoor_storage::{StoreError, TenantTransaction};
use tokio::time::Instant;

use super::revocation::{Ending, Seen, end_there, remove_page};
use crate::accounts::{self, Account};
use crate::arguments::invalid;
use crate::desk::{Desk, acting_for};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;
use crate::trail::of_account;

/// How long it is waited for someone who is renewing the grant.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a grant is ended anew that was renewed or replaced between its end there and here.
const ATTEMPTS: usize = 5;

/// Which account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnlinkArguments {
    /// `id` from `accounts_list`; needed if a service has several.
    account: Option<String>,
    provider: Option<Provider>,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UnlinkOutput {
    unlinked: UnlinkedAccount,
    deleted: Deleted,
    /// At the service: `revoked`; `unconfirmed` if the grant was being renewed at the same time, so that a renewed one
    /// may outlive this for a moment; `unsupported` if it ends no grants for clients; `failed` if it could not be
    /// reached, or the grant did not open; `no_grant` if there was none to revoke.
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

/// What came of deleting it here.
enum Local {
    /// It is deleted; `None` if it was gone.
    Done(Option<Unlinked>),
    /// It is not what was ended at the provider any more.
    Moved,
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
    let ended = end(desk, ctx, origin, &account).await;
    desk.account_changed(ctx, account.user, account.provider, Some(account.id)).await;
    let (ending, unlinked) = ended?;
    let unlinked = unlinked
        .ok_or_else(|| accounts::not_linked(Some(account.provider), Some(&account.id.to_string())))?;
    desk.fresh(&answer(&account, &ending, &unlinked))
}

/// First there, then here: as long as the row stays, a failure here can be repeated. What is deleted here is what was
/// ended there; if it was renewed or replaced in between, both begin anew.
pub(super) async fn end(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    account: &Account,
) -> Result<(Ending, Option<Unlinked>), PublicError> {
    let until = Instant::now() + PATIENCE;
    for _ in 0..ATTEMPTS {
        let ended = match end_there(desk, ctx, origin.client(), account, until).await {
            // Who unlinks does not wait for a key that is away: what it seals is deleted.
            Err(error) if error.code == ErrorCode::KeyUnavailable => Some((Ending::Failed, Seen::Closed)),
            ended => ended?,
        };
        let Some((ending, seen)) = ended else { continue };
        match end_here(desk, ctx, account, seen).await.map_err(|error| store_failure(&error))? {
            Local::Done(unlinked) => return Ok((ending, unlinked)),
            Local::Moved => {}
        }
    }
    let message =
        format!("The {} account is being renewed or linked at the same time.", account.provider.title());
    Err(PublicError::new(ErrorCode::ProviderUnavailable, message)
        .hint("It is still linked. Call account_unlink again.")
        .retry_after(Duration::from_secs(1)))
}

/// Deletes the account if its grant is still the one that was seen.
async fn end_here(
    desk: &Desk,
    ctx: &TenantContext,
    account: &Account,
    seen: Seen,
) -> Result<Local, StoreError> {
    let unlink = async |tx: &mut TenantTransaction| {
        let now = provider_sessions::hold_revision(tx, account.id).await?;
        let as_seen = match seen {
            Seen::Nothing => now.is_none(),
            Seen::Closed => true,
            Seen::At(revision) => now == Some(revision),
        };
        if !as_seen {
            return Ok(Local::Moved);
        }
        Ok(Local::Done(linked_accounts::unlink(tx, account.id).await?))
    };
    desk.vault().store().with_tenant(ctx, unlink).await
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

fn answer(account: &Account, ending: &Ending, unlinked: &Unlinked) -> UnlinkOutput {
    let name = account.provider.title();
    let next = match ending {
        Ending::Revoked | Ending::NoGrant => None,
        Ending::Unconfirmed => Some(format!(
            "Nothing here can use the account any more, but its access was being renewed at this moment. What comes \
             of that is ended when it comes; to be sure, the person can remove the app in their {name} account{}.",
            remove_page(account.provider)
        )),
        Ending::Unsupported(Some(page)) => Some(format!(
            "Nothing here can use the account any more. {name} lets only the person remove the app there: {page}"
        )),
        Ending::Unsupported(None) => Some(format!(
            "Nothing here can use the account any more. The person can remove the app in their {name} account."
        )),
        Ending::Failed => Some(format!(
            "Nothing here can use the account any more, but {name} could not be told. The person should remove the \
             app in their {name} account{}.",
            remove_page(account.provider)
        )),
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
        revocation: ending.as_str(),
        next,
    }
}
