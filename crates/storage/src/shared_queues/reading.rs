//! What is told of queues: to whom they are open, and nobody else.

use chrono::{DateTime, Utc};
use serde_json::Value;
use stagedoor_domain::{QueueItemId, QueueRole, SharedQueueId, TenantContext, UserId};
use uuid::Uuid;

use super::{Failure, Refusal, read_effects, read_role, role};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// A queue of the person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its id.
    pub id: SharedQueueId,
    /// What it is called.
    pub name: String,
    /// What the person is in it.
    pub role: QueueRole,
    /// Where it is.
    pub standing: Standing,
    /// How many items are in it.
    pub items: i64,
}

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Raised by every change.
    pub version: i64,
    /// Whether it is shown by votes.
    pub by_votes: bool,
    /// Whether nobody changes what is in it.
    pub locked: bool,
    /// When it was last changed.
    pub changed_at: DateTime<Utc>,
}

/// A person in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What to show.
    pub name: String,
    /// As what.
    pub role: QueueRole,
}

/// An item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: QueueItemId,
    /// The track's reference.
    pub track: String,
    /// What its service tells of it.
    pub known: Option<Value>,
    /// Who put it in, as far as known.
    pub added_by: Option<String>,
    /// The sum of its votes.
    pub score: i64,
    /// The person's own vote.
    pub own_vote: i16,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version that it made.
    pub version: i64,
    /// Who did it, as far as known.
    pub by: Option<String>,
    /// What was done.
    pub action: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The change that it undid.
    pub undoes: Option<i64>,
    /// The change that undid it.
    pub undone_by: Option<i64>,
    /// The items that came, went or moved.
    pub items: Vec<ChangedItem>,
}

/// What a change did to an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedItem {
    /// Which.
    pub id: QueueItemId,
    /// Its track, while that is known.
    pub track: Option<String>,
    /// `added`, `removed` or `moved`.
    pub what: &'static str,
}

/// The queues that the person is in, the one that was changed last first.
pub async fn list(store: &Store, context: &TenantContext, user: UserId) -> Result<Vec<Queue>, StoreError> {
    let read = async |tx: &mut TenantTransaction| queues(tx, user, None).await;
    store.with_tenant(context, read).await
}

/// A queue that the person is in, with whoever else is.
pub async fn load(
    store: &Store,
    context: &TenantContext,
    (queue, user): (SharedQueueId, UserId),
) -> Result<(Queue, Vec<Member>), Failure> {
    let read = async |tx: &mut TenantTransaction| {
        let own = role(tx, queue, user).await?;
        let found = queues(tx, user, Some(queue)).await?.pop().ok_or(Refusal::Unknown)?;
        let rows = sqlx::query!(
            "SELECT m.user_id, u.label, m.role FROM shared_queue_members m JOIN users u USING (tenant_id, user_id)
            WHERE m.tenant_id = $1 AND m.queue_id = $2 ORDER BY m.joined_at, m.user_id",
            tx.tenant_id().0,
            queue.0
        );
        let rows = rows.fetch_all(tx.connection()).await?;
        let members = rows
            .into_iter()
            .map(|row| Ok(Member { user: row.user_id.into(), name: row.label, role: read_role(&row.role)? }));
        Ok::<_, Failure>((Queue { role: own, ..found }, members.collect::<Result<_, StoreError>>()?))
    };
    store.with_tenant(context, read).await
}

async fn queues(
    tx: &mut TenantTransaction,
    user: UserId,
    only: Option<SharedQueueId>,
) -> Result<Vec<Queue>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT q.queue_id, q.name, q.version, q.by_votes, q.locked, q.changed_at, m.role,
            (SELECT count(*) FROM shared_queue_items i
                WHERE i.tenant_id = $1 AND i.queue_id = q.queue_id AND i.removed_in IS NULL) AS "items!"
        FROM shared_queue_members m JOIN shared_queues q USING (tenant_id, queue_id)
        WHERE m.tenant_id = $1 AND m.user_id = $2 AND ($3::uuid IS NULL OR m.queue_id = $3)
        ORDER BY q.changed_at DESC, q.queue_id LIMIT 200"#,
        tx.tenant_id().0,
        user.0,
        only.map(|queue| queue.0)
    );
    let rows = rows.fetch_all(tx.connection()).await?;
    rows.into_iter()
        .map(|row| {
            let standing = Standing {
                version: row.version,
                by_votes: row.by_votes,
                locked: row.locked,
                changed_at: row.changed_at,
            };
            let (id, role) = (row.queue_id.into(), read_role(&row.role)?);
            Ok(Queue { id, name: row.name, role, standing, items: row.items })
        })
        .collect()
}

