//! `verify`: checks tenants' audit trails where they are stored — every link, payload and checkpoint — and against the
//! archive. Opening payloads is a reading, so it is on record first.

use async_trait::async_trait;
use chrono::{Days, NaiveDate};
use clap::Args;
use serde_json::json;
use stagedoor_assembly::checkpoint_archive;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditOpening, AuditResource, CheckpointArchive, DayRange, VerificationReport,
    verify_stored,
};
use stagedoor_domain::TenantContext;

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Faults of one tenant that are said one by one.
const TOLD: usize = 5;

/// Its arguments.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Only this tenant: its name in URLs, or its id.
    #[arg(long)]
    pub tenant: Option<String>,
    /// How many days back, today among them.
    #[arg(long, default_value_t = Self::DAYS, value_parser = clap::value_parser!(u64).range(1..3_660))]
    pub days: u64,
}

impl Verify {
    const DAYS: u64 = 8;
}

impl Default for Verify {
    fn default() -> Self {
        Self { tenant: None, days: Self::DAYS }
    }
}

#[async_trait(?Send)]
impl Job for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn recorded_as(&self) -> &'static str {
        if self.tenant.is_some() || self.days < Self::DAYS { "verify-part" } else { self.name() }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let archive = checkpoint_archive(&keeper.config).map_err(|error| JobError::misconfigured(&error))?;
        let last = keeper.clock.now().date_naive();
        let first = last.checked_sub_days(Days::new(self.days - 1)).unwrap_or(last);
        let verify = async |context: &TenantContext| {
            verify_tenant(keeper, run, context, (first, last), archive.as_ref()).await
        };
        keeper.each_tenant(self.name(), run, self.tenant.as_deref(), verify).await?;
        let intact = run.counts().get("faults").is_none_or(|faults| *faults == 0);
        let text = if intact { "every trail is intact" } else { "the audit trail has faults" };
        run.answer(text, json!({ "intact": intact, "from": first, "to": last }));
        Ok(())
    }
}

async fn verify_tenant(
    keeper: &Keeper,
    run: &Run,
    context: &TenantContext,
    (first, last): (NaiveDate, NaiveDate),
    archive: Option<&CheckpointArchive>,
) -> Result<(), JobError> {
    let days = DayRange::new(first, last).ok_or_else(|| JobError::Refused("--days".to_owned()))?;
    let resource = AuditResource { kind: "audit_days", id: format!("{first}/{last}").into() };
    let opening = AuditOpening {
        resource: Some(resource),
        ..AuditOpening::new(AuditAction::AuditRead, AuditClient::default())
    };
    let check = async {
        let report = verify_stored(&keeper.vault, context, days, archive).await;
        Ok(report.map_err(anyhow::Error::from)?)
    };
    let report = keeper.audited(context, opening, check).await?;
    tell(run, context, &report);
    Ok(())
}

fn tell(run: &Run, context: &TenantContext, report: &VerificationReport) {
    run.count("records", report.records);
    run.count("erased", report.erased);
    run.count("checkpoints", report.checkpoints);
    let faults = report.faults.len() as u64 + report.more_faults;
    run.count("faults", faults);
    for fault in report.faults.iter().take(TOLD) {
        run.failed(format_args!("tenant {}", context.tenant().slug), fault);
    }
    if let Some(more) = faults.checked_sub(TOLD as u64).filter(|more| *more > 0) {
        run.remark(format_args!("tenant {}: and {more} more faults", context.tenant().slug));
    }
}
