//! Making a queue, and changing what is in it.

use serde_json::Value;
use stagedoor_domain::{QueueItemId, QueueLimits, QueueRole, SharedQueueId, TenantContext, UserId};

use super::{Edited, Effect, Errand, Failure, Held, Once, Refusal, Rules, change, hold, repeated};
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// A queue to be made.
#[derive(Debug, Clone)]
pub struct NewQueue<'a> {
    /// Its id, if it is made.
    pub id: SharedQueueId,
    /// What it is called.
    pub name: &'a str,
    /// Whether it is shown by votes.
    pub by_votes: bool,
    /// Who makes it, and owns it.
    pub owner: UserId,
}

/// A track to be put in.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Its id, if it is put in.
    pub id: QueueItemId,
    /// The track's reference.
    pub track: String,
    /// What its service tells of it, if it could be asked.
    pub known: Option<Value>,
}

/// Where to put something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind all others.
    End,
    /// Before this item, wherever that is by then.
    Before(QueueItemId),
}

impl Place {
    const fn before(self) -> Option<QueueItemId> {
        match self {
            Self::End => None,
            Self::Before(item) => Some(item),
        }
    }
}

/// Makes a queue.
pub async fn create(
    store: &Store,
    context: &TenantContext,
    new: &NewQueue<'_>,
    once: Option<&Once>,
    limits: QueueLimits,
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        let errand = Errand { queue: new.id, user: new.owner, expected_version: None, once };
        if let Some(done) = repeated(tx, &errand).await? {
            return Ok(done);
        }
        room_for_another(tx, new.owner, limits).await?;
        let tenant = tx.tenant_id().0;
        sqlx::query!(
            "INSERT INTO shared_queues (tenant_id, queue_id, name, by_votes) VALUES ($1, $2, $3, $4)",
            tenant,
            new.id.0,
            new.name,
            new.by_votes
        )
        .execute(tx.connection())
        .await?;
        sqlx::query!(
            "INSERT INTO shared_queue_members (tenant_id, queue_id, user_id, role) VALUES ($1, $2, $3, 'owner')",
            tenant,
            new.id.0,
            new.owner.0
        )
        .execute(tx.connection())
        .await?;
        let held = Held { tenant, queue: new.id.0, user: new.owner.0, by_votes: new.by_votes };
        Ok(held.note(tx, (1, "create"), &[], None, once).await?)
    })
    .await
}

/// Refuses a person who owns as many queues as one may. One person's calls at the same time take turns.
pub(super) async fn room_for_another(
    tx: &mut TenantTransaction,
    owner: UserId,
    limits: QueueLimits,
) -> Result<(), Failure> {
    let turn = format!("shared_queues/{}/{}", tx.tenant_id(), owner);
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", turn)
        .execute(tx.connection())
        .await?;
    let owned = sqlx::query_scalar!(
        r#"SELECT count(*) AS "owned!" FROM shared_queue_members
        WHERE tenant_id = $1 AND user_id = $2 AND role = 'owner'"#,
        tx.tenant_id().0,
        owner.0
    );
    if owned.fetch_one(tx.connection()).await? >= i64::from(limits.per_person) {
        return Err(Refusal::Full { what: "queues of one person", bound: limits.per_person }.into());
    }
    Ok(())
}

/// Puts tracks in, in their order.
pub async fn add(
    store: &Store,
    context: &TenantContext,
    errand: &Errand<'_>,
    (new, place): (&[NewItem], Place),
    rules: Rules,
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        let held = hold(tx, errand, QueueRole::Editor, true).await?;
        // Another call with the key may have come first.
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        let positions = held.places(tx, new.len(), place.before(), None).await?;
        let mut effects = Vec::with_capacity(new.len());
        for (item, position) in new.iter().zip(positions) {
            sqlx::query!(
                "INSERT INTO shared_queue_items (tenant_id, queue_id, item_id, track, known, user_id, position)
                VALUES ($1, $2, $3, $4, $5, $6, $7)",
                held.tenant,
                held.queue,
                item.id.0,
                item.track,
                item.known,
                held.user,
                position
            )
            .execute(tx.connection())
            .await?;
            effects.push(Effect { item: item.id.0, from: None, to: Some(position) });
        }
        held.check_contents(tx, rules).await?;
        let version = held.raise(tx).await?;
        Ok(held.note(tx, (version, "add"), &effects, None, errand.once).await?)
    })
    .await
}

