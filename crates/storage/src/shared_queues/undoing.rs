//! Undoing a change: what it did to each item is done the other way round, unless someone has done something else to that
//! item since.

use stagedoor_domain::{QueueRole, TenantContext};

use super::{Edited, Effect, Errand, Failure, Held, Refusal, Rules, change, hold, read_effects, repeated};
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// Undoes the change that made the version `wanted`. That is a change, too, which can be undone.
pub async fn undo(
    store: &Store,
    context: &TenantContext,
    errand: &Errand<'_>,
    wanted: i64,
    rules: Rules,
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        let held = hold(tx, errand, QueueRole::Editor, true).await?;
        if let Some(done) = repeated(tx, errand).await? {
            return Ok(done);
        }
        let row = sqlx::query!(
            "SELECT effects, undone_by FROM shared_queue_changes
            WHERE tenant_id = $1 AND queue_id = $2 AND version = $3",
            held.tenant,
            held.queue,
            wanted
        );
        let row = row.fetch_optional(tx.connection()).await?.ok_or(Refusal::ChangeUnknown)?;
        if let Some(by) = row.undone_by {
            return Err(Refusal::Undone { by }.into());
        }
        let effects = read_effects(row.effects)?;
        if effects.is_empty() {
            return Err(Refusal::ChangeUnknown.into());
        }
        let version = held.raise(tx).await?;
        let mut done = Vec::with_capacity(effects.len());
        for effect in effects {
            done.push(held.reverse(tx, effect, version).await?);
        }
        held.check_contents(tx, rules).await?;
        sqlx::query!(
            "UPDATE shared_queue_changes SET undone_by = $4
            WHERE tenant_id = $1 AND queue_id = $2 AND version = $3",
            held.tenant,
            held.queue,
            wanted,
            version
        )
        .execute(tx.connection())
        .await?;
        Ok(held.note(tx, (version, "undo"), &done, Some(wanted), errand.once).await?)
    })
    .await
}

impl Held {
    async fn reverse(
        &self,
        tx: &mut TenantTransaction,
        effect: Effect,
        version: i64,
    ) -> Result<Effect, Failure> {
        let Effect { item, from: wanted, to: left } = effect;
        let now = self.position(tx, item).await?;
        let changed = || Failure::from(Refusal::ChangedSince(item.into()));
        let to = match (wanted, now) {
            (None, None) => None,
            (None, Some(_)) => {
                self.take_out(tx, item, version).await?;
                None
            }
            (Some(position), _) => {
                // It must be where the change has left it.
                if now != left {
                    return Err(changed());
                }
                let position = self.place_at(tx, position).await?;
                if !self.put(tx, item, position).await? {
                    return Err(changed());
                }
                Some(position)
            }
        };
        Ok(Effect { item, from: now, to })
    }
}
