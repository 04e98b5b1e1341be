//! Queues that people of a tenant share. Every change takes the queue's row first, so that changes of one queue come one
//! after the other; who may do what is decided here, in the transaction that does it. Changes are in `editing`, `membership`
//! and `undoing`, where an item stands in `places`, what is told in `reading`, bringing tracks elsewhere in `commits`.

pub mod commits;
mod editing;
mod membership;
mod places;
mod reading;
mod undoing;

use serde::{Deserialize, Serialize};
use stagedoor_domain::{QueueItemId, QueueRole, SharedQueueId, TenantContext, UserId};
use uuid::Uuid;

pub use editing::{NewItem, NewQueue, Place, add, create, remove, reorder, vote};
pub use membership::{Admission, end, invite, leave, lock};
pub use reading::{
    Change, ChangedItem, Item, Member, Queue, Standing, changes, items, keep_known, list, load, versions,
};
pub use undoing::undo;

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How many changes of a queue are kept, and can be undone.
pub const CHANGES_KEPT: i64 = 200;

/// Why a queue was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such queue for the person.
    Unknown,
    /// The person's role does not allow it.
    Role {
        /// What the person is.
        has: QueueRole,
        /// What it takes.
        needs: QueueRole,
    },
    /// The queue is locked.
    Locked,
    /// A bound is reached.
    Full {
        /// What there is enough of, in words.
        what: &'static str,
        /// How many there may be.
        bound: u32,
    },
    /// The queue is not at the version that the change was meant for.
    Version {
        /// Where it is.
        now: i64,
    },
    /// The queue has no such item.
    ItemUnknown(QueueItemId),
    /// The tenant has no such person.
    PersonUnknown,
    /// The queue is shown by votes, so nothing in it is moved by hand.
    ByVotes,
    /// There would be tracks of several services in it, which the tenant may not show together.
    Mixed,
    /// There is no such change, or nothing that could be undone.
    ChangeUnknown,
    /// The change was undone before.
    Undone {
        /// By which change.
        by: i64,
    },
    /// Someone has changed the item since, so that undoing the change would undo that, too.
    ChangedSince(QueueItemId),
    /// The key was used for something else.
    Mismatch,
    /// Another call with the key came first just now.
    Underway,
}

/// Why something was not done.
#[derive(Debug)]
pub enum Failure {
    /// It is not allowed.
    Refused(Refusal),
    /// The store could not.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a person asks to be done to a queue.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// The queue.
    pub queue: SharedQueueId,
    /// The person.
    pub user: UserId,
    /// The version that it is meant for, if it is meant for one only.
    pub expected_version: Option<i64>,
    /// The key against doing it twice, if it has one.
    pub once: Option<&'a Once>,
}

/// A key against doing something twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// SHA-256 of the key.
    pub key: [u8; 32],
    /// A digest of what is asked for.
    pub request: [u8; 32],
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The queue.
    pub queue: SharedQueueId,
    /// Its version now; of a repeat, the version that the first call made.
    pub version: i64,
    /// The items that it is about.
    pub items: Vec<QueueItemId>,
    /// Whether it had been done before under its key.
    pub repeated: bool,
    /// Whether it can be undone.
    pub undoable: bool,
}

/// What a change does to an item: its position before and after, where it was or is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Effect {
    item: Uuid,
    from: Option<i64>,
    to: Option<i64>,
}

/// A queue that is held until the transaction ends.
struct Held {
    tenant: Uuid,
    queue: Uuid,
    user: Uuid,
    by_votes: bool,
}

/// Takes a queue, if the person may do what takes the role `needs`; for a change of what is in it, `unlocked`.
async fn hold(
    tx: &mut TenantTransaction,
    errand: &Errand<'_>,
    needs: QueueRole,
    unlocked: bool,
) -> Result<Held, Failure> {
    let (tenant, queue, user) = (tx.tenant_id().0, errand.queue.0, errand.user.0);
    let row = sqlx::query!(
        "SELECT by_votes, locked, version FROM shared_queues WHERE tenant_id = $1 AND queue_id = $2 FOR UPDATE",
        tenant,
        queue
    );
    let row = row.fetch_optional(tx.connection()).await?.ok_or(Refusal::Unknown)?;
    let has = role(tx, errand.queue, errand.user).await?;
    if has < needs {
        return Err(Refusal::Role { has, needs }.into());
    }
    if row.locked && unlocked {
        return Err(Refusal::Locked.into());
    }
    if errand.expected_version.is_some_and(|expected| expected != row.version) {
        return Err(Refusal::Version { now: row.version }.into());
    }
    Ok(Held { tenant, queue, user, by_votes: row.by_votes })
}

/// What the person is in the queue. An editor is as good as the owner where there is none, as after a restore.
async fn role(tx: &mut TenantTransaction, queue: SharedQueueId, user: UserId) -> Result<QueueRole, Failure> {
    let role = sqlx::query_scalar!(
        r#"SELECT CASE WHEN m.role = 'editor' AND NOT EXISTS (
            SELECT FROM shared_queue_members o
            WHERE o.tenant_id = $1 AND o.queue_id = $2 AND o.role = 'owner') THEN 'owner' ELSE m.role END AS "role!"
        FROM shared_queue_members m WHERE m.tenant_id = $1 AND m.queue_id = $2 AND m.user_id = $3"#,
        tx.tenant_id().0,
        queue.0,
        user.0
    );
    let role = role.fetch_optional(tx.connection()).await?.ok_or(Refusal::Unknown)?;
    read_role(&role).map_err(Failure::from)
}

