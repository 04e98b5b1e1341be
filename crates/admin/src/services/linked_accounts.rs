//! `LinkedAccountService`. Tokens are told by nobody.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use stagedoor_domain::{LinkAttemptId, LinkedAccountId, UserId};
use stagedoor_proto::admin::v1::{
    BeginLinkRequest, BeginLinkResponse, GetLinkedAccountRequest, LinkedAccount, LinkedAccountState,
    ListLinkedAccountsRequest, ListLinkedAccountsResponse, UnlinkAccountRequest, UnlinkAccountResponse,
};
use stagedoor_storage::link_attempts;
use stagedoor_storage::linked_accounts::{self, AccountStatus, LinkedAccount as Stored, Unlinked};
use stagedoor_storage::provider_apps::records as apps;
use stagedoor_storage::{StoreError, TenantTransaction};
use stagedoor_tools::UnlinkedAccount;

use super::{provider_apps, users};
use crate::call::AdminCall;
use crate::error::AdminError;
use crate::page::{self, Place};
use crate::{fields, standing, texts, times};

/// Lists a person's accounts.
pub async fn list_linked_accounts(
    call: &AdminCall,
    request: ListLinkedAccountsRequest,
) -> Result<ListLinkedAccountsResponse, AdminError> {
    let user = texts::id("user_id", &request.user_id)?;
    let list = async |tx: &mut TenantTransaction| {
        users::found(tx, user).await?;
        Ok::<_, AdminError>(linked_accounts::list(tx, user).await?)
    };
    let accounts = call.store().with_tenant(call.context(), list).await?;
    let paging = (request.page_size, request.page_token.as_str());
    let (accounts, next_page_token) =
        page::of_few(accounts, paging, |account| Place { at: account.created_at, id: account.id.0 })?;
    Ok(ListLinkedAccountsResponse {
        linked_accounts: accounts.into_iter().map(shown).collect(),
        next_page_token,
    })
}

/// Tells of an account.
pub async fn get_linked_account(
    call: &AdminCall,
    request: GetLinkedAccountRequest,
) -> Result<LinkedAccount, AdminError> {
    let id: LinkedAccountId = texts::id("account_id", &request.account_id)?;
    let find = async |tx: &mut TenantTransaction| linked_accounts::find(tx, id).await;
    let account = call.store().with_tenant(call.context(), find).await?;
    account.map(shown).ok_or_else(|| unknown(id))
}

/// Makes the address of a page on which a person links an account.
pub async fn begin_link(
    call: &AdminCall,
    request: BeginLinkRequest,
) -> Result<BeginLinkResponse, AdminError> {
    standing::living(call)?;
    let user: UserId = texts::id("user_id", &request.user_id)?;
    let provider = provider_apps::wanted_provider(request.provider)?;
    let scopes = match request.scopes.as_slice() {
        [] => None,
        given => Some(fields::scopes("scopes", given)?),
    };
    let check = async |tx: &mut TenantTransaction| {
        users::found(tx, user).await?;
        Ok::<_, AdminError>(apps::get(tx, provider).await?.is_some())
    };
    if !call.store().with_tenant(call.context(), check).await? {
        return Err(AdminError::not_in_state(
            format!(
                "The tenant has no client at {}, without which nobody can link an account there.",
                provider.title()
            ),
            "Set it up with CreateProviderApp.",
        ));
    }
    let linking = call.rooms().dispatcher.linking();
    if call.validate_only() {
        let expire_time = Some(times::timestamp(linking.would_expire_at()));
        return Ok(BeginLinkResponse { url: String::new(), expire_time });
    }
    let id = LinkAttemptId(call.new_id());
    let offer = async || Ok(linking.offer(call.context(), id, (user, provider), scopes).await?);
    if let Some(offer) = call.once(offer).await? {
        return Ok(BeginLinkResponse {
            url: offer.url.expose_secret().to_owned(),
            expire_time: Some(times::timestamp(offer.expires_at)),
        });
    }
    // The same request made it before: its address was told then. The role that makes links reads them too.
    let find = async |tx: &mut TenantTransaction| link_attempts::find(tx, id).await;
    let made = call.rooms().vault.store().with_tenant(call.context(), find).await?;
    Ok(BeginLinkResponse {
        url: String::new(),
        expire_time: times::optional(made.map(|made| made.expires_at)),
    })
}

/// Ends a link.
pub async fn unlink_account(
    call: &AdminCall,
    request: UnlinkAccountRequest,
) -> Result<UnlinkAccountResponse, AdminError> {
    let id: LinkedAccountId = texts::id("account_id", &request.account_id)?;
    if call.validate_only() {
        let would_go = would_go(call, id).await?.ok_or_else(|| unknown(id))?;
        return Ok(UnlinkAccountResponse { removed: counts(&would_go), revocation: String::new() });
    }
    let linking = call.rooms().dispatcher.linking();
    let unlinked = linking.unlink(call.context(), call.client().clone(), id).await?;
    let UnlinkedAccount { deleted, revocation } = unlinked.ok_or_else(|| unknown(id))?;
    Ok(UnlinkAccountResponse { removed: counts(&deleted), revocation: revocation.to_owned() })
}

/// What would go with an account.
async fn would_go(call: &AdminCall, id: LinkedAccountId) -> Result<Option<Unlinked>, StoreError> {
    // As the role that unlinks.
    let mut undone = call.rooms().vault.store().begin(call.context()).await?;
    let would_go = linked_accounts::unlink(&mut undone, id).await?;
    undone.rollback().await?;
    Ok(would_go)
}

fn unknown(id: LinkedAccountId) -> AdminError {
    AdminError::unknown("linked account", id.to_string())
}

fn counts(unlinked: &Unlinked) -> BTreeMap<String, i64> {
    let counts = [
        ("sessions", unlinked.sessions),
        ("quarantined_copies", unlinked.quarantined),
        ("devices", unlinked.devices),
        ("link_attempts", unlinked.attempts),
        ("imports", unlinked.imports),
        ("playlist_versions", unlinked.versions),
        ("idempotency_keys", unlinked.idempotency_keys),
        ("jobs", unlinked.jobs),
    ];
    counts.into_iter().map(|(what, rows)| (what.to_owned(), rows.cast_signed())).collect()
}

fn shown(account: Stored) -> LinkedAccount {
    let session = account.session;
    let unreadable = session.as_ref().is_some_and(|session| session.quarantined);
    let state = match account.status {
        _ if unreadable => LinkedAccountState::Unreadable,
        AccountStatus::Active => LinkedAccountState::Active,
        AccountStatus::RelinkNeeded => LinkedAccountState::RelinkNeeded,
    };
    LinkedAccount {
        account_id: account.id.to_string(),
        user_id: account.user.to_string(),
        provider: provider_apps::shown_provider(account.provider).into(),
        provider_user_id: account.provider_user_id,
        label: account.label,
        country_code: account.country_code.unwrap_or_default(),
        state: state.into(),
        authorize_time: session.as_ref().map(|session| times::timestamp(session.authorized_at)),
        scopes: session.map(|session| session.scopes).unwrap_or_default(),
        create_time: Some(times::timestamp(account.created_at)),
    }
}
