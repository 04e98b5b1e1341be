//! What a person does with a request, and what begins the erasure of a tenant.

use stagedoor_domain::{PrivacyRequestId, TenantContext, UserId};

use super::{ANSWER_WITHIN, DOWNLOAD_WITHIN, Kind, PAGE_OPEN_FOR, PrivacyRequest, load};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// A request to make.
#[derive(Debug, Clone, Copy)]
pub struct NewRequest<'a> {
    /// The id, unless one of that kind is open already.
    pub id: PrivacyRequestId,
    /// [`Kind::Export`] or [`Kind::Erasure`].
    pub kind: Kind,
    /// The person.
    pub user: UserId,
    /// Who asks, as the audit trail names it.
    pub principal: &'a str,
    /// SHA-256 of the token in the page's address.
    pub page_hash: [u8; 32],
}

/// What confirming an erasure came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It is confirmed now: the person's keys are revoked, jobs are ended, nothing begins any more.
    Now,
    /// It was confirmed before.
    Before,
    /// The page is too old; another can be asked for.
    TooLate,
    /// It was taken back, or nobody confirmed it in time.
    Over,
    /// There is no erasure of that id and token.
    Unknown,
}

/// What taking a copy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the caller's to hand out, once.
    Ready,
    /// It was taken before.
    Used,
    /// The page is too old, or the request was taken back.
    Expired,
    /// There is no copy of that id and token.
    Unknown,
}

/// Asks for a copy or for erasure. Where one of that kind waits for its page it gets the new page; where an erasure is
/// confirmed already, that is the answer, and the page that confirmed it stays the only one. So the new page is one only
/// if the answer is [`State::Requested`](super::State::Requested). [`StoreError::Missing`] if there is no such person.
pub async fn offer(
    store: &Store,
    context: &TenantContext,
    request: &NewRequest<'_>,
) -> Result<PrivacyRequest, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let offered = sqlx::query_scalar!(
            r#"SELECT privacy_offer($1, $2, $3, $4, $5, $6, $7) AS "request!""#,
            request.id.0,
            request.kind.as_str(),
            request.user.0,
            &request.page_hash[..],
            request.principal,
            PAGE_OPEN_FOR.as_secs_f64(),
            ANSWER_WITHIN.as_secs_f64()
        );
        offered.fetch_one(tx.connection()).await.map_err(StoreError::or_missing("person"))
    };
    let id = store.with_tenant(context, write).await?;
    load(store, context, id.into()).await?.ok_or(StoreError::Missing("privacy request"))
}

/// Confirms an erasure: the second step. `page_token` is what its page's hash was made of. All that [`Confirmed::Now`]
/// says is done in one transaction, which waits for whoever is writing something of the person.
pub async fn verify(
    store: &Store,
    context: &TenantContext,
    id: PrivacyRequestId,
    page_token: &[u8],
) -> Result<Confirmed, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let verified = sqlx::query_scalar!(r#"SELECT privacy_verify($1, $2) AS "told!""#, id.0, page_token);
        Ok::<_, StoreError>(verified.fetch_one(tx.connection()).await?)
    };
    match store.with_tenant(context, write).await?.as_str() {
        "verified" => Ok(Confirmed::Now),
        "already" => Ok(Confirmed::Before),
        "expired" => Ok(Confirmed::TooLate),
        "ended" => Ok(Confirmed::Over),
        "unknown" => Ok(Confirmed::Unknown),
        other => Err(StoreError::not_understood("privacy_verify", other)),
    }
}

/// Takes a request back that was not confirmed; `false` if there is none such of that token.
pub async fn cancel(
    store: &Store,
    context: &TenantContext,
    id: PrivacyRequestId,
    page_token: &[u8],
) -> Result<bool, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let cancelled = sqlx::query_scalar!(r#"SELECT privacy_cancel($1, $2) AS "done!""#, id.0, page_token);
        Ok::<_, StoreError>(cancelled.fetch_one(tx.connection()).await?)
    };
    store.with_tenant(context, write).await
}

/// Takes the download of a copy, which works once. What is not finished within [`DOWNLOAD_WITHIN`] expires.
pub async fn take_export(
    store: &Store,
    context: &TenantContext,
    id: PrivacyRequestId,
    page_token: &[u8],
) -> Result<Taken, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let taken = sqlx::query_scalar!(
            r#"SELECT privacy_take_export($1, $2, $3) AS "told!""#,
            id.0,
            page_token,
            DOWNLOAD_WITHIN.as_secs_f64()
        );
        Ok::<_, StoreError>(taken.fetch_one(tx.connection()).await?)
    };
    match store.with_tenant(context, write).await?.as_str() {
        "ready" => Ok(Taken::Ready),
        "used" => Ok(Taken::Used),
        "expired" => Ok(Taken::Expired),
        "unknown" => Ok(Taken::Unknown),
        other => Err(StoreError::not_understood("privacy_take_export", other)),
    }
}

/// Notes that the copy went out as a whole, and how many rows of each table were in it. `false` if it was not taken, or
/// is over.
pub async fn finish_export(
    store: &Store,
    context: &TenantContext,
    id: PrivacyRequestId,
    rows: &[(&'static str, u64)],
) -> Result<bool, StoreError> {
    let counts: serde_json::Map<_, _> =
        rows.iter().map(|(table, count)| ((*table).to_owned(), (*count).into())).collect();
    let counts = serde_json::Value::Object(counts);
    let write = async |tx: &mut TenantTransaction| {
        let finished =
            sqlx::query_scalar!(r#"SELECT privacy_finish_export($1, $2) AS "done!""#, id.0, &counts);
        Ok::<_, StoreError>(finished.fetch_one(tx.connection()).await?)
    };
    store.with_tenant(context, write).await
}

/// Begins the deletion of the context's tenant, which is served no more from here on; the same request if it has begun
/// already. Needs a store of provisioning's role. [`StoreError::Missing`] if the tenant is deleted.
pub async fn request_tenant_erasure(
    store: &Store,
    context: &TenantContext,
    id: PrivacyRequestId,
) -> Result<PrivacyRequest, StoreError> {
    let principal = context.principal().label();
    let write = async |tx: &mut TenantTransaction| {
        let requested = sqlx::query_scalar!(
            r#"SELECT privacy_request_tenant_erasure($1, $2, $3) AS "request!""#,
            id.0,
            principal,
            ANSWER_WITHIN.as_secs_f64()
        );
        requested.fetch_one(tx.connection()).await.map_err(StoreError::or_missing("tenant"))
    };
    let id = store.with_tenant(context, write).await?;
    load(store, context, id.into()).await?.ok_or(StoreError::Missing("privacy request"))
}
