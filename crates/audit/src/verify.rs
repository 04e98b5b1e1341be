//! The check of a stored trail: chains, payloads, checkpoints, and what the archive has of these.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::TenantContext;
use stagedoor_storage::{KeyVault, StoreError, audit, signing_keys};

use crate::check::TrailCheck;
use crate::checkpoint::{ArchiveError, Checkpoint, CheckpointArchive};
use crate::days::DayRange;
use crate::report::{AuditFault, FaultKind, VerificationReport};
use crate::retained::{self, Parted};
use crate::stored::{Item, Visitor, Walk, link};

/// Checkpoints of one query.
const PAGE: i64 = 500;
/// After every day that there is a record of.
const FAR: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day");

/// Why a trail could not be checked. That something is wrong with it is no such error.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store.
    #[error("the trail could not be read")]
    Store(#[from] StoreError),
    /// The archive.
    #[error("the archive of checkpoints could not be read")]
    Archive(#[from] ArchiveError),
    /// The file.
    #[error("the file could not be read")]
    Read(#[from] std::io::Error),
    /// The file.
    #[error("the file is no export of an audit trail that this version knows")]
    NotAnExport,
    /// Nothing to check a signature with.
    #[error("no public key was given")]
    NoKeys,
}

/// One fault of one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainFault {
    /// The link; for the head, the length that it claims.
    pub seq: i64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What a check of one chain found.
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
    let keys = public_keys(vault, context).await?;
    let report = check(vault, context, DayRange::of(day), &keys).await?;
    let faults =
        report.faults.iter().map(|fault| ChainFault { seq: fault.seq.unwrap_or(0), kind: fault.kind });
    Ok(ChainReport { records: report.records, erased: report.erased, faults: faults.collect() })
}

/// Checks the tenant's stored trail of `days` from its first record to its heads: every link, every payload that still
/// opens, every checkpoint, and that the archive has these and no others. Records that are appended meanwhile are
/// left out, and so are days that retention has dropped. Trusts the keys that are stored as the tenant's: who can write to the database can put one there, and only
/// [`verify_stored_against`] or the archive tells.
pub async fn verify_stored(
    vault: &KeyVault,
    context: &TenantContext,
    days: DayRange,
    archive: Option<&CheckpointArchive>,
) -> Result<VerificationReport, VerifyError> {
    let keys = public_keys(vault, context).await?;
    verify(vault, context, days, &keys, archive).await
}

/// The same check against keys that were kept elsewhere. A key that is stored as the tenant's and is none of them is a
/// fault by itself.
pub async fn verify_stored_against(
    vault: &KeyVault,
    context: &TenantContext,
    days: DayRange,
    keys: &[VerifyingKey],
    archive: Option<&CheckpointArchive>,
) -> Result<VerificationReport, VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoKeys);
    }
    let stored = public_keys(vault, context).await?;
    let mut report = verify(vault, context, days, keys, archive).await?;
    for key in stored.iter().filter(|key| !keys.contains(key)) {
        let (tenant, key) = (Some(context.tenant_id()), Some(key.id()));
        report.tell(AuditFault { tenant, key, ..AuditFault::new(FaultKind::Key) });
    }
    Ok(report)
}

async fn verify(
    vault: &KeyVault,
    context: &TenantContext,
    days: DayRange,
    keys: &[VerifyingKey],
    archive: Option<&CheckpointArchive>,
) -> Result<VerificationReport, VerifyError> {
    let whole = days;
    let Parted { dropped, kept } = retained::part(vault, days).await?;
    let Some(days) = kept else {
        return Ok(VerificationReport {
            tenant: Some(context.tenant_id()),
            days: Some((whole.first(), whole.last())),
            dropped: dropped.map(|dropped| (dropped.first(), dropped.last())),
            keys: keys.iter().map(VerifyingKey::id).collect(),
            ..VerificationReport::default()
        });
    };
    let mut archived = Vec::new();
    if let Some(archive) = archive {
        // In this order: the archive has what is noted, and the database had before what the archive has.
        let line = async |tx: &mut _| audit::checkpoint_head(tx).await;
        let line = vault.store().with_tenant::<_, StoreError>(context, line).await?;
        let noted = line.map_or(0, |line| line.archived);
        for day in days.iter() {
            let numbers = archive.numbers(context.tenant_id(), day).await?;
            archived.push(ArchivedDay { archive, day, numbers, noted });
        }
    }
    let mut report = check(vault, context, days, keys).await?;
    line_end(vault, context, &mut report).await?;
    for day in archived {
        day.compare(vault, context, &mut report).await?;
    }
    report.days = Some((whole.first(), whole.last()));
    report.dropped = dropped.map(|dropped| (dropped.first(), dropped.last()));
    Ok(report)
}

