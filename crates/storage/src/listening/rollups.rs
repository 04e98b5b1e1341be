//! Roll-ups of months: which are out of date, and their bytes, which others make and read.

use chrono::{Months, NaiveDate, NaiveTime};
use stagedoor_crypto::KeyOwner;
use stagedoor_domain::{Provider, TenantContext, UserId};

use super::{Span, place, provider};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::packed;
use crate::transaction::TenantTransaction;

const TABLE: &str = "listening_rollups";

/// What a month's plays come to, in three byte strings that only their maker reads.
#[derive(Clone, PartialEq, Eq)]
pub struct RollupParts {
    /// What was heard for the first time.
    pub heard: Vec<u8>,
    /// Counts of plays.
    pub plays: Vec<u8>,
    /// Names of what was played.
    pub names: Vec<u8>,
}

/// A month's roll-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// The first day of its month (UTC).
    pub month: NaiveDate,
    /// Whether plays were added or deleted since it was made.
    pub stale: bool,
    /// What it holds; `None` if it was not made yet, or plays were deleted.
    pub parts: Option<RollupParts>,
}

/// A month whose roll-up is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleMonth {
    /// Whose.
    pub user: UserId,
    /// Where.
    pub provider: Provider,
    /// Its first day (UTC).
    pub month: NaiveDate,
    /// The state of its plays that a new one is of.
    pub wanted: i64,
}

impl StaleMonth {
    /// The month's time.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: no month that is stored is the last there is")]
    pub fn span(&self) -> Span {
        let at = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        (at(self.month), at(self.month.checked_add_months(Months::new(1)).expect("a month of our era")))
    }
}

/// Months whose roll-ups are out of date, at most `most`: of the tenant, or of one person.
pub async fn stale_months(
    transaction: &mut TenantTransaction,
    user: Option<UserId>,
    most: i64,
) -> Result<Vec<StaleMonth>, StoreError> {
    let rows = sqlx::query!(
        "SELECT user_id, provider, month, wanted FROM listening_rollups
        WHERE tenant_id = $1 AND built < wanted AND ($2::uuid IS NULL OR user_id = $2)
        ORDER BY user_id, provider, month LIMIT $3",
        transaction.tenant_id().0,
        user.map(|user| user.0),
        most
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StaleMonth {
                user: row.user_id.into(),
                provider: provider(&row.provider, "listening_rollups.provider")?,
                month: row.month,
                wanted: row.wanted,
            })
        })
        .collect()
}

/// Keeps what was made of the plays of `month` after it was read as stale, or removes the roll-up of a month without plays.
/// `false` if plays were added or deleted meanwhile: it is to be made again.
pub async fn build_rollup(
    vault: &KeyVault,
    context: &TenantContext,
    month: &StaleMonth,
    parts: Option<&RollupParts>,
) -> Result<bool, StoreError> {
    let tenant = context.tenant_id().0;
    let found = async |tx: &mut TenantTransaction| {
        let id = sqlx::query_scalar!(
            "SELECT rollup_id FROM listening_rollups
            WHERE tenant_id = $1 AND user_id = $2 AND provider = $3 AND month = $4 AND wanted = $5",
            tenant,
            month.user.0,
            month.provider.as_str(),
            month.month,
            month.wanted
        );
        Ok::<_, StoreError>(id.fetch_optional(tx.connection()).await?)
    };
    let Some(id) = vault.store().with_tenant(context, found).await? else { return Ok(false) };
    let Some(parts) = parts else {
        let remove = async |tx: &mut TenantTransaction| {
            let removed = sqlx::query!(
                "DELETE FROM listening_rollups r
                WHERE r.tenant_id = $1 AND r.user_id = $2 AND r.provider = $3 AND r.month = $4 AND r.wanted = $5",
                tenant,
                month.user.0,
                month.provider.as_str(),
                month.month,
                month.wanted
            );
            Ok::<_, StoreError>(removed.execute(tx.connection()).await?.rows_affected() == 1)
        };
        return vault.store().with_tenant(context, remove).await;
    };
    let mut sealed = Vec::with_capacity(3);
    for (column, bytes) in [("heard", &parts.heard), ("plays", &parts.plays), ("names", &parts.names)] {
        let bytes = packed::pack(bytes, "listening_rollups")?;
        let place = place(context, (TABLE, column), id, month.wanted);
        sealed.push(vault.seal(context, KeyOwner::Subject(month.user), &place, &bytes).await?);
    }
    let keep = async |tx: &mut TenantTransaction| {
        let kept = sqlx::query!(
            "UPDATE listening_rollups SET built = $5, heard = $6, plays = $7, names = $8
            WHERE tenant_id = $1 AND user_id = $2 AND provider = $3 AND month = $4 AND wanted = $5",
            tenant,
            month.user.0,
            month.provider.as_str(),
            month.month,
            month.wanted,
            &sealed[0],
            &sealed[1],
            &sealed[2]
        );
        Ok::<_, StoreError>(kept.execute(tx.connection()).await?.rows_affected() == 1)
    };
    vault.store().with_tenant(context, keep).await
}

/// The roll-ups of a person at a provider of the months from `first` on and before `last` (first days), in order, opened.
/// Months without plays have none.
///
/// # Errors
/// The database's, and [`StoreError::Unreadable`] of one that does not open.
pub async fn rollups(
    vault: &KeyVault,
    context: &TenantContext,
    (user, of): (UserId, Provider),
    (first, last): (NaiveDate, NaiveDate),
) -> Result<Vec<Rollup>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            "SELECT rollup_id, month, wanted, built, heard, plays, names FROM listening_rollups
            WHERE tenant_id = $1 AND user_id = $2 AND provider = $3 AND month >= $4 AND month < $5 ORDER BY month",
            tx.tenant_id().0,
            user.0,
            of.as_str(),
            first,
            last
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let open = async |column: &'static str, sealed: &[u8]| {
            let place = place(context, (TABLE, column), row.rollup_id, row.built);
            let opened = vault.open(context, &place, sealed, "a roll-up of plays").await?;
            packed::unpack(&opened, "listening_rollups")
        };
        let parts = match (&row.heard, &row.plays, &row.names) {
            (Some(heard), Some(plays), Some(names)) => Some(RollupParts {
                heard: open("heard", heard).await?,
                plays: open("plays", plays).await?,
                names: open("names", names).await?,
            }),
            _ => None,
        };
        found.push(Rollup { month: row.month, stale: row.built < row.wanted, parts });
    }
    Ok(found)
}

impl std::fmt::Debug for RollupParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths = [self.heard.len(), self.plays.len(), self.names.len()];
        f.debug_tuple("RollupParts").field(&lengths).finish()
    }
}
