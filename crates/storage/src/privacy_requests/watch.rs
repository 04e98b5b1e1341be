//! What operators see of the requests of all tenants: which are open, and which are late; and what became of the people
//! of a tenant that is erased.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use stagedoor_domain::{PrivacyRequestId, TenantContext, TenantId};

use super::{Kind, State};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// A request that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name in URLs.
    pub slug: String,
    /// The request.
    pub request: PrivacyRequestId,
    /// What was asked for.
    pub kind: Kind,
    /// How it stands.
    pub state: State,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// When it has to be answered.
    pub due_by: DateTime<Utc>,
}

/// How many requests of all tenants are not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCounts {
    /// All of them.
    pub open: u64,
    /// Those that should have been answered by now.
    pub late: u64,
}

/// Requests of all tenants that are not over, or only those that are late; those whose time ends first before the
/// others, at most `most` behind `after`, given by when it is due and id. Needs no tenant context.
pub async fn open_requests(
    store: &Store,
    only_late: bool,
    after: Option<(DateTime<Utc>, PrivacyRequestId)>,
    most: u32,
) -> Result<Vec<OpenRequest>, StoreError> {
    let (after_due, after_id) = after.unzip();
    let query = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", request_id AS "request_id!", kind AS "kind!",
            state AS "state!", requested_at AS "requested_at!", due_by AS "due_by!"
        FROM open_privacy_requests($1, $2, $3, $4)"#,
        only_late,
        i32::try_from(most).unwrap_or(i32::MAX),
        after_due,
        after_id.map(|id| id.0)
    );
    let rows = store.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
    rows.into_iter()
        .map(|row| {
            Ok(OpenRequest {
                tenant: row.tenant_id.into(),
                slug: row.slug,
                request: row.request_id.into(),
                kind: row.kind.parse()?,
                state: row.state.parse()?,
                requested_at: row.requested_at,
                due_by: row.due_by,
            })
        })
        .collect()
}

/// How many requests of all tenants are not over, and how many of these are late. Needs no tenant context.
pub async fn count_open(store: &Store) -> Result<RequestCounts, StoreError> {
    let query = sqlx::query!(r#"SELECT open AS "open!", late AS "late!" FROM count_privacy_requests()"#);
    let row = store.outside(async |connection| Ok(query.fetch_one(connection).await?)).await?;
    Ok(RequestCounts { open: row.open.unsigned_abs(), late: row.late.unsigned_abs() })
}

/// What was erased of the people of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Children {
    /// How many people have their receipt.
    pub people: u64,
    /// How many rows of each table are gone, of all of them together.
    pub rows: BTreeMap<String, u64>,
}

/// The sums of the erasures that are part of `parent` and over.
pub async fn children(
    store: &Store,
    context: &TenantContext,
    parent: PrivacyRequestId,
) -> Result<Children, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let tenant = tx.tenant_id().0;
        let people = sqlx::query_scalar!(
            r#"SELECT count(*) AS "people!" FROM privacy_requests
            WHERE tenant_id = $1 AND parent_id = $2 AND state = 'done'"#,
            tenant,
            parent.0
        );
        let people = people.fetch_one(tx.connection()).await?;
        let rows = sqlx::query!(
            r#"SELECT e.key AS "table!", sum(e.value::bigint)::bigint AS "rows!"
            FROM privacy_requests r CROSS JOIN LATERAL jsonb_each_text(r.progress -> 'rows') e
            WHERE r.tenant_id = $1 AND r.parent_id = $2 AND r.state = 'done' GROUP BY e.key"#,
            tenant,
            parent.0
        );
        let rows = rows.fetch_all(tx.connection()).await?;
        let rows = rows.into_iter().map(|row| (row.table, row.rows.unsigned_abs())).collect();
        Ok::<_, StoreError>(Children { people: people.unsigned_abs(), rows })
    };
    store.with_tenant(context, read).await
}
