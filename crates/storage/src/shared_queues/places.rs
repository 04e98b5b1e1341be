//! Where an item stands: a number with room on both sides, so that one that is moved moves alone. When the room between
//! two is used up, all are numbered anew.

use stagedoor_domain::QueueItemId;
use uuid::Uuid;

use super::{Failure, Held, Refusal};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// The room between two items that were put in one after the other.
const ROOM: i64 = 1 << 32;

/// `count` numbers between two others; none if there is no room for them.
fn between(lower: i64, upper: i64, count: usize) -> Option<Vec<i64>> {
    let count = i64::try_from(count).ok()?;
    let step = (upper - lower) / (count + 1);
    (step > 0).then(|| (1..=count).map(|number| lower + number * step).collect())
}

impl Held {
    /// Positions for `count` items before the item `before`, or at the end; `moving` is not in the way.
    pub(super) async fn places(
        &self,
        tx: &mut TenantTransaction,
        count: usize,
        before: Option<QueueItemId>,
        moving: Option<QueueItemId>,
    ) -> Result<Vec<i64>, Failure> {
        for _ in 0..2 {
            let (lower, upper) = self.gap(tx, before, moving).await?;
            let upper = match upper {
                Some(upper) => Some(upper),
                None => {
                    i64::try_from(count + 1).ok().and_then(|room| lower.checked_add(ROOM.checked_mul(room)?))
                }
            };
            if let Some(found) = upper.and_then(|upper| between(lower, upper, count)) {
                return Ok(found);
            }
            self.number_anew(tx).await?;
        }
        Err(StoreError::Missing("room in a queue").into())
    }

    /// A position at `wanted`, or right after it if another item stands there.
    pub(super) async fn place_at(&self, tx: &mut TenantTransaction, wanted: i64) -> Result<i64, Failure> {
        let next = sqlx::query!(
            r#"SELECT count(*) FILTER (WHERE position = $3) > 0 AS "taken!",
                min(position) FILTER (WHERE position > $3) AS next
            FROM shared_queue_items WHERE tenant_id = $1 AND queue_id = $2 AND removed_in IS NULL"#,
            self.tenant,
            self.queue,
            wanted
        )
        .fetch_one(tx.connection())
        .await?;
        if !next.taken {
            return Ok(wanted);
        }
        let upper = next.next.or_else(|| wanted.checked_add(2 * ROOM));
        match upper.and_then(|upper| between(wanted, upper, 1)) {
            Some(found) => Ok(found[0]),
            // No room beside it: at the end, rather than not at all.
            None => Ok(self.places(tx, 1, None, None).await?[0]),
        }
    }

    async fn gap(
        &self,
        tx: &mut TenantTransaction,
        before: Option<QueueItemId>,
        moving: Option<QueueItemId>,
    ) -> Result<(i64, Option<i64>), Failure> {
        let upper = match before {
            Some(before) => Some(self.position(tx, before.0).await?.ok_or(Refusal::ItemUnknown(before))?),
            None => None,
        };
        let lower = sqlx::query_scalar!(
            "SELECT max(position) FROM shared_queue_items WHERE tenant_id = $1 AND queue_id = $2
                AND removed_in IS NULL AND item_id IS DISTINCT FROM $3 AND ($4::bigint IS NULL OR position < $4)",
            self.tenant,
            self.queue,
            moving.map(|item| item.0),
            upper
        );
        Ok((lower.fetch_one(tx.connection()).await?.unwrap_or(0), upper))
    }

    /// Where an item stands; `None` if it is not in the queue.
    pub(super) async fn position(
        &self,
        tx: &mut TenantTransaction,
        item: Uuid,
    ) -> Result<Option<i64>, StoreError> {
        let position = sqlx::query_scalar!(
            "SELECT position FROM shared_queue_items
            WHERE tenant_id = $1 AND queue_id = $2 AND item_id = $3 AND removed_in IS NULL",
            self.tenant,
            self.queue,
            item
        );
        Ok(position.fetch_optional(tx.connection()).await?)
    }

    /// Gives all items new positions with room between them; below zero first, where nobody stands.
    async fn number_anew(&self, tx: &mut TenantTransaction) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE shared_queue_items i SET position = -n.number FROM (
                SELECT item_id, row_number() OVER (ORDER BY position) AS number FROM shared_queue_items
                WHERE tenant_id = $1 AND queue_id = $2 AND removed_in IS NULL) n
            WHERE i.tenant_id = $1 AND i.queue_id = $2 AND i.item_id = n.item_id",
            self.tenant,
            self.queue
        )
        .execute(tx.connection())
        .await?;
        sqlx::query!(
            "UPDATE shared_queue_items SET position = -position * $3
            WHERE tenant_id = $1 AND queue_id = $2 AND removed_in IS NULL",
            self.tenant,
            self.queue,
            ROOM
        )
        .execute(tx.connection())
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_between_two_others_are_in_order_and_neither_of_them() {
        assert_eq!(between(0, 10, 1), Some(vec![5]));
        assert_eq!(between(0, 10, 3), Some(vec![2, 4, 6]));
        assert_eq!(between(4, 5, 1), None);
        assert_eq!(between(0, 500, 500), None);
        let (mut upper, mut moves) = (ROOM, 0);
        while let Some(found) = between(0, upper, 1) {
            (upper, moves) = (found[0], moves + 1);
        }
        assert_eq!(moves, 32, "so often at the same place before all are numbered anew");
    }
}