/// The items of a queue that the person is in, in the order in which they are shown, with the version that they are of.
pub async fn items(
    store: &Store,
    context: &TenantContext,
    (queue, user): (SharedQueueId, UserId),
) -> Result<(i64, Vec<Item>), Failure> {
    let read = async |tx: &mut TenantTransaction| {
        role(tx, queue, user).await?;
        // One statement, so that the items are those of the version.
        let rows = sqlx::query!(
            r#"SELECT q.version, i.item_id AS "item?", i.track AS "track?", i.known AS "known?", u.label AS "label?",
                COALESCE(v.score, 0) AS "score!", COALESCE(o.vote, 0::smallint) AS "own!"
            FROM shared_queues q
            LEFT JOIN shared_queue_items i ON i.tenant_id = q.tenant_id AND i.queue_id = q.queue_id
                AND i.removed_in IS NULL
            LEFT JOIN users u ON u.tenant_id = i.tenant_id AND u.user_id = i.user_id
            LEFT JOIN (SELECT item_id, sum(vote) AS score FROM shared_queue_votes
                WHERE tenant_id = $1 AND queue_id = $2 GROUP BY item_id) v ON v.item_id = i.item_id
            LEFT JOIN shared_queue_votes o ON o.tenant_id = i.tenant_id AND o.queue_id = i.queue_id
                AND o.item_id = i.item_id AND o.user_id = $3
            WHERE q.tenant_id = $1 AND q.queue_id = $2
            ORDER BY CASE WHEN q.by_votes THEN -COALESCE(v.score, 0) ELSE 0 END, i.position"#,
            tx.tenant_id().0,
            queue.0,
            user.0
        );
        let rows = rows.fetch_all(tx.connection()).await?;
        let version = rows.first().ok_or(Refusal::Unknown)?.version;
        let item = |row: Row| {
            Some(Item {
                id: row.0?.into(),
                track: row.1?,
                known: row.2,
                added_by: row.3.filter(|label| !label.is_empty()),
                score: row.4,
                own_vote: row.5,
            })
        };
        let rows =
            rows.into_iter().map(|row| (row.item, row.track, row.known, row.label, row.score, row.own));
        Ok::<_, Failure>((version, rows.filter_map(item).collect()))
    };
    store.with_tenant(context, read).await
}

type Row = (Option<Uuid>, Option<String>, Option<Value>, Option<String>, i64, i16);

/// At most `most` changes of a queue that the person is in, the newest first, those before the version `before`.
pub async fn changes(
    store: &Store,
    context: &TenantContext,
    (queue, user): (SharedQueueId, UserId),
    (before, most): (Option<i64>, u32),
) -> Result<Vec<Change>, Failure> {
    let read = async |tx: &mut TenantTransaction| {
        role(tx, queue, user).await?;
        let tenant = tx.tenant_id().0;
        let rows = sqlx::query!(
            r#"SELECT c.version, u.label AS "label?", c.action, c.effects, c.undoes, c.undone_by, c.recorded_at
            FROM shared_queue_changes c LEFT JOIN users u USING (tenant_id, user_id)
            WHERE c.tenant_id = $1 AND c.queue_id = $2 AND ($3::bigint IS NULL OR c.version < $3)
            ORDER BY c.version DESC LIMIT $4"#,
            tenant,
            queue.0,
            before,
            i64::from(most)
        );
        let rows = rows.fetch_all(tx.connection()).await?;
        let tracks = sqlx::query!(
            "SELECT item_id, track FROM shared_queue_items WHERE tenant_id = $1 AND queue_id = $2",
            tenant,
            queue.0
        );
        let tracks: std::collections::HashMap<Uuid, String> = tracks
            .fetch_all(tx.connection())
            .await?
            .into_iter()
            .map(|row| (row.item_id, row.track))
            .collect();
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let items = read_effects(row.effects)?.into_iter().map(|effect| ChangedItem {
                id: effect.item.into(),
                track: tracks.get(&effect.item).cloned(),
                what: match (effect.from, effect.to) {
                    (None, _) => "added",
                    (_, None) => "removed",
                    _ => "moved",
                },
            });
            found.push(Change {
                version: row.version,
                by: row.label.filter(|label| !label.is_empty()),
                action: row.action,
                at: row.recorded_at,
                undoes: row.undoes,
                undone_by: row.undone_by,
                items: items.collect(),
            });
        }
        Ok::<_, Failure>(found)
    };
    store.with_tenant(context, read).await
}

/// Keeps what a service tells of tracks that were put in while it could not be asked.
pub async fn keep_known(
    store: &Store,
    context: &TenantContext,
    queue: SharedQueueId,
    known: &[(QueueItemId, Value)],
) -> Result<(), StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        for (item, track) in known {
            sqlx::query!(
                "UPDATE shared_queue_items SET known = $4
                WHERE tenant_id = $1 AND queue_id = $2 AND item_id = $3 AND known IS NULL",
                tx.tenant_id().0,
                queue.0,
                item.0,
                track
            )
            .execute(tx.connection())
            .await?;
        }
        Ok::<_, StoreError>(())
    };
    store.with_tenant(context, write).await
}

/// Who of a tenant is in which of these queues, and how far each is.
pub async fn versions(
    store: &Store,
    context: &TenantContext,
    queues: &[SharedQueueId],
) -> Result<Vec<(SharedQueueId, UserId, i64)>, StoreError> {
    let ids: Vec<Uuid> = queues.iter().map(|queue| queue.0).collect();
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            "SELECT m.queue_id, m.user_id, q.version
            FROM shared_queue_members m JOIN shared_queues q USING (tenant_id, queue_id)
            WHERE m.tenant_id = $1 AND m.queue_id = ANY ($2)",
            tx.tenant_id().0,
            &ids
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = store.with_tenant(context, read).await?;
    Ok(rows.into_iter().map(|row| (row.queue_id.into(), row.user_id.into(), row.version)).collect())
}