/// Takes items out: all of them, or none if one is not in the queue.
pub async fn remove(
    store: &Store,
    context: &TenantContext,
    errand: &Errand<'_>,
    items: &[QueueItemId],
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        let held = hold(tx, errand, QueueRole::Editor, true).await?;
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        let version = held.raise(tx).await?;
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let from = held.take_out(tx, item.0, version).await?.ok_or(Refusal::ItemUnknown(*item))?;
            effects.push(Effect { item: item.0, from: Some(from), to: None });
        }
        Ok(held.note(tx, (version, "remove"), &effects, None, errand.once).await?)
    })
    .await
}

/// Moves an item.
pub async fn reorder(
    store: &Store,
    context: &TenantContext,
    errand: &Errand<'_>,
    (item, place): (QueueItemId, Place),
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        let held = hold(tx, errand, QueueRole::Editor, true).await?;
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        if held.by_votes {
            return Err(Refusal::ByVotes.into());
        }
        let to = held.places(tx, 1, place.before(), Some(item)).await?[0];
        // Read afterwards: all may have been numbered anew.
        let from = held.position(tx, item.0).await?.ok_or(Refusal::ItemUnknown(item))?;
        held.put(tx, item.0, to).await?;
        let version = held.raise(tx).await?;
        let effect = Effect { item: item.0, from: Some(from), to: Some(to) };
        Ok(held.note(tx, (version, "reorder"), &[effect], None, errand.once).await?)
    })
    .await
}

/// Keeps the person's vote on an item: 1, -1, or 0 for none. Twice is once.
pub async fn vote(
    store: &Store,
    context: &TenantContext,
    errand: &Errand<'_>,
    (item, vote): (QueueItemId, i16),
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        let held = hold(tx, errand, QueueRole::Voter, true).await?;
        held.position(tx, item.0).await?.ok_or(Refusal::ItemUnknown(item))?;
        let changed = if vote == 0 {
            sqlx::query!(
                "DELETE FROM shared_queue_votes
                WHERE tenant_id = $1 AND queue_id = $2 AND item_id = $3 AND user_id = $4",
                held.tenant,
                held.queue,
                item.0,
                held.user
            )
            .execute(tx.connection())
            .await?
        } else {
            sqlx::query!(
                "INSERT INTO shared_queue_votes AS v (tenant_id, queue_id, item_id, user_id, vote)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (tenant_id, queue_id, item_id, user_id) DO UPDATE SET vote = excluded.vote
                    WHERE v.vote <> excluded.vote",
                held.tenant,
                held.queue,
                item.0,
                held.user,
                vote
            )
            .execute(tx.connection())
            .await?
        };
        let version =
            if changed.rows_affected() == 0 { held.version(tx).await? } else { held.raise(tx).await? };
        Ok(Edited { queue: errand.queue, version, items: vec![item], repeated: false, undoable: false })
    })
    .await
}

impl Held {
    /// Takes an item out and says where it stood; `None` if it was not in.
    pub(super) async fn take_out(
        &self,
        tx: &mut TenantTransaction,
        item: uuid::Uuid,
        version: i64,
    ) -> Result<Option<i64>, Failure> {
        let from = sqlx::query_scalar!(
            "UPDATE shared_queue_items SET removed_in = $4
            WHERE tenant_id = $1 AND queue_id = $2 AND item_id = $3 AND removed_in IS NULL RETURNING position",
            self.tenant,
            self.queue,
            item,
            version
        );
        Ok(from.fetch_optional(tx.connection()).await?)
    }

    /// Puts an item that is or was in the queue at a position; `false` if nothing is known of it any more.
    pub(super) async fn put(
        &self,
        tx: &mut TenantTransaction,
        item: uuid::Uuid,
        position: i64,
    ) -> Result<bool, Failure> {
        let put = sqlx::query!(
            "UPDATE shared_queue_items SET position = $4, removed_in = NULL
            WHERE tenant_id = $1 AND queue_id = $2 AND item_id = $3",
            self.tenant,
            self.queue,
            item,
            position
        );
        Ok(put.execute(tx.connection()).await?.rows_affected() == 1)
    }

    async fn version(&self, tx: &mut TenantTransaction) -> Result<i64, Failure> {
        let version = sqlx::query_scalar!(
            "SELECT version FROM shared_queues WHERE tenant_id = $1 AND queue_id = $2",
            self.tenant,
            self.queue
        );
        Ok(version.fetch_one(tx.connection()).await?)
    }
}
