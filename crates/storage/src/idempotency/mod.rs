//! Which calls with an idempotency key were begun, how far they came and what they answered: for a day, for each
//! principal. A repeat finds the first call's answer instead of doing it again. What a call's note says, and what may be
//! done after a call was cut off, are `tools`' to say. The look-up that begins a call is in `begin`.

mod begin;

use std::time::Duration;

use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::{TenantContext, TenantId, ToolName, UserId};
use uuid::Uuid;

pub use begin::begin;

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::packed;
use crate::transaction::TenantTransaction;

/// How long a key is remembered, from the first call on, by the database's clock.
pub const REMEMBERED: Duration = Duration::from_hours(24);

/// How long a call is taken to be under way, from its beginning or its last note on, by the database's clock. One that
/// has not answered by then is cut off: its process died or lost the database.
pub const UNDERWAY: Duration = Duration::from_secs(90);

/// A call with a key.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The key, as the agent chose it.
    pub key: &'a str,
    /// The tool.
    pub tool: ToolName,
    /// A digest of the canonical arguments without the key.
    pub digest: [u8; 32],
}

/// The right to do what the key stands for, and to answer for it. Only one call has it at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    record: Uuid,
    /// New for each call that takes the key.
    turn: Uuid,
    user: UserId,
}

/// A call that was begun and neither answered nor released.
#[derive(Clone, PartialEq, Eq)]
pub struct CutOff {
    /// The last note that its call made.
    pub note: Option<Vec<u8>>,
    claim: Claim,
}

/// How a call with a key stands.
#[derive(Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is the first one of that key.
    First(Claim),
    /// It was answered: the bytes that [`finish`] stored.
    Replay(Vec<u8>),
    /// The key stands for another call: of another tool, account or arguments.
    Mismatch,
    /// The first call of that key is being done now.
    Underway,
    /// The call that held the key gave it up, or has not been heard of for [`UNDERWAY`]. What it has done is unknown but
    /// for its note. [`resume`] goes on.
    CutOff(CutOff),
}

/// Takes a call over that was cut off; `None` if another call was faster.
pub async fn resume(
    vault: &KeyVault,
    context: &TenantContext,
    cut_off: &CutOff,
) -> Result<Option<Claim>, StoreError> {
    let Claim { record, turn, user } = cut_off.claim;
    let take = async |tx: &mut TenantTransaction| {
        let taken = sqlx::query_scalar!(
            "UPDATE idempotency_keys
            SET claim = gen_random_uuid(), claimed_until = clock_timestamp() + make_interval(secs => $4)
            WHERE tenant_id = $1 AND record_id = $2 AND claim = $3 AND answer IS NULL
                AND claimed_until <= clock_timestamp() AND expires_at > clock_timestamp()
            RETURNING claim",
            tx.tenant_id().0,
            record,
            turn,
            UNDERWAY.as_secs_f64()
        );
        Ok::<_, StoreError>(taken.fetch_optional(tx.connection()).await?)
    };
    let taken = vault.store().with_tenant(context, take).await?;
    Ok(taken.map(|turn| Claim { record, turn, user }))
}

/// Notes how far the call has come, in place of its last note, and keeps the claim for another [`UNDERWAY`]. `false` if
/// the claim was lost: someone else goes on, and the caller must not.
pub async fn note(
    vault: &KeyVault,
    context: &TenantContext,
    claim: &Claim,
    note: &[u8],
) -> Result<bool, StoreError> {
    write(vault, context, claim, Write::Note(note)).await
}

/// Notes how far the call has come and gives it up: the next call of that key finds it cut off at once. `false` if the
/// claim was lost.
pub async fn give_up(
    vault: &KeyVault,
    context: &TenantContext,
    claim: &Claim,
    note: &[u8],
) -> Result<bool, StoreError> {
    write(vault, context, claim, Write::GiveUp(note)).await
}

