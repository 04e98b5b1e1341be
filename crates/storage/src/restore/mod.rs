//! Putting rows of a backup back into one tenant, in one transaction of the caller's: nobody who was erased, nothing that
//! does not open, nothing whose parents are not there; what stays away is told. Which backup, and reading it, is the
//! keeper's. The keeper's role cannot write a row otherwise than by the database's functions for this.

mod changes;
mod error;
mod keys;
mod rows;
mod sessions;
mod tables;
mod tally;
mod tombstones;
mod trail;

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use stagedoor_crypto::KekProvider;
use stagedoor_domain::{Entropy, UserId};
use uuid::Uuid;

pub use error::{Loss, LossKind, RestoreError};
pub use rows::RowOutcome;
pub use sessions::{Recovered, SetAside, set_aside};
pub use tables::{PLACES, Place, Whose, bytes, find};
pub use tally::{Restored, Tally};
pub use tombstones::{Tombstone, erase_again, erased_subjects, put_tombstones, subject_digest, suspend};

use crate::error::StoreError;
use crate::transaction::TenantTransaction;
use keys::KeyChain;

/// What may come back, and what becomes of what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Only what is this person's.
    pub only: Option<UserId>,
    /// Rows of the backup take the places of those with their keys, where that can be.
    pub replacing: bool,
    /// What can come back does, even if something else cannot.
    pub partial: bool,
}

/// A restore under way.
pub struct Restorer<'a> {
    transaction: &'a mut TenantTransaction,
    entropy: &'a dyn Entropy,
    options: RestoreOptions,
    keys: KeyChain<'a>,
    /// Digests of people who were erased.
    erased: HashSet<[u8; 32]>,
    /// Accounts of theirs in the backup.
    erased_accounts: HashSet<Uuid>,
    /// Accounts of the one person that it is about.
    accounts: HashSet<Uuid>,
    /// People and accounts that are there: what belongs to others has no parent.
    known: HashSet<Uuid>,
    /// Of these, whose erasure is under way: nothing of theirs comes back.
    leaving: HashSet<Uuid>,
    /// Rows without a parent, with their accounts: at the end it is known whose they were.
    orphans: Vec<(Loss, Uuid)>,
    /// Days whose chains were there before.
    days_before: HashSet<NaiveDate>,
    days: BTreeSet<NaiveDate>,
    /// Who was being erased when the backup was made.
    erasing: Vec<(UserId, DateTime<Utc>)>,
    /// Whether the tenant was there before.
    existed: bool,
    restored: Restored,
}

impl<'a> Restorer<'a> {
    /// Begins with who was erased, and with the tenant: `tenant` is its row in the backup, needed where the database does
    /// not have it. Nothing of a tenant that was deleted, or was being deleted at the backup, comes back.
    pub async fn begin(
        transaction: &'a mut TenantTransaction,
        provider: &'a dyn KekProvider,
        entropy: &'a dyn Entropy,
        options: RestoreOptions,
        tenant: Option<&str>,
        tombstones: &[Tombstone],
    ) -> Result<Self, RestoreError> {
        let mut restored = Restored::default();
        let existed = begin_tenant(transaction, options, tenant, &mut restored).await?;
        tombstones::put_tombstones(transaction, tombstones).await?;
        let erased = tombstones::erased_subjects(transaction).await?;
        if options.only.is_some_and(|user| erased.contains(&subject_digest(transaction.tenant_id(), user))) {
            return Err(RestoreError::PersonErased);
        }
        let keys = KeyChain::load(transaction, provider).await?;
        let days_before = trail::present_days(transaction).await?.into_iter().collect();
        let (known, leaving) = present(transaction).await?;
        Ok(Self {
            transaction,
            entropy,
            options,
            keys,
            erased,
            erased_accounts: HashSet::new(),
            accounts: HashSet::new(),
            known,
            leaving,
            orphans: Vec::new(),
            days_before,
            days: BTreeSet::new(),
            erasing: Vec::new(),
            existed,
            restored,
        })
    }

    /// Takes note of a key of a backup that opens what may come, without putting it back as long as nothing needs it.
    pub fn offer_key(&mut self, row: &str) -> Result<(), RestoreError> {
        self.keys.offer(&parse("data_keys", row)?)
    }

    /// Whether the tenant was there before.
    pub fn tenant_existed(&self) -> bool {
        self.existed
    }

    /// Puts rows of one table back. Parents come before what refers to them.
    pub async fn put(&mut self, table: &str, texts: &[String]) -> Result<(), RestoreError> {
        let Some(place) = find(table) else {
            return Err(RestoreError::Schema(format!("there is no table {table}")));
        };
        if place.name == "tenants" {
            return Ok(());
        }
        let mut wanted = Vec::with_capacity(texts.len());
        for text in texts {
            let row = parse(place.name, text)?;
            if self.is_wanted(place, &row) {
                wanted.push((row, text.clone()));
            }
        }
        self.restored.tally(place.name).given += wanted.len() as u64;
        let mut ready = Vec::with_capacity(wanted.len());
        for (row, text) in wanted {
            ready.extend(self.prepare(place, row, text).await?);
        }
        if ready.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = ready.iter().map(|prepared| prepared.text.clone()).collect();
        let replacing = self.options.replacing && place.replaceable;
        let outcomes = rows::put(self.transaction, place.name, &texts, replacing).await?;
        for (prepared, outcome) in ready.into_iter().zip(outcomes) {
            let outcome = self.follow(place, &prepared.row, outcome).await?;
            let tally = self.restored.tally(place.name);
            tally.add(outcome);
            tally.changed += u64::from(prepared.changed && outcome == RowOutcome::Inserted);
        }
        Ok(())
    }