/// The check without the archive.
async fn check(
    vault: &KeyVault,
    context: &TenantContext,
    days: DayRange,
    keys: &[VerifyingKey],
) -> Result<VerificationReport, StoreError> {
    let walk = Walk::begin(vault, context, days).await?;
    let mut check = TrailCheck::new(context.tenant_id(), days, keys, walk.span());
    walk.run(&mut check).await?;
    Ok(check.end())
}

impl Visitor<StoreError> for TrailCheck {
    async fn item(&mut self, item: Item<'_>) -> Result<(), StoreError> {
        match item {
            Item::Record(day, view) => self.record(day, &link(view)),
            Item::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            Item::Head(day, seq, hash) => self.head(day, seq, hash),
        }
        Ok(())
    }
}

/// The tenant's last checkpoint must be the one that its line is noted to end with.
async fn line_end(
    vault: &KeyVault,
    context: &TenantContext,
    report: &mut VerificationReport,
) -> Result<(), StoreError> {
    // In this order: a checkpoint that is added meanwhile is one that the line knows.
    let read = async |tx: &mut _| {
        let last = audit::checkpoint_span(tx, NaiveDate::default(), FAR).await?.map_or(0, |(_, last)| last);
        let noted = audit::checkpoint_head(tx).await?.map_or(0, |line| line.number);
        let end = audit::checkpoints_after(tx, noted - 1, 1).await?;
        Ok::<_, StoreError>((last, noted, end.first().map_or(0, |end| end.number)))
    };
    let (last, noted, end) = vault.store().with_tenant(context, read).await?;
    if last > noted || (noted > 0 && end != noted) {
        let (tenant, checkpoint) = (Some(context.tenant_id()), Some(noted.max(1)));
        report.tell(AuditFault { tenant, checkpoint, ..AuditFault::new(FaultKind::CheckpointChain) });
    }
    Ok(())
}

/// What the archive has of a day.
struct ArchivedDay<'a> {
    archive: &'a CheckpointArchive,
    day: NaiveDate,
    /// The numbers of its checkpoints, and whether there is more than one of that number.
    numbers: BTreeMap<i64, bool>,
    /// It must have those up to this number, by what is noted in the database.
    noted: i64,
}

impl ArchivedDay<'_> {
    /// Holds it against the database: what it has must be there and state what the chain says, and what it must have it
    /// has.
    async fn compare(
        self,
        vault: &KeyVault,
        context: &TenantContext,
        report: &mut VerificationReport,
    ) -> Result<(), VerifyError> {
        let Self { archive, day, mut numbers, noted } = self;
        let tenant = context.tenant_id();
        // The last one stands for the others, which it follows from; where it differs, each is looked at.
        let mut whole = false;
        if let Some(last) = numbers.keys().next_back().copied() {
            let read = async |tx: &mut _| audit::checkpoints_after(tx, last - 1, 1).await;
            let stored = vault.store().with_tenant::<_, StoreError>(context, read).await?;
            let stored = stored.first().map(|stored| Checkpoint::of(tenant, stored));
            whole = stored != archive.get(tenant, day, last).await?;
        }
        let (mut after, mut seen) = (0, PAGE);
        while seen == PAGE {
            let read = async |tx: &mut _| audit::checkpoints_of_day(tx, day, after, PAGE).await;
            let page = vault.store().with_tenant::<_, StoreError>(context, read).await?;
            seen = i64::try_from(page.len()).unwrap_or_default();
            for stored in page {
                after = stored.seq;
                let stored = Checkpoint::of(tenant, &stored);
                let is_as_archived = match numbers.remove(&stored.number) {
                    None => stored.number > noted,
                    Some(false) if !whole => true,
                    Some(_) => archive.get(tenant, day, stored.number).await?.as_ref() == Some(&stored),
                };
                if !is_as_archived {
                    report.tell(at(FaultKind::Archive, &stored));
                }
            }
        }
        for number in numbers.into_keys() {
            let Some(checkpoint) = archive.get(tenant, day, number).await? else { continue };
            report.tell(at(FaultKind::Archive, &checkpoint));
            let seq = checkpoint.seq;
            let read = async |tx: &mut _| audit::records(tx, day, seq - 1, 1).await;
            let record = vault.store().with_tenant::<_, StoreError>(context, read).await?;
            if !record.first().is_some_and(|record| record.seq == seq && record.hash == checkpoint.hash) {
                report.tell(at(FaultKind::Checkpoint, &checkpoint));
            }
        }
        Ok(())
    }
}

async fn public_keys(vault: &KeyVault, context: &TenantContext) -> Result<Vec<VerifyingKey>, StoreError> {
    let keys = vault.store().with_tenant(context, async |tx| signing_keys::public_keys(tx).await).await?;
    Ok(keys.into_iter().map(|public| public.key).collect())
}

fn at(kind: FaultKind, checkpoint: &Checkpoint) -> AuditFault {
    AuditFault {
        tenant: Some(checkpoint.tenant),
        day: Some(checkpoint.day),
        seq: Some(checkpoint.seq),
        checkpoint: Some(checkpoint.number),
        ..AuditFault::new(kind)
    }
}
