//! The check of a tenant's trail over some days: chains, their heads, and the line of checkpoints beside them. Fed with
//! what a database or a file holds, in the order of an export; both go through here, so that there is one arithmetic.

use chrono::NaiveDate;
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::TenantId;

use crate::chain::{ChainCheck, Link, LinkPayload, genesis};
use crate::checkpoint::{Checkpoint, CheckpointLine};
use crate::days::DayRange;
use crate::report::{AuditFault, FaultKind, VerificationReport};

/// How far a check has come.
pub(crate) struct TrailCheck {
    tenant: TenantId,
    days: DayRange,
    chain: Option<ChainCheck>,
    checkpoints: CheckpointLine,
    report: VerificationReport,
    /// The line of the file, if there is one.
    line: Option<u64>,
}

impl TrailCheck {
    /// A check of the tenant's trail of `days`, with the checkpoints numbered as in `span`.
    pub(crate) fn new(
        tenant: TenantId,
        days: DayRange,
        keys: &[VerifyingKey],
        span: Option<(i64, i64)>,
    ) -> Self {
        let report = VerificationReport {
            tenant: Some(tenant),
            days: Some((days.first(), days.last())),
            keys: keys.iter().map(VerifyingKey::id).collect(),
            ..VerificationReport::default()
        };
        Self {
            tenant,
            days,
            chain: Some(ChainCheck::new(tenant, days.first())),
            checkpoints: CheckpointLine::new(tenant, keys.to_vec(), span),
            report,
            line: None,
        }
    }

    /// What follows stands in this line.
    pub(crate) fn at_line(&mut self, line: u64) {
        self.line = Some(line);
    }

    /// The next record of the trail.
    pub(crate) fn record(&mut self, day: NaiveDate, link: &Link<'_>) {
        self.report.records += 1;
        self.report.erased += u64::from(matches!(link.payload, LinkPayload::Erased));
        let begins = link.seq == 1 && link.previous_hash == genesis(self.tenant, day);
        let expected = self.chain.as_ref().map(ChainCheck::day);
        if expected != Some(day) && !(begins && expected.is_some_and(|expected| expected < day)) {
            return self.tell_record(FaultKind::Foreign, day, link.seq);
        }
        self.skip_to(day);
        let Some(chain) = &mut self.chain else { return };
        self.report.chains += u64::from(chain.seq() == 0);
        for kind in chain.link(link) {
            self.tell_record(kind, day, link.seq);
        }
    }

    /// A checkpoint; of the day that is read now, right after the record that it covers last.
    pub(crate) fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.report.checkpoints += 1;
        for kind in self.checkpoints.add(checkpoint) {
            self.tell_checkpoint(kind, checkpoint);
        }
        if !self.days.contains(checkpoint.day) {
            return;
        }
        let chain = self.chain.as_ref().filter(|chain| chain.day() == checkpoint.day);
        if !chain.is_some_and(|chain| chain.ends_with(checkpoint.seq, &checkpoint.hash)) {
            self.tell_checkpoint(FaultKind::Checkpoint, checkpoint);
        }
    }

    /// The end of a day.
    pub(crate) fn head(&mut self, day: NaiveDate, seq: i64, hash: &[u8]) {
        let expected = self.chain.as_ref().map(ChainCheck::day);
        if expected.is_none_or(|expected| day < expected) || !self.days.contains(day) {
            return self.tell_record(FaultKind::Foreign, day, seq);
        }
        self.skip_to(day);
        let holds = self.chain.as_ref().is_some_and(|chain| chain.ends_with(seq, hash));
        if !holds {
            self.tell_record(FaultKind::Head, day, seq);
        }
        self.go_on_after(day);
    }

    pub(crate) fn tell(&mut self, kind: FaultKind) {
        self.report.tell(AuditFault { tenant: Some(self.tenant), line: self.line, ..AuditFault::new(kind) });
    }

    pub(crate) fn tell_at(&mut self, fault: AuditFault) {
        self.report.tell(AuditFault { tenant: Some(self.tenant), ..fault });
    }

    /// The day that is read now, and its last record so far.
    pub(crate) fn place(&self) -> Option<(NaiveDate, i64)> {
        self.chain.as_ref().map(|chain| (chain.day(), chain.seq()))
    }

    /// The end of the trail.
    pub(crate) fn end(mut self) -> VerificationReport {
        self.line = None;
        while let Some(day) = self.chain.as_ref().map(ChainCheck::day) {
            self.end_without_head(day);
        }
        let Self { tenant, checkpoints, mut report, .. } = self;
        for number in checkpoints.end() {
            let fault = AuditFault::new(FaultKind::CheckpointChain);
            report.tell(AuditFault { tenant: Some(tenant), checkpoint: Some(number), ..fault });
        }
        report
    }

    /// Ends the days before `day`, of which the heads are missing.
    fn skip_to(&mut self, day: NaiveDate) {
        while let Some(current) = self.chain.as_ref().map(ChainCheck::day).filter(|current| *current < day) {
            self.end_without_head(current);
        }
    }

    fn end_without_head(&mut self, day: NaiveDate) {
        let seq = self.chain.as_ref().map_or(0, ChainCheck::seq);
        self.tell_record(FaultKind::Head, day, seq);
        self.go_on_after(day);
    }

    fn go_on_after(&mut self, day: NaiveDate) {
        let next = day.succ_opt().filter(|next| self.days.contains(*next));
        self.chain = next.map(|next| ChainCheck::new(self.tenant, next));
    }

    fn tell_record(&mut self, kind: FaultKind, day: NaiveDate, seq: i64) {
        let (tenant, line) = (Some(self.tenant), self.line);
        self.report.tell(AuditFault {
            tenant,
            day: Some(day),
            seq: Some(seq),
            line,
            ..AuditFault::new(kind)
        });
    }

    fn tell_checkpoint(&mut self, kind: FaultKind, checkpoint: &Checkpoint) {
        self.report.tell(AuditFault {
            tenant: Some(self.tenant),
            day: Some(checkpoint.day),
            seq: Some(checkpoint.seq),
            checkpoint: Some(checkpoint.number),
            line: self.line,
            ..AuditFault::new(kind)
        });
    }
}
