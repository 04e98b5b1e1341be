//! Who is in a queue, and whether it is locked.

use stagedoor_domain::{QueueLimits, QueueRole, TenantContext, UserId};
use uuid::Uuid;

use super::editing::room_for_another;
use super::{Edited, Errand, Failure, Held, Refusal, change, hold};
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// Who is to be what in a queue.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// The person's id, or the tenant's own name for the person.
    pub person: &'a str,
    /// `None` to put the person out.
    pub role: Option<QueueRole>,
}

/// Lets a person in, gives one another role, or puts one out. Whoever makes another the owner is an editor then.
pub async fn invite(
    store: &Store,
    context: &TenantContext,
    errand: &Errand<'_>,
    admission: Admission<'_>,
    limits: QueueLimits,
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        let held = hold(tx, errand, QueueRole::Owner, false).await?;
        let person = find(tx, admission.person).await?.ok_or(Refusal::PersonUnknown)?;
        let Some(role) = admission.role else {
            held.put_out(tx, person).await?;
            return held.done(tx, "put_out").await;
        };
        if person == held.user {
            return match role {
                QueueRole::Owner => held.done(tx, "invite").await,
                // A queue has an owner: whoever wants to be less makes another one the owner.
                _ => Err(Refusal::Role { has: QueueRole::Owner, needs: QueueRole::Owner }.into()),
            };
        }
        if role == QueueRole::Owner {
            room_for_another(tx, UserId(person), limits).await?;
            sqlx::query!(
                "UPDATE shared_queue_members SET role = 'editor'
                WHERE tenant_id = $1 AND queue_id = $2 AND role = 'owner'",
                held.tenant,
                held.queue
            )
            .execute(tx.connection())
            .await?;
        }
        sqlx::query!(
            "INSERT INTO shared_queue_members (tenant_id, queue_id, user_id, role) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, queue_id, user_id) DO UPDATE SET role = excluded.role",
            held.tenant,
            held.queue,
            person,
            role.as_str()
        )
        .execute(tx.connection())
        .await?;
        let members = sqlx::query_scalar!(
            r#"SELECT count(*) AS "members!" FROM shared_queue_members WHERE tenant_id = $1 AND queue_id = $2"#,
            held.tenant,
            held.queue
        );
        if members.fetch_one(tx.connection()).await? > i64::from(limits.members) {
            return Err(Refusal::Full { what: "people in one queue", bound: limits.members }.into());
        }
        held.done(tx, "invite").await
    })
    .await
}

/// Takes the person out of the queue, which passes on or ends if it was the owner.
pub async fn leave(store: &Store, context: &TenantContext, errand: &Errand<'_>) -> Result<(), Failure> {
    let work = async |tx: &mut TenantTransaction| {
        let held = hold(tx, errand, QueueRole::Listener, false).await?;
        held.put_out(tx, held.user).await
    };
    store.with_tenant(context, work).await
}

/// Locks a queue, so that nobody changes what is in it, or unlocks it.
pub async fn lock(
    store: &Store,
    context: &TenantContext,
    errand: &Errand<'_>,
    locked: bool,
) -> Result<Edited, Failure> {
    change(store, context, async |tx: &mut TenantTransaction| {
        let held = hold(tx, errand, QueueRole::Owner, false).await?;
        sqlx::query!(
            "UPDATE shared_queues SET locked = $3 WHERE tenant_id = $1 AND queue_id = $2",
            held.tenant,
            held.queue,
            locked
        )
        .execute(tx.connection())
        .await?;
        held.done(tx, if locked { "lock" } else { "unlock" }).await
    })
    .await
}

/// Ends a queue, with all that is in it.
pub async fn end(store: &Store, context: &TenantContext, errand: &Errand<'_>) -> Result<(), Failure> {
    let work = async |tx: &mut TenantTransaction| {
        let held = hold(tx, errand, QueueRole::Owner, false).await?;
        sqlx::query!(
            "DELETE FROM shared_queues WHERE tenant_id = $1 AND queue_id = $2",
            held.tenant,
            held.queue
        )
        .execute(tx.connection())
        .await?;
        Ok::<_, Failure>(())
    };
    store.with_tenant(context, work).await
}

/// The person of that id, or whom the tenant knows by that name, unless about to be erased.
async fn find(tx: &mut TenantTransaction, person: &str) -> Result<Option<Uuid>, Failure> {
    let found = sqlx::query_scalar!(
        "SELECT user_id FROM users WHERE tenant_id = $1 AND (user_id = $2 OR external_subject = $3)
            AND erasing_at IS NULL ORDER BY user_id = $2 DESC LIMIT 1",
        tx.tenant_id().0,
        person.parse::<Uuid>().ok(),
        person
    );
    Ok(found.fetch_optional(tx.connection()).await?)
}

impl Held {
    async fn put_out(&self, tx: &mut TenantTransaction, person: Uuid) -> Result<(), Failure> {
        let gone = sqlx::query!(
            "DELETE FROM shared_queue_members WHERE tenant_id = $1 AND queue_id = $2 AND user_id = $3",
            self.tenant,
            self.queue,
            person
        );
        match gone.execute(tx.connection()).await?.rows_affected() {
            1 => Ok(()),
            _ => Err(Refusal::PersonUnknown.into()),
        }
    }

    async fn done(&self, tx: &mut TenantTransaction, action: &'static str) -> Result<Edited, Failure> {
        let version = self.raise(tx).await?;
        Ok(self.note(tx, (version, action), &[], None, None).await?)
    }
}
