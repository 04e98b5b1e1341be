//! What people ask for under the law, from the question to the receipt: what a request is, and reading it. The person's
//! steps are in `steps`, the worker's in `claims`, what operators see in `watch`. What erases is in `erasure`.

mod claims;
mod sign_in;
mod steps;
mod watch;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use stagedoor_domain::{PrivacyRequestId, TenantContext, UserId};
use uuid::Uuid;

pub use claims::{CLAIMED, Claim, advance, claim_due, finish, hold, note};
pub use sign_in::PrivacySignIn;
pub use steps::{
    Confirmed, NewRequest, Taken, cancel, finish_export, offer, request_tenant_erasure, take_export, verify,
};
pub use watch::{Children, OpenRequest, RequestCounts, children, count_open, open_requests};

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How long a page can confirm an erasure or download a copy, by the database's clock.
pub const PAGE_OPEN_FOR: Duration = Duration::from_mins(15);
/// How long a page shows what became of its request, after the end.
pub const SHOWN_FOR: Duration = Duration::from_hours(30 * 24);
/// How long a request may take: GDPR Article 12(3), one month.
pub const ANSWER_WITHIN: Duration = Duration::from_hours(30 * 24);
/// How long a download may take that was begun.
pub const DOWNLOAD_WITHIN: Duration = Duration::from_hours(1);

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A copy of all that is known of a person.
    Export,
    /// The erasure of a person.
    Erasure,
    /// The erasure of a tenant with all of its people.
    TenantErasure,
}

/// How a request stands. An erasure goes through all of them but the last two; a copy from requested to verified, which
/// is when its download began, to done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It waits for its page.
    Requested,
    /// It was confirmed. From here on nothing of the person works any more.
    Verified,
    /// The grants at the providers were ended, as far as they could be.
    Revoked,
    /// The rows are gone.
    Erased,
    /// The key is destroyed and the person is gone.
    KeyDestroyed,
    /// Its receipt is written, or its copy was downloaded.
    Done,
    /// Nobody came to its page in time.
    Expired,
    /// It was taken back.
    Cancelled,
}

/// A request as it is stored, without the hash of its page.
#[derive(Debug, Clone, PartialEq)]
pub struct PrivacyRequest {
    /// The id.
    pub id: PrivacyRequestId,
    /// What was asked for.
    pub kind: Kind,
    /// The person; `None` for a tenant, and once an erasure is over.
    pub user: Option<UserId>,
    /// SHA-256 of `stagedoor/subject/1`, tenant and person; `None` for a tenant.
    pub subject_digest: Option<[u8; 32]>,
    /// The erasure of the tenant that it is part of.
    pub parent: Option<PrivacyRequestId>,
    /// How it stands. One whose page has ended counts as expired, noted or not.
    pub state: State,
    /// Who asked, as the audit trail names it; `None` once an erasure is over.
    pub requested_by: Option<String>,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// When it was confirmed, or its download began.
    pub verified_at: Option<DateTime<Utc>>,
    /// How long that is ago, by the database's clock.
    pub since_verified: Option<Duration>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it has to be answered.
    pub due_by: DateTime<Utc>,
    /// Until when its page can confirm or download.
    pub page_expires_at: Option<DateTime<Utc>>,
    /// Outcomes, nothing about the person. Its member `rows` counts the rows of each table; the others are the worker's.
    pub progress: Map<String, Value>,
    /// What was signed in the end.
    pub receipt: Option<String>,
    /// How often a worker took it.
    pub claims: u64,
}

impl PrivacyRequest {
    /// How many rows of each table it has erased, or handed out.
    pub fn rows(&self) -> impl Iterator<Item = (&str, u64)> {
        let rows = self.progress.get("rows").and_then(Value::as_object);
        rows.into_iter().flatten().map(|(table, count)| (table.as_str(), count.as_u64().unwrap_or_default()))
    }
}

impl Kind {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Erasure => "erasure",
            Self::TenantErasure => "tenant_erasure",
        }
    }
}

impl State {
    /// Whether it stays like this.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Expired | Self::Cancelled)
    }

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Verified => "verified",
            Self::Revoked => "revoked",
            Self::Erased => "erased",
            Self::KeyDestroyed => "key_destroyed",
            Self::Done => "done",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let found =
            [Self::Export, Self::Erasure, Self::TenantErasure].into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| StoreError::not_understood("privacy_requests.kind", text))
    }
}

impl std::str::FromStr for State {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let all = [
            Self::Requested,
            Self::Verified,
            Self::Revoked,
            Self::Erased,
            Self::KeyDestroyed,
            Self::Done,
            Self::Expired,
            Self::Cancelled,
        ];
        let found = all.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| StoreError::not_understood("privacy_requests.state", text))
    }
}

