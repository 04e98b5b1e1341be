//! Making a job and reading one.

use chrono::{DateTime, Utc};
use stagedoor_crypto::KeyOwner;
use stagedoor_domain::{ApiKeyId, JobId, PrincipalKind, Scope, TenantContext, Toolset, UserId};
use uuid::Uuid;

use super::seal::{Sealer, open_document, open_message};
use super::{BegunBy, Job, KEPT, NewJob, as_bigint, parts};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How many forgotten jobs the making of one clears away at most.
const CLEARED: i64 = 20;

/// Makes a job, due at once. [`StoreError::Missing`] if the person, an account of that person or the key is not there.
pub async fn create(vault: &KeyVault, context: &TenantContext, job: &NewJob<'_>) -> Result<(), StoreError> {
    let key = vault.active_key(context, KeyOwner::Subject(job.user)).await?;
    let sealer = Sealer { vault, key: &key, tenant: context.tenant_id(), job: job.id };
    let document = sealer.document(1, job.document)?;
    let write = async |tx: &mut TenantTransaction| {
        clear(tx).await?;
        insert(tx, job, &document, sealer.message(1, job.message).as_deref()).await?;
        parts::store(tx, sealer, 1, job.parts).await
    };
    vault.store().with_tenant(context, write).await
}

async fn insert(
    transaction: &mut TenantTransaction,
    job: &NewJob<'_>,
    document: &[u8],
    message: Option<&[u8]>,
) -> Result<(), StoreError> {
    let begun_by = job.begun_by;
    let api_key = match &begun_by.kind {
        PrincipalKind::ApiKey(id) => Some(id.as_str()),
        PrincipalKind::Jwt { .. }
        | PrincipalKind::AdminKey(_)
        | PrincipalKind::AdminToken(_)
        | PrincipalKind::LinkPage(_)
        | PrincipalKind::PrivacyPage(_)
        | PrincipalKind::Job(_) => None,
    };
    let scopes: Vec<String> = begun_by.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let toolsets: Vec<String> = begun_by.toolsets.iter().map(|toolset| toolset.as_str().to_owned()).collect();
    let [first, second] = job.accounts.map(|account| account.map(|account| account.0));
    let accounts: Vec<Uuid> = first.into_iter().chain(second).collect();
    let done = sqlx::query!(
        "INSERT INTO jobs (tenant_id, job_id, kind, user_id, principal, api_key, scopes, toolsets, read_only,
            principal_expires_at, first_account, second_account, state, due_at, total, message, document, expires_at)
        SELECT $1, $2, $3, $4::uuid, $5, $6, $7, $8, $9, $10, $11, $12, 'queued', clock_timestamp(), $13, $14, $15,
            clock_timestamp() + make_interval(secs => $16)
        WHERE NOT EXISTS (SELECT FROM unnest($17::uuid[]) AS n (account_id) WHERE NOT EXISTS (
            SELECT FROM linked_accounts a
            WHERE a.tenant_id = $1 AND a.account_id = n.account_id AND a.user_id = $4::uuid))",
        transaction.tenant_id().0,
        job.id.0,
        job.kind,
        job.user.0,
        begun_by.label(),
        api_key,
        &scopes,
        &toolsets,
        begun_by.read_only,
        begun_by.expires_at,
        first,
        second,
        job.total.map(as_bigint).transpose()?,
        message,
        document,
        KEPT.as_secs_f64(),
        &accounts
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_missing("person, account or key"))?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing("account")) }
}

