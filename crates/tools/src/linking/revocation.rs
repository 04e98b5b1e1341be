//! The end of a grant at its provider, whoever wants it: the person who unlinks an account, or the worker that deletes a
//! person. What is deleted here is theirs.

use std::time::Duration;

use secrecy::SecretString;
use stagedoor_audit::AuditClient;
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext};
use stagedoor_providers::Revocation;
use stagedoor_storage::StoreError;
use stagedoor_storage::provider_sessions::{self, OpenedSession, RefreshClaim};
use tokio::time::Instant;

use crate::accounts::Account;
use crate::desk::{Desk, report};
use crate::records::store_failure;
use crate::refresh::LEASE;

/// How often it is looked whether someone who is renewing the grant is done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What became of the grant at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Revoked,
    /// What was revoked may have been renewed by someone whose answer was not waited for any longer.
    Unconfirmed,
    Unsupported(Option<&'static str>),
    Failed,
    NoGrant,
}

impl Ending {
    /// The word that answers have for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Unconfirmed => "unconfirmed",
            Self::Unsupported(_) => "unsupported",
            Self::Failed => "failed",
            Self::NoGrant => "no_grant",
        }
    }
}

/// Which grant was ended at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There was none.
    Nothing,
    /// It did not open.
    Closed,
    /// The one of this revision.
    At(i64),
}

/// Ends the grant at the provider, once nobody is renewing it. `None` if the grant was renewed or replaced meanwhile.
pub(crate) async fn end_there(
    desk: &Desk,
    ctx: &TenantContext,
    client: &AuditClient,
    account: &Account,
    until: Instant,
) -> Result<Option<(Ending, Seen)>, PublicError> {
    // What does not open was logged, and set aside if it is damaged.
    let session = match desk.opener.find(ctx, client, account).await {
        Ok(Some(session)) => session,
        Ok(None) => return Ok(Some((Ending::NoGrant, Seen::Nothing))),
        Err(error) if error.code == ErrorCode::SessionUnreadable => {
            return Ok(Some((Ending::Failed, Seen::Closed)));
        }
        // Nothing is known about the grant: it may be read in a moment.
        Err(error) => return Err(error),
    };
    let settled = match claim(desk, ctx, &session, until).await {
        Ok(Some(settled)) => settled,
        Ok(None) => return Ok(None),
        Err(error) => return Err(store_failure(&error)),
    };
    let token = session.refresh_token.as_ref().unwrap_or(&session.access_token);
    let ending = match asked_to_revoke(desk, ctx, account.provider, token).await {
        Some(Revocation::Revoked) if settled => Ending::Revoked,
        Some(Revocation::Revoked) => Ending::Unconfirmed,
        Some(Revocation::Unsupported { remove_at }) => Ending::Unsupported(remove_at),
        None => Ending::Failed,
    };
    Ok(Some((ending, Seen::At(session.revision))))
}

/// Keeps everyone from renewing the session. Whether it is known that nobody has: `false` if someone was not waited
/// for any longer, or never said what came of it. `None` if it was renewed or replaced.
async fn claim(
    desk: &Desk,
    ctx: &TenantContext,
    session: &OpenedSession,
    until: Instant,
) -> Result<Option<bool>, StoreError> {
    loop {
        match provider_sessions::claim_refresh(desk.vault(), ctx, session, LEASE).await? {
            RefreshClaim::Won { took_over, .. } => return Ok(Some(!took_over)),
            RefreshClaim::Moved => return Ok(None),
            RefreshClaim::Busy { .. } if Instant::now() < until => tokio::time::sleep(LOOK_AGAIN).await,
            RefreshClaim::Busy { .. } => return Ok(Some(false)),
        }
    }
}

/// What the provider says to the wish to end a grant; `None` if it could not be asked.
pub(crate) async fn asked_to_revoke(
    desk: &Desk,
    ctx: &TenantContext,
    provider: Provider,
    token: &SecretString,
) -> Option<Revocation> {
    let app = desk.app(ctx, provider).await.ok()?;
    let revoked = desk.music(provider).revoke(ctx, &app, token).await;
    revoked.inspect_err(|error| drop(report(error))).ok()
}

/// Where a person removes an app, as far as it is known without asking the provider.
pub(super) fn remove_page(provider: Provider) -> &'static str {
    match provider {
        Provider::Spotify => ": https://www.spotify.com/account/apps/",
        Provider::Tidal => "",
    }
}
