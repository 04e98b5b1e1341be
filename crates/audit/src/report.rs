//! What a check of the trail found, and where.

use std::fmt;

use chrono::NaiveDate;
use stagedoor_domain::TenantId;
use uuid::Uuid;

/// Faults that are told one by one; what is more is counted, so that a file of nothing but faults takes no memory.
const TOLD: usize = 10_000;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// Sequence numbers are missing or doubled before the record.
    Gap,
    /// The record does not follow from the one before it.
    PreviousHash,
    /// The record's hash is not that of its columns.
    Hash,
    /// The record's payload is not the one that was committed to.
    Payload,
    /// The chain's head is not its last record: records at the end are missing, or were added.
    Head,
    /// A checkpoint's signature does not hold, or it states a hash that the chain does not have.
    Checkpoint,
    /// A checkpoint is missing from the tenant's line of checkpoints, or does not follow from the one before it.
    CheckpointChain,
    /// The archive and the database disagree on a checkpoint.
    Archive,
    /// A key is stored as the tenant's that is none of those given.
    Key,
    /// The record is of another tenant or day.
    Foreign,
    /// The line of the file is not the one that was exported.
    Altered,
    /// The file as a whole is not what was signed.
    Manifest,
    /// The line of the file is none that an export has.
    Malformed,
}

/// One fault and its place, as far as it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditFault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The chain's tenant.
    pub tenant: Option<TenantId>,
    /// The chain's day.
    pub day: Option<NaiveDate>,
    /// The record; for a head, the length that it claims.
    pub seq: Option<i64>,
    /// The checkpoint's number.
    pub checkpoint: Option<i64>,
    /// The key's id.
    pub key: Option<Uuid>,
    /// The line of the file, from 1.
    pub line: Option<u64>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerificationReport {
    /// Whose trail it is.
    pub tenant: Option<TenantId>,
    /// The first and the last day.
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// The first and the last of the days that retention has dropped, which is no fault; none of them was checked.
    pub dropped: Option<(NaiveDate, NaiveDate)>,
    /// Chains that had records.
    pub chains: u64,
    /// Records.
    pub records: u64,
    /// Those whose payload was erased, which is no fault.
    pub erased: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// The keys that were trusted.
    pub keys: Vec<Uuid>,
    /// The first faults, in the order in which they were met.
    pub faults: Vec<AuditFault>,
    /// Further faults.
    pub more_faults: u64,
}

impl FaultKind {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::PreviousHash => "previous_hash",
            Self::Hash => "hash",
            Self::Payload => "payload",
            Self::Head => "head",
            Self::Checkpoint => "checkpoint",
            Self::CheckpointChain => "checkpoint_chain",
            Self::Archive => "archive",
            Self::Key => "key",
            Self::Foreign => "foreign",
            Self::Altered => "altered",
            Self::Manifest => "manifest",
            Self::Malformed => "malformed",
        }
    }

    /// What it means, in a sentence's end.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Gap => "records are missing or doubled before this one",
            Self::PreviousHash => "it does not follow from the record before it",
            Self::Hash => "its hash is not that of its columns",
            Self::Payload => "its payload is not the one that was committed to",
            Self::Head => "the chain ends elsewhere: records at its end are missing or were added",
            Self::Checkpoint => "the checkpoint does not hold",
            Self::CheckpointChain => "a checkpoint is missing or does not follow from the one before it",
            Self::Archive => "the archive and the database disagree on the checkpoint",
            Self::Key => "it is stored as the tenant's, and is none of the keys that were given",
            Self::Foreign => "it belongs to another tenant or day",
            Self::Altered => "the line is not the one that was exported",
            Self::Manifest => "the file as a whole is not what was signed",
            Self::Malformed => "the line is none that an export has",
        }
    }
}

impl AuditFault {
    /// A fault without a place.
    pub const fn new(kind: FaultKind) -> Self {
        Self { kind, tenant: None, day: None, seq: None, checkpoint: None, key: None, line: None }
    }
}

impl fmt::Display for AuditFault {
    /// `day 2026-11-22 record 17 (line 30): hash: its hash is not that of its columns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(day) = self.day {
            write!(f, "day {day} ")?;
        }
        if let Some(seq) = self.seq {
            write!(f, "record {seq} ")?;
        }
        if let Some(number) = self.checkpoint {
            write!(f, "checkpoint {number} ")?;
        }
        if let Some(key) = self.key {
            write!(f, "key {key} ")?;
        }
        if let Some(line) = self.line {
            write!(f, "(line {line}) ")?;
        }
        write!(f, "{}: {}", self.kind.as_str(), self.kind.meaning())
    }
}

impl VerificationReport {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn tell(&mut self, fault: AuditFault) {
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }
}