/// The request of that id; a caller that acts for a person compares `user`.
pub async fn load(
    store: &Store,
    context: &TenantContext,
    id: PrivacyRequestId,
) -> Result<Option<PrivacyRequest>, StoreError> {
    let wanted = Wanted { id: Some(id), ..Wanted::default() };
    Ok(select(store, context, wanted, 1).await?.into_iter().next())
}

/// The newest requests of a person, at most `limit`.
pub async fn list_of(
    store: &Store,
    context: &TenantContext,
    user: UserId,
    limit: u32,
) -> Result<Vec<PrivacyRequest>, StoreError> {
    select(store, context, Wanted { user: Some(user), ..Wanted::default() }, limit).await
}

/// The newest requests of the tenant, at most `limit`.
pub async fn list(
    store: &Store,
    context: &TenantContext,
    limit: u32,
) -> Result<Vec<PrivacyRequest>, StoreError> {
    list_before(store, context, None, limit).await
}

/// The same of those before the request `before`, given by time and id.
pub async fn list_before(
    store: &Store,
    context: &TenantContext,
    before: Option<(DateTime<Utc>, PrivacyRequestId)>,
    limit: u32,
) -> Result<Vec<PrivacyRequest>, StoreError> {
    select(store, context, Wanted { before, ..Wanted::default() }, limit).await
}

/// Which requests; what is absent does not matter.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    id: Option<PrivacyRequestId>,
    user: Option<UserId>,
    before: Option<(DateTime<Utc>, PrivacyRequestId)>,
}

async fn select(
    store: &Store,
    context: &TenantContext,
    wanted: Wanted,
    limit: u32,
) -> Result<Vec<PrivacyRequest>, StoreError> {
    let (before, before_id) = wanted.before.unzip();
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT request_id, kind, user_id, subject_digest, parent_id,
                CASE WHEN due_at <= clock_timestamp() AND (state = 'requested' OR kind = 'export') THEN 'expired'
                    ELSE state END AS "state!",
                requested_by, requested_at, verified_at,
                extract(epoch FROM clock_timestamp() - verified_at)::float8 AS since_verified, completed_at, due_by,
                page_expires_at, progress AS "progress: sqlx::types::Json<Map<String, Value>>", receipt, fence
            FROM privacy_requests
            WHERE tenant_id = $1 AND ($2::uuid IS NULL OR request_id = $2) AND ($3::uuid IS NULL OR user_id = $3)
                AND ($4::timestamptz IS NULL OR (requested_at, request_id) < ($4, $5::uuid))
            ORDER BY requested_at DESC, request_id DESC LIMIT $6"#,
            tx.tenant_id().0,
            wanted.id.map(|id| id.0),
            wanted.user.map(|user| user.0),
            before,
            before_id.map(|id| id.0),
            i64::from(limit)
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = store.with_tenant(context, read).await?;
    rows.into_iter().map(Row::into_request).collect()
}

struct Row {
    request_id: Uuid,
    kind: String,
    user_id: Option<Uuid>,
    subject_digest: Option<Vec<u8>>,
    parent_id: Option<Uuid>,
    state: String,
    requested_by: Option<String>,
    requested_at: DateTime<Utc>,
    verified_at: Option<DateTime<Utc>>,
    since_verified: Option<f64>,
    completed_at: Option<DateTime<Utc>>,
    due_by: DateTime<Utc>,
    page_expires_at: Option<DateTime<Utc>>,
    progress: sqlx::types::Json<Map<String, Value>>,
    receipt: Option<String>,
    fence: i64,
}

impl Row {
    fn into_request(self) -> Result<PrivacyRequest, StoreError> {
        let digest = self.subject_digest.map(|digest| {
            <[u8; 32]>::try_from(digest)
                .map_err(|_| StoreError::not_understood("privacy_requests.subject_digest", "another length"))
        });
        Ok(PrivacyRequest {
            id: self.request_id.into(),
            kind: self.kind.parse()?,
            user: self.user_id.map(Into::into),
            subject_digest: digest.transpose()?,
            parent: self.parent_id.map(Into::into),
            state: self.state.parse()?,
            requested_by: self.requested_by,
            requested_at: self.requested_at,
            verified_at: self.verified_at,
            // Negative after the clock was set back.
            since_verified: self
                .since_verified
                .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
            completed_at: self.completed_at,
            due_by: self.due_by,
            page_expires_at: self.page_expires_at,
            progress: self.progress.0,
            receipt: self.receipt,
            claims: self.fence.unsigned_abs(),
        })
    }
}
