//! Reading plays: all of a person's in the order of time, the newest by pages, and how many there are.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use stagedoor_domain::{LinkedAccountId, Provider, TenantContext, UserId};
use uuid::Uuid;

use super::plays::{self, PlaySource, StoredPlay};
use super::provider;
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// Plays of one transaction; sealed ones are opened after it.
const PAGE: i64 = 2_000;

/// From a time on and before another.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

/// Where a page ends: plays from there on, in the page's direction, are on the next one.
pub type Mark = (DateTime<Utc>, Uuid);

/// How many plays of an account there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPlays {
    /// The account.
    pub account: LinkedAccountId,
    /// How many.
    pub plays: u64,
    /// How many of these a poll has told of.
    pub polled: u64,
    /// How many of these a data download has told of.
    pub imported: u64,
    /// The end of the first one.
    pub first: DateTime<Utc>,
    /// The end of the last one.
    pub last: DateTime<Utc>,
}

struct Row {
    play_id: Uuid,
    account_id: Uuid,
    provider: String,
    played_at: DateTime<Utc>,
    source: String,
    play: Vec<u8>,
}

/// Hands every play of a person at a provider that ended within `span` to `each`, in the order of time, opened. Memory is
/// bounded by a page; what is added meanwhile may be among them or not.
///
/// # Errors
/// The database's, [`StoreError::Unreadable`] of a play that does not open, and those of `each`.
pub async fn each_play<E: From<StoreError>>(
    vault: &KeyVault,
    context: &TenantContext,
    (user, of): (UserId, Provider),
    span: Span,
    mut each: impl FnMut(StoredPlay) -> Result<(), E>,
) -> Result<(), E> {
    let mut after: Mark = (span.0, Uuid::nil());
    loop {
        let read = async |tx: &mut TenantTransaction| {
            let rows = sqlx::query_as!(
                Row,
                "SELECT play_id, account_id, provider, played_at, source, play FROM listening_history
                WHERE tenant_id = $1 AND user_id = $2 AND provider = $3 AND played_at >= $4 AND played_at < $6
                    AND (played_at, play_id) > ($4, $5)
                ORDER BY played_at, play_id LIMIT $7",
                tx.tenant_id().0,
                user.0,
                of.as_str(),
                after.0,
                after.1,
                span.1,
                PAGE
            );
            Ok::<_, StoreError>(rows.fetch(tx.connection()).try_collect::<Vec<_>>().await?)
        };
        let rows = vault.store().with_tenant(context, read).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = (last.played_at, last.play_id);
        for row in rows {
            each(row.open(vault, context).await?)?;
        }
    }
}

/// The newest `most` plays of a person that ended within `span` and before `before`, newest first; of one provider, or of
/// all that are in `of`.
///
/// # Errors
/// The database's, and [`StoreError::Unreadable`] of a play that does not open.
pub async fn newest(
    vault: &KeyVault,
    context: &TenantContext,
    (user, of): (UserId, &[Provider]),
    span: Span,
    before: Option<Mark>,
    most: i64,
) -> Result<Vec<StoredPlay>, StoreError> {
    let of: Vec<String> = of.iter().map(|provider| provider.as_str().to_owned()).collect();
    let (at, id) = before.unwrap_or((span.1, Uuid::nil()));
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query_as!(
            Row,
            "SELECT play_id, account_id, provider, played_at, source, play FROM listening_history
            WHERE tenant_id = $1 AND user_id = $2 AND provider = ANY($3) AND played_at >= $4 AND played_at <= $5
                AND (played_at, play_id) < ($5, $6)
            ORDER BY played_at DESC, play_id DESC LIMIT $7",
            tx.tenant_id().0,
            user.0,
            &of,
            span.0,
            at,
            id,
            most
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    let mut plays = Vec::with_capacity(rows.len());
    for row in rows {
        plays.push(row.open(vault, context).await?);
    }
    Ok(plays)
}

/// How many plays of each of a person's accounts there are; accounts without any are not among them.
pub async fn per_account(
    transaction: &mut TenantTransaction,
    user: UserId,
) -> Result<Vec<AccountPlays>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT account_id, count(*) AS "plays!", count(*) FILTER (WHERE source <> 'import') AS "polled!",
            count(*) FILTER (WHERE source <> 'poll') AS "imported!", min(played_at) AS "first!",
            max(played_at) AS "last!"
        FROM listening_history WHERE tenant_id = $1 AND user_id = $2 GROUP BY account_id ORDER BY account_id"#,
        transaction.tenant_id().0,
        user.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| AccountPlays {
            account: row.account_id.into(),
            plays: row.plays.unsigned_abs(),
            polled: row.polled.unsigned_abs(),
            imported: row.imported.unsigned_abs(),
            first: row.first,
            last: row.last,
        })
        .collect())
}

impl Row {
    async fn open(self, vault: &KeyVault, context: &TenantContext) -> Result<StoredPlay, StoreError> {
        Ok(StoredPlay {
            id: self.play_id,
            account: self.account_id.into(),
            provider: provider(&self.provider, "listening_history.provider")?,
            played_at: self.played_at,
            source: PlaySource::parse(&self.source)?,
            track: plays::open(vault, context, self.play_id, &self.play).await?,
        })
    }
}