/// The job of that id; `None` if there is none such, or none any more. If the context is bound to a person, another's
/// job is not there; whether it is the same principal's is for the caller to compare. [`StoreError::Damaged`] if it
/// does not open.
pub async fn load(vault: &KeyVault, context: &TenantContext, id: JobId) -> Result<Option<Job>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let row = sqlx::query_as!(
            Row,
            "SELECT kind, user_id, principal, api_key, scopes, toolsets, read_only, principal_expires_at,
                first_account, second_account, state, fence, cancel_requested, revision, done, total, message,
                document, document_revision, created_at, updated_at, expires_at
            FROM jobs WHERE tenant_id = $1 AND job_id = $2 AND ($3::uuid IS NULL OR user_id = $3)
                AND expires_at > clock_timestamp()",
            tx.tenant_id().0,
            id.0,
            context.user().map(|user| user.0)
        );
        Ok::<_, StoreError>(row.fetch_optional(tx.connection()).await?)
    };
    match vault.store().with_tenant(context, read).await? {
        None => Ok(None),
        Some(row) => row.open(vault, context, id).await.map(Some),
    }
}

/// How many jobs of a person are queued or running.
pub async fn under_way(store: &Store, context: &TenantContext, user: UserId) -> Result<u64, StoreError> {
    let count = async |tx: &mut TenantTransaction| {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM jobs
            WHERE tenant_id = $1 AND user_id = $2 AND state IN ('queued', 'running')
                AND expires_at > clock_timestamp()"#,
            tx.tenant_id().0,
            user.0
        );
        Ok::<_, StoreError>(count.fetch_one(tx.connection()).await?)
    };
    let count = store.with_tenant(context, count).await?;
    u64::try_from(count).map_err(|_| StoreError::not_understood("jobs", count.to_string()))
}

/// Clears some of the tenant's forgotten jobs away.
async fn clear(transaction: &mut TenantTransaction) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM jobs WHERE tenant_id = $1 AND job_id IN (
            SELECT job_id FROM jobs WHERE tenant_id = $1 AND expires_at <= clock_timestamp()
            ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        transaction.tenant_id().0,
        CLEARED
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

struct Row {
    kind: String,
    user_id: Uuid,
    principal: String,
    api_key: Option<String>,
    scopes: Vec<String>,
    toolsets: Vec<String>,
    read_only: bool,
    principal_expires_at: Option<DateTime<Utc>>,
    first_account: Option<Uuid>,
    second_account: Option<Uuid>,
    state: String,
    fence: i64,
    cancel_requested: bool,
    revision: i64,
    done: i64,
    total: Option<i64>,
    message: Option<Vec<u8>>,
    document: Vec<u8>,
    document_revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Row {
    async fn open(self, vault: &KeyVault, context: &TenantContext, id: JobId) -> Result<Job, StoreError> {
        let count = |value: i64| {
            u64::try_from(value).map_err(|_| StoreError::not_understood("jobs", value.to_string()))
        };
        let document = open_document(vault, context, (id, self.document_revision), &self.document).await?;
        let message = match &self.message {
            None => None,
            Some(sealed) => Some(open_message(vault, context, (id, self.revision), sealed).await?),
        };
        let api_key: Option<Result<ApiKeyId, StoreError>> =
            self.api_key.map(|key| key.parse().map_err(|_| StoreError::not_understood("jobs.api_key", key)));
        Ok(Job {
            id,
            kind: self.kind,
            user: self.user_id.into(),
            begun_by: BegunBy {
                label: self.principal,
                api_key: api_key.transpose()?,
                // A scope or toolset of a later release grants nothing here: less than was meant, never more.
                scopes: self.scopes.iter().filter_map(|text| text.parse::<Scope>().ok()).collect(),
                toolsets: self.toolsets.iter().filter_map(|text| text.parse::<Toolset>().ok()).collect(),
                read_only: self.read_only,
                expires_at: self.principal_expires_at,
            },
            accounts: [self.first_account.map(Into::into), self.second_account.map(Into::into)],
            state: self.state.parse()?,
            revision: self.revision,
            done: count(self.done)?,
            total: self.total.map(count).transpose()?,
            message,
            cancel_requested: self.cancel_requested,
            claims: count(self.fence)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            document,
        })
    }
}
