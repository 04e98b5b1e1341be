//! What people listened to: plays, sealed one by one under their person's key; where polling and imports are; gaps; and
//! roll-ups of months, whose contents others make. What a person consented to and a tenant opened is `tools`' business.

mod cursors;
mod gaps;
mod imports;
mod matching;
mod plays;
mod reading;
mod recording;
mod rollups;

use chrono::{DateTime, Datelike as _, Utc};
use stagedoor_domain::TenantContext;

pub use cursors::{Cursor, Due, PollEnd, cursor, due, end_poll};
pub use gaps::{Gap, GapReason, gaps, record_gap};
pub use imports::{Counts, Import, ImportBegun, begin_import, finish_import, imports, note_import};
pub use matching::TOLERANCE;
pub use plays::{NewPlay, PlaySource, PlayedTrack, Source, StoredPlay};
pub use reading::{AccountPlays, Mark, Span, each_play, newest, per_account};
pub use recording::{Recorded, record};
pub use rollups::{Rollup, RollupParts, StaleMonth, build_rollup, rollups, stale_months};

use crate::error::StoreError;
use crate::store::Store;

/// The first year of which plays are kept: none of the services is older.
pub const FIRST_YEAR: i32 = 2006;

/// Makes the partitions that hold plays of those years, both included. Harmless when they are there.
///
/// # Errors
/// The database's refusal of years before [`FIRST_YEAR`] or after the next one.
pub async fn ensure_partitions(store: &Store, (first, last): (i32, i32)) -> Result<(), StoreError> {
    store
        .outside(async |connection| {
            let ensure = sqlx::query!("SELECT ensure_listening_partitions($1, $2)", first, last);
            ensure.execute(connection).await?;
            Ok(())
        })
        .await
}

/// The years whose partitions are there, in order.
pub async fn partition_years(store: &Store) -> Result<Vec<i32>, StoreError> {
    store
        .outside(async |connection| {
            let years = sqlx::query_scalar!(
                r#"SELECT right(c.relname, 4)::integer AS "year!"
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'public.listening_history'::regclass AND c.relname ~ '_p[0-9]{4}$' ORDER BY 1"#
            );
            Ok(years.fetch_all(connection).await?)
        })
        .await
}

/// Drops at most `most` years before `before`, of all tenants, and answers how many. The database keeps the last ten.
pub async fn drop_years(store: &Store, before: i32, most: i32) -> Result<u64, StoreError> {
    store
        .outside(async |connection| {
            let dropped = sqlx::query_scalar!(
                r#"SELECT retention_drop_listening_years($1, $2) AS "dropped!""#,
                before,
                most
            );
            Ok(u64::try_from(dropped.fetch_one(connection).await?).unwrap_or_default())
        })
        .await
}

/// The partitions that plays at those times need, made where one is missing.
async fn ensure_for(store: &Store, times: impl Iterator<Item = DateTime<Utc>>) -> Result<(), StoreError> {
    let mut years: Vec<i32> = times.map(|time| time.year()).collect();
    years.sort_unstable();
    years.dedup();
    let there = partition_years(store).await?;
    for year in years.into_iter().filter(|year| !there.contains(year)) {
        ensure_partitions(store, (year, year)).await?;
    }
    Ok(())
}

/// Locks where polling of an account is, which whoever adds plays of it does first: plays of one account are added one
/// batch after the other. [`StoreError::Missing`] if the account is not linked to that person any more.
async fn lock_account(
    transaction: &mut crate::transaction::TenantTransaction,
    account: &Owner,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant_id().0;
    let there = sqlx::query!(
        "SELECT a.account_id FROM linked_accounts a JOIN users u USING (tenant_id, user_id)
        WHERE a.tenant_id = $1 AND a.account_id = $2 AND a.user_id = $3 AND u.erasing_at IS NULL
        FOR KEY SHARE OF a",
        tenant,
        account.account.0,
        account.user.0
    );
    if there.fetch_optional(transaction.connection()).await?.is_none() {
        return Err(StoreError::Missing("linked account"));
    }
    sqlx::query!(
        "INSERT INTO listening_cursors (tenant_id, account_id, user_id, provider, next_poll_at)
        VALUES ($1, $2, $3, $4, '-infinity') ON CONFLICT DO NOTHING",
        tenant,
        account.account.0,
        account.user.0,
        account.provider.as_str()
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "SELECT account_id FROM listening_cursors WHERE tenant_id = $1 AND account_id = $2 FOR UPDATE",
        tenant,
        account.account.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(())
}

/// An account and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The person.
    pub user: stagedoor_domain::UserId,
    /// The account.
    pub account: stagedoor_domain::LinkedAccountId,
    /// Where it is.
    pub provider: stagedoor_domain::Provider,
}

fn place(
    context: &TenantContext,
    (table, column): (&'static str, &'static str),
    row: uuid::Uuid,
    revision: i64,
) -> stagedoor_crypto::SealContext {
    stagedoor_crypto::SealContext { tenant: context.tenant_id(), table, column, row, revision }
}

fn provider(text: &str, what: &'static str) -> Result<stagedoor_domain::Provider, StoreError> {
    text.parse().map_err(|_| StoreError::not_understood(what, text))
}
