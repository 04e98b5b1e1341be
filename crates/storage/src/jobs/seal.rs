//! The seals of a job: document, message and parts, each under the person's key and bound to its row and revision.

use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::{DataKey, SealContext};
use stagedoor_domain::{ErrorCode, JobId, TenantContext, TenantId};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::packed;

/// Seals what is written of one job under a key that is open already, so that it can be done inside a transaction.
#[derive(Clone, Copy)]
pub(super) struct Sealer<'a> {
    pub(super) vault: &'a KeyVault,
    pub(super) key: &'a DataKey,
    pub(super) tenant: TenantId,
    pub(super) job: JobId,
}

impl Sealer<'_> {
    pub(super) fn document(self, revision: i64, document: &[u8]) -> Result<Vec<u8>, StoreError> {
        let packed = packed::pack(document, "jobs.document")?;
        Ok(self.seal(&document_place(self.tenant, self.job, revision), &packed))
    }

    pub(super) fn message(self, revision: i64, message: Option<&str>) -> Option<Vec<u8>> {
        let place = message_place(self.tenant, self.job, revision);
        message.map(|message| self.seal(&place, message.as_bytes()))
    }

    /// A part says itself which number it has: its place names only the job.
    pub(super) fn part(self, revision: i64, number: u32, content: &[u8]) -> Result<Vec<u8>, StoreError> {
        let packed = packed::pack(content, "job_parts.content")?;
        let numbered = Zeroizing::new([&number.to_be_bytes()[..], &packed].concat());
        Ok(self.seal(&part_place(self.tenant, self.job, revision), &numbered))
    }

    fn seal(self, place: &SealContext, bytes: &[u8]) -> Vec<u8> {
        self.key.seal(place, bytes, self.vault.entropy())
    }
}

pub(super) async fn open_document(
    vault: &KeyVault,
    context: &TenantContext,
    (job, revision): (JobId, i64),
    sealed: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let place = document_place(context.tenant_id(), job, revision);
    let open = async {
        let packed = vault.open(context, &place, sealed, "a job's document").await?;
        packed::unpack(&packed, "jobs.document")
    };
    open.await.map_err(damaged())
}

pub(super) async fn open_message(
    vault: &KeyVault,
    context: &TenantContext,
    (job, revision): (JobId, i64),
    sealed: &[u8],
) -> Result<String, StoreError> {
    let place = message_place(context.tenant_id(), job, revision);
    let open = async {
        let opened = vault.open(context, &place, sealed, "a job's message").await?;
        String::from_utf8(opened.to_vec())
            .map_err(|_| StoreError::not_understood("jobs.message", "something else than text"))
    };
    open.await.map_err(damaged())
}

pub(super) async fn open_part(
    vault: &KeyVault,
    context: &TenantContext,
    (job, revision, number): (JobId, i64, u32),
    sealed: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let place = part_place(context.tenant_id(), job, revision);
    let open = async {
        let opened = vault.open(context, &place, sealed, "a job's part").await?;
        let packed = opened.strip_prefix(&number.to_be_bytes());
        let another = || StoreError::not_understood("job_parts.number", number.to_string());
        packed::unpack(packed.ok_or_else(another)?, "job_parts.content")
    };
    open.await.map_err(damaged())
}

fn damaged() -> impl Fn(StoreError) -> StoreError {
    StoreError::or_damaged("job", ErrorCode::Internal)
}

fn document_place(tenant: TenantId, job: JobId, revision: i64) -> SealContext {
    SealContext { tenant, table: "jobs", column: "document", row: job.0, revision }
}

fn message_place(tenant: TenantId, job: JobId, revision: i64) -> SealContext {
    SealContext { tenant, table: "jobs", column: "message", row: job.0, revision }
}

fn part_place(tenant: TenantId, job: JobId, revision: i64) -> SealContext {
    SealContext { tenant, table: "job_parts", column: "content", row: job.0, revision }
}