fn read_role(text: &str) -> Result<QueueRole, StoreError> {
    text.parse().map_err(|_| StoreError::not_understood("shared_queue_members.role", text))
}

/// What was done under the key before, if anything was.
async fn repeated(tx: &mut TenantTransaction, errand: &Errand<'_>) -> Result<Option<Edited>, Failure> {
    let Some(once) = errand.once else { return Ok(None) };
    let row = sqlx::query!(
        "SELECT queue_id, version, request_digest, effects FROM shared_queue_changes
        WHERE tenant_id = $1 AND user_id = $2 AND key_digest = $3",
        tx.tenant_id().0,
        errand.user.0,
        &once.key
    );
    let Some(row) = row.fetch_optional(tx.connection()).await? else { return Ok(None) };
    if row.request_digest.as_deref() != Some(&once.request[..]) {
        return Err(Refusal::Mismatch.into());
    }
    let effects = read_effects(row.effects)?;
    Ok(Some(Edited {
        queue: row.queue_id.into(),
        version: row.version,
        items: effects.iter().map(|effect| effect.item.into()).collect(),
        repeated: true,
        undoable: !effects.is_empty(),
    }))
}

fn read_effects(value: serde_json::Value) -> Result<Vec<Effect>, StoreError> {
    serde_json::from_value(value)
        .map_err(|_| StoreError::not_understood("shared_queue_changes.effects", "something else"))
}

impl Held {
    /// Raises the version, and answers it.
    async fn raise(&self, tx: &mut TenantTransaction) -> Result<i64, StoreError> {
        let version = sqlx::query_scalar!(
            "UPDATE shared_queues SET version = version + 1, changed_at = clock_timestamp()
            WHERE tenant_id = $1 AND queue_id = $2 RETURNING version",
            self.tenant,
            self.queue
        );
        Ok(version.fetch_one(tx.connection()).await?)
    }

    /// Notes a change that made `version`, and forgets what is too old.
    async fn note(
        &self,
        tx: &mut TenantTransaction,
        (version, action): (i64, &'static str),
        effects: &[Effect],
        undoes: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Edited, StoreError> {
        let stored = serde_json::to_value(effects).map_err(|_| StoreError::Missing("form of a change"))?;
        sqlx::query!(
            "INSERT INTO shared_queue_changes
                (tenant_id, queue_id, version, user_id, action, effects, undoes, key_digest, request_digest)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.tenant,
            self.queue,
            version,
            self.user,
            action,
            stored,
            undoes,
            once.map(|once| &once.key[..]),
            once.map(|once| &once.request[..])
        )
        .execute(tx.connection())
        .await
        .map_err(StoreError::or_exists("a change with that key"))?;
        if version % 20 == 0 {
            self.forget(tx, version - CHANGES_KEPT).await?;
        }
        Ok(Edited {
            queue: self.queue.into(),
            version,
            items: effects.iter().map(|effect| effect.item.into()).collect(),
            repeated: false,
            undoable: !effects.is_empty(),
        })
    }

    async fn forget(&self, tx: &mut TenantTransaction, before: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM shared_queue_changes WHERE tenant_id = $1 AND queue_id = $2 AND version < $3
                AND (key_digest IS NULL OR recorded_at < clock_timestamp() - interval '1 day')",
            self.tenant,
            self.queue,
            before
        )
        .execute(tx.connection())
        .await?;
        sqlx::query!(
            "DELETE FROM shared_queue_items WHERE tenant_id = $1 AND queue_id = $2 AND removed_in < $3",
            self.tenant,
            self.queue,
            before
        )
        .execute(tx.connection())
        .await?;
        Ok(())
    }

    /// How many items are in it, and whether these are of several services.
    async fn contents(&self, tx: &mut TenantTransaction) -> Result<(i64, bool), StoreError> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "items!", count(DISTINCT split_part(track, ':', 1)) > 1 AS "mixed!"
            FROM shared_queue_items WHERE tenant_id = $1 AND queue_id = $2 AND removed_in IS NULL"#,
            self.tenant,
            self.queue
        );
        let row = row.fetch_one(tx.connection()).await?;
        Ok((row.items, row.mixed))
    }

    /// Refuses what would put too much into it.
    async fn check_contents(&self, tx: &mut TenantTransaction, rules: Rules) -> Result<(), Failure> {
        let (items, mixed) = self.contents(tx).await?;
        if items > i64::from(rules.items) {
            return Err(Refusal::Full { what: "items in one queue", bound: rules.items }.into());
        }
        if mixed && !rules.mixed {
            return Err(Refusal::Mixed.into());
        }
        Ok(())
    }
}

/// What a queue may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many items.
    pub items: u32,
    /// Whether tracks of several services.
    pub mixed: bool,
}

/// Runs a change in a transaction of its own.
async fn change(
    store: &Store,
    context: &TenantContext,
    work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<Edited, Failure>,
) -> Result<Edited, Failure> {
    match store.with_tenant(context, work).await {
        // Two keys of one person are equal, whatever they are for.
        Err(Failure::Store(StoreError::AlreadyExists(_))) => Err(Refusal::Underway.into()),
        done => done,
    }
}
