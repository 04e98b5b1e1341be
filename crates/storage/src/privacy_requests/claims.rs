//! Who works on an erasure: claims by the database's clock, with a number that rises so that a worker which was thought
//! dead does nothing any more.

use std::time::Duration;

use serde_json::{Map, Value};
use stagedoor_domain::{PrivacyRequestId, TenantContext, TenantId, UserId};

use super::{Kind, State};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How long a claim lasts unless it is held on to, by the database's clock.
pub const CLAIMED: Duration = Duration::from_secs(30);

/// The right to work on an erasure, which one worker has at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The tenant.
    pub tenant: TenantId,
    /// The request.
    pub request: PrivacyRequestId,
    /// [`Kind::Erasure`] or [`Kind::TenantErasure`].
    pub kind: Kind,
    /// How it stood when it was claimed.
    pub state: State,
    /// The person; `None` for a tenant.
    pub user: Option<UserId>,
    pub(crate) fence: i64,
}

/// Claims erasures of any tenant that are due, at most `most`: confirmed ones, postponed ones whose time has come, and
/// those whose worker was not heard of for [`CLAIMED`]. Notes on the way which requests have expired. Needs no tenant
/// context.
pub async fn claim_due(store: &Store, most: u32) -> Result<Vec<Claim>, StoreError> {
    let most = i32::try_from(most).unwrap_or(i32::MAX / 8).min(i32::MAX / 8);
    let query = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", request_id AS "request_id!", kind AS "kind!", state AS "state!",
            user_id AS "user_id?", fence AS "fence!"
        FROM claim_due_privacy_requests($1, $2)"#,
        most,
        CLAIMED.as_secs_f64()
    );
    let rows = store.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Claim {
                tenant: row.tenant_id.into(),
                request: row.request_id.into(),
                kind: row.kind.parse()?,
                state: row.state.parse()?,
                user: row.user_id.map(Into::into),
                fence: row.fence,
            })
        })
        .collect()
}

/// Keeps the claim for another `wait` from now: [`CLAIMED`] to go on working. Also how it is given back, for any worker
/// to take after `wait`. `false` if it was lost: then nothing more may be done.
pub async fn hold(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    wait: Duration,
) -> Result<bool, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let held = sqlx::query_scalar!(
            r#"SELECT privacy_hold($1, $2, $3) AS "held!""#,
            claim.request.0,
            claim.fence,
            wait.as_secs_f64()
        );
        Ok::<_, StoreError>(held.fetch_one(tx.connection()).await?)
    };
    store.with_tenant(context, write).await
}

/// Goes on from verified to revoked, or from revoked to erased, and lays `additions` over the progress, member by
/// member of the outermost object; `rows` is not theirs to set. The later states come from `erasure`. `false` if the
/// claim was lost or the request is not in the state `from`.
pub async fn advance(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    (from, to): (State, State),
    additions: &Map<String, Value>,
) -> Result<bool, StoreError> {
    let additions = Value::Object(additions.clone());
    let write = async |tx: &mut TenantTransaction| {
        let advanced = sqlx::query_scalar!(
            r#"SELECT privacy_advance($1, $2, $3, $4, $5) AS "advanced!""#,
            claim.request.0,
            claim.fence,
            from.as_str(),
            to.as_str(),
            &additions
        );
        Ok::<_, StoreError>(advanced.fetch_one(tx.connection()).await?)
    };
    store.with_tenant(context, write).await
}

/// Lays `additions` over the progress of a request that stays in the state `at`.
pub async fn note(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    at: State,
    additions: &Map<String, Value>,
) -> Result<bool, StoreError> {
    advance(store, context, claim, (at, at), additions).await
}

/// Ends the erasure of a person whose key is destroyed with its receipt; from then on nothing names the person. `false`
/// if the claim was lost. For a tenant, see `erasure::destroy_tenant`.
pub async fn finish(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    receipt: &str,
) -> Result<bool, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let finished = sqlx::query_scalar!(
            r#"SELECT privacy_finish($1, $2, $3) AS "finished!""#,
            claim.request.0,
            claim.fence,
            receipt
        );
        Ok::<_, StoreError>(finished.fetch_one(tx.connection()).await?)
    };
    store.with_tenant(context, write).await
}
