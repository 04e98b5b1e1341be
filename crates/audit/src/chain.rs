//! The chain's arithmetic, made a second time and apart from the database's, and the check of a whole day.
//! Hash of a record: SHA-256(previous 32 | seq 8 | microseconds since 1970 8 | type 2 | commitment 32), big endian.

use chrono::NaiveDate;
use stagedoor_crypto::digest::{commitment, sha256};
use stagedoor_domain::{TenantContext, TenantId};
use stagedoor_storage::audit::{self, StoredAuditRecord};
use stagedoor_storage::{KeyVault, StoreError};

use crate::reader::{AuditView, PayloadView, read_records};

const PAGE: i64 = 1_000;

/// What is wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Sequence numbers are missing or doubled before it.
    Gap,
    /// It does not follow from the link before it.
    PreviousHash,
    /// Its hash is not that of its columns.
    Hash,
    /// Its payload is not the one that was committed to.
    Payload,
    /// The chain's head is not its last link: records at the end are missing, or were added.
    Head,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainFault {
    /// The link; for the head, the length that it claims.
    pub seq: i64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainReport {
    /// Links.
    pub records: u64,
    /// Those whose payload was erased, which is no fault.
    pub erased: u64,
    /// Every fault, in order.
    pub faults: Vec<ChainFault>,
}

/// Checks the tenant's chain of `day` from its first link to its head, and every payload that still opens.
pub async fn verify_chain(
    vault: &KeyVault,
    context: &TenantContext,
    day: NaiveDate,
) -> Result<ChainReport, StoreError> {
    // The head first: records that are appended meanwhile lie behind it and are left out.
    let mut head = head_of(vault, context, day).await?;
    let mut report = ChainReport::default();
    let mut hash = genesis(context.tenant_id(), day).to_vec();
    let mut seq = 0;
    loop {
        let page = read_records(vault, context, day, seq, PAGE).await?;
        let last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        for view in page {
            if head.is_none() && report.records == 0 {
                // The chain may have begun since.
                head = head_of(vault, context, day).await?;
            }
            if head.as_ref().is_some_and(|head| view.record.seq > head.seq) {
                // Either appended since, or never covered by the head; only a head that moved on tells.
                let now = head_of(vault, context, day).await?;
                if now.is_none_or(|now| now.seq < view.record.seq) {
                    report.faults.push(ChainFault { seq: view.record.seq, kind: FaultKind::Head });
                }
                return Ok(close(report, head, seq, &hash));
            }
            check_link(&mut report, &view, seq, &hash);
            seq = view.record.seq;
            hash = view.record.hash;
        }
        if last {
            return Ok(close(report, head, seq, &hash));
        }
    }
}

async fn head_of(
    vault: &KeyVault,
    context: &TenantContext,
    day: NaiveDate,
) -> Result<Option<audit::ChainHead>, StoreError> {
    vault.store().with_tenant(context, async |tx| audit::head(tx, day).await).await
}

fn close(mut report: ChainReport, head: Option<audit::ChainHead>, seq: i64, hash: &[u8]) -> ChainReport {
    let agrees = match &head {
        Some(head) => head.seq == seq && head.hash == hash,
        None => seq == 0,
    };
    if !agrees {
        report.faults.push(ChainFault { seq: head.map_or(0, |head| head.seq), kind: FaultKind::Head });
    }
    report
}

fn check_link(report: &mut ChainReport, view: &AuditView, previous_seq: i64, previous_hash: &[u8]) {
    let record = &view.record;
    let mut fault = |holds: bool, kind: FaultKind| {
        if !holds {
            report.faults.push(ChainFault { seq: record.seq, kind });
        }
    };
    fault(record.seq == previous_seq + 1, FaultKind::Gap);
    fault(record.previous_hash == previous_hash, FaultKind::PreviousHash);
    fault(record.hash == link_hash(record), FaultKind::Hash);
    fault(payload_fits(view), FaultKind::Payload);
    report.records += 1;
    report.erased += u64::from(view.payload == PayloadView::Erased);
}

/// The payload is the one committed to, and the columns beside the chain say what it says.
fn payload_fits(view: &AuditView) -> bool {
    match &view.payload {
        PayloadView::Erased => true,
        PayloadView::Altered => false,
        PayloadView::Open { salt, text } => {
            let call = view.json().and_then(|json| json["event_id"].as_str().map(str::to_owned));
            commitment(salt, text)[..] == view.record.commitment[..]
                && call.is_some_and(|call| call == view.record.call_id.to_string())
        }
    }
}

/// What the first link of a chain follows.
fn genesis(tenant: TenantId, day: NaiveDate) -> [u8; 32] {
    sha256(&[b"stagedoor/audit-chain/1", tenant.0.as_bytes(), day.format("%Y-%m-%d").to_string().as_bytes()])
}

fn link_hash(record: &StoredAuditRecord) -> [u8; 32] {
    sha256(&[
        &record.previous_hash,
        &record.seq.to_be_bytes(),
        &record.occurred_at.timestamp_micros().to_be_bytes(),
        &record.kind.to_be_bytes(),
        &record.commitment,
    ])
}