    /// Whether the audit trail that came back has this hash at this length of that day's chain; `true` for a day that did
    /// not come back, because it was there before.
    pub async fn trail_states(
        &mut self,
        day: NaiveDate,
        length: i64,
        hash: &[u8],
    ) -> Result<bool, RestoreError> {
        if self.days_before.contains(&day) {
            return Ok(true);
        }
        Ok(trail::states(self.transaction, day, length, hash).await?)
    }

    /// Checks what was put back, and ends what has to be done last. The caller commits, or undoes all of it.
    pub async fn finish(mut self) -> Result<Restored, RestoreError> {
        for day in std::mem::take(&mut self.days) {
            self.check_day(day).await?;
        }
        for (loss, account) in std::mem::take(&mut self.orphans) {
            if self.erased_accounts.contains(&account) {
                let tally = self.restored.tally(loss.table);
                tally.lost -= 1;
                tally.erased += 1;
            } else {
                self.restored.losses.push(loss);
            }
        }
        let erasing = std::mem::take(&mut self.erasing);
        tombstones::mark_erasing(self.transaction, &erasing).await?;
        self.restored.erased_again = tombstones::erase_again(self.transaction).await?;
        if self.existed {
            sqlx::query!("SELECT restore_tell()")
                .execute(self.transaction.connection())
                .await
                .map_err(StoreError::from)?;
        }
        if !self.options.partial && !self.restored.losses.is_empty() {
            return Err(RestoreError::Losses(self.restored.losses));
        }
        Ok(self.restored)
    }

    async fn check_day(&mut self, day: NaiveDate) -> Result<(), RestoreError> {
        let found = trail::check(self.transaction, day).await?;
        if found.broken {
            return Err(RestoreError::Trail(format!("the chain of {day} is not in one piece")));
        }
        let missing = (found.expected - found.records).unsigned_abs() + found.without_payload.unsigned_abs();
        if missing > 0 && !self.options.partial {
            return Err(RestoreError::Trail(format!(
                "of the {} records of {day}, {} are there, {} of them without their payloads",
                found.expected, found.records, found.without_payload
            )));
        }
        self.restored.records_missing += missing;
        Ok(())
    }

    /// Whether a row is of what was asked for.
    fn is_wanted(&mut self, place: &Place, row: &Value) -> bool {
        let Some(only) = self.options.only else { return true };
        let account = tables::uuid(row, "account_id");
        match place.whose {
            Whose::User => {
                let wanted = tables::uuid(row, "user_id") == Some(only.0);
                if wanted && place.name == "linked_accounts" {
                    self.accounts.extend(account);
                }
                wanted
            }
            Whose::Account => account.is_some_and(|account| self.accounts.contains(&account)),
            Whose::Tenant | Whose::Trail => false,
        }
    }
}

/// The ids of people and accounts that are there, and of those whose erasure is under way.
async fn present(transaction: &mut TenantTransaction) -> Result<(HashSet<Uuid>, HashSet<Uuid>), StoreError> {
    let rows = sqlx::query!(
        r#"SELECT u.user_id AS "id!", u.erasing_at IS NOT NULL AS "leaving!" FROM users u WHERE u.tenant_id = $1
        UNION ALL
        SELECT a.account_id, u.erasing_at IS NOT NULL
        FROM linked_accounts a JOIN users u USING (tenant_id, user_id) WHERE a.tenant_id = $1"#,
        transaction.tenant_id().0
    )
    .fetch_all(transaction.connection())
    .await?;
    let leaving = rows.iter().filter(|row| row.leaving).map(|row| row.id).collect();
    Ok((rows.into_iter().map(|row| row.id).collect(), leaving))
}

/// Whether the tenant was there before.
async fn begin_tenant(
    transaction: &mut TenantTransaction,
    options: RestoreOptions,
    tenant: Option<&str>,
    restored: &mut Restored,
) -> Result<bool, RestoreError> {
    let standing =
        sqlx::query_scalar!("SELECT status FROM tenants WHERE tenant_id = $1", transaction.tenant_id().0);
    let standing = standing.fetch_optional(transaction.connection()).await.map_err(StoreError::from)?;
    let existed = standing.is_some();
    if standing.is_some_and(|status| status == "deleted" || status == "deleting") {
        return Err(RestoreError::TenantDeleted);
    }
    let Some(text) = tenant else {
        return if existed { Ok(true) } else { Err(RestoreError::NoTenant) };
    };
    let row = parse("tenants", text)?;
    if row["status"] == "deleted" || row["status"] == "deleting" {
        return Err(RestoreError::TenantWasBeingDeleted);
    }
    if options.only.is_some() {
        return if existed { Ok(true) } else { Err(RestoreError::NoTenant) };
    }
    let outcomes =
        rows::put(transaction, "tenants", &[text.to_owned()], existed && options.replacing).await?;
    let tally = restored.tally("tenants");
    tally.given += 1;
    for outcome in outcomes {
        if outcome == RowOutcome::Clash {
            return Err(RestoreError::NameTaken(row["slug"].as_str().unwrap_or_default().to_owned()));
        }
        tally.add(outcome);
    }
    Ok(existed)
}

fn parse(table: &'static str, text: &str) -> Result<Value, RestoreError> {
    serde_json::from_str(text).map_err(|_| RestoreError::Row { table })
}

impl std::fmt::Debug for Restorer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restorer").field("options", &self.options).finish_non_exhaustive()
    }
}