/// Stores the call's answer, which every repeat is given until the key is forgotten. `false` if the claim was lost.
pub async fn finish(
    vault: &KeyVault,
    context: &TenantContext,
    claim: &Claim,
    answer: &[u8],
) -> Result<bool, StoreError> {
    write(vault, context, claim, Write::Finish(answer)).await
}

/// Frees the key, because nothing was done. `false` if the claim was lost.
pub async fn release(vault: &KeyVault, context: &TenantContext, claim: &Claim) -> Result<bool, StoreError> {
    let free = async |tx: &mut TenantTransaction| {
        let freed = sqlx::query!(
            "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND record_id = $2 AND claim = $3 AND answer IS NULL",
            tx.tenant_id().0,
            claim.record,
            claim.turn
        );
        Ok::<_, StoreError>(freed.execute(tx.connection()).await?.rows_affected() == 1)
    };
    vault.store().with_tenant(context, free).await
}

#[derive(Clone, Copy)]
enum Write<'a> {
    Note(&'a [u8]),
    GiveUp(&'a [u8]),
    Finish(&'a [u8]),
}

/// Where sealed bytes are.
#[derive(Clone, Copy)]
enum Column {
    Note,
    Answer,
}

async fn write(
    vault: &KeyVault,
    context: &TenantContext,
    claim: &Claim,
    what: Write<'_>,
) -> Result<bool, StoreError> {
    let (column, bytes) = match what {
        Write::Note(note) | Write::GiveUp(note) => (Column::Note, note),
        Write::Finish(answer) => (Column::Answer, answer),
    };
    let packed = packed::pack(bytes, "idempotency_keys")?;
    let key = vault.active_key(context, KeyOwner::Subject(claim.user)).await?;
    let store = async |tx: &mut TenantTransaction| {
        let Some(last) = lock(tx, claim).await? else { return Ok(false) };
        let revision = last + 1;
        let sealed = key.seal(&claim.place(tx.tenant_id(), column, revision), &packed, vault.entropy());
        let (note, answer) = match column {
            Column::Note => (Some(sealed), None),
            Column::Answer => (None, Some(sealed)),
        };
        let lease = if let Write::Note(_) = what { UNDERWAY.as_secs_f64() } else { 0.0 };
        let done = sqlx::query!(
            "UPDATE idempotency_keys SET revision = $4, note = $5, answer = $6,
                claim = CASE WHEN $8 THEN gen_random_uuid() ELSE claim END,
                claimed_until = clock_timestamp() + make_interval(secs => $7)
            WHERE tenant_id = $1 AND record_id = $2 AND claim = $3",
            tx.tenant_id().0,
            claim.record,
            claim.turn,
            revision,
            note,
            answer,
            lease,
            matches!(what, Write::GiveUp(_))
        );
        Ok::<_, StoreError>(done.execute(tx.connection()).await?.rows_affected() == 1)
    };
    vault.store().with_tenant(context, store).await
}

/// The revision of a call that is the caller's to write, which nobody else writes until the transaction ends.
async fn lock(transaction: &mut TenantTransaction, claim: &Claim) -> Result<Option<i64>, StoreError> {
    let revision = sqlx::query_scalar!(
        "SELECT revision FROM idempotency_keys
        WHERE tenant_id = $1 AND record_id = $2 AND claim = $3 AND answer IS NULL FOR UPDATE",
        transaction.tenant_id().0,
        claim.record,
        claim.turn
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(revision)
}

impl Claim {
    fn place(&self, tenant: TenantId, column: Column, revision: i64) -> SealContext {
        let column = match column {
            Column::Note => "note",
            Column::Answer => "answer",
        };
        SealContext { tenant, table: "idempotency_keys", column, row: self.record, revision }
    }
}

impl std::fmt::Debug for CutOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CutOff").field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::First(claim) => f.debug_tuple("First").field(claim).finish(),
            Self::Replay(answer) => f.debug_tuple("Replay").field(&answer.len()).finish(),
            Self::Mismatch => f.write_str("Mismatch"),
            Self::Underway => f.write_str("Underway"),
            Self::CutOff(cut_off) => cut_off.fmt(f),
        }
    }
}
