//! `retention`: removes what is older than it is kept (`domain::retention`), one tenant after the other in small batches,
//! and the audit trail by whole days of all tenants. Killed anywhere, the next run goes on: age alone decides.

mod audit;
mod cache;
mod listening;
mod rows;
mod sessions;
mod usage;

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use stagedoor_domain::{Retained, TenantContext};

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct Retention {
    /// Only this part; all of it if left out.
    #[arg(long, value_enum)]
    part: Option<Part>,
}

/// A part with a schedule of its own (SEED-T §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Sessions, figures, refused calls, answers and work that are over, old requests and runs.
    Daily,
    /// The audit trail.
    Audit,
    /// Looks at how full the cache's Redis is, which removes by itself.
    Cache,
}

impl Retention {
    /// One part of it.
    pub const fn of(part: Part) -> Self {
        Self { part: Some(part) }
    }

    /// The name that a run of `part` is on record under.
    pub const fn name_of(part: Option<Part>) -> &'static str {
        match part {
            None => "retention",
            Some(Part::Daily) => "retention-daily",
            Some(Part::Audit) => "retention-audit",
            Some(Part::Cache) => "retention-cache",
        }
    }

    fn does(&self, part: Part) -> bool {
        self.part.is_none_or(|only| only == part)
    }
}

#[async_trait(?Send)]
impl Job for Retention {
    fn name(&self) -> &'static str {
        Self::name_of(self.part)
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        if self.does(Part::Daily) {
            let daily = async |context: &TenantContext| {
                sessions::purge(keeper, run, context).await?;
                rows::delete(keeper, run, context).await?;
                rows::fold_figures(keeper, run, context).await?;
                usage::of_tenant(keeper, run, context).await
            };
            keeper.each_tenant(self.name(), run, None, daily).await?;
            usage::drop_days(keeper, run).await?;
            listening::drop_years(keeper, run).await?;
            rows::forget_runs(keeper, run).await?;
        }
        if self.does(Part::Audit) {
            let dropped = audit::first_kept_by_any(keeper).await?;
            audit::drop_days(keeper, run, dropped).await?;
            let any = run.counts().get("audit_days_dropped").is_some_and(|days| *days > 0);
            let rest =
                async |context: &TenantContext| audit::of_tenant(keeper, run, context, (dropped, any)).await;
            keeper.each_tenant(self.name(), run, None, rest).await?;
        }
        if self.does(Part::Cache) {
            cache::watch(keeper, run).await?;
        }
        Ok(())
    }
}

/// Days that the tenant keeps `what`.
fn days(keeper: &Keeper, context: &TenantContext, what: Retained) -> u32 {
    context.tenant().settings.retention.days(what, &keeper.config.retention.settings())
}
