//! `stagedoor audit query`.

use std::process::ExitCode;

use clap::Args;
use stagedoor_audit::{AuditAction, AuditClient, AuditCursor, AuditFilter, AuditOpening, AuditOrder, query};
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::{CallId, TenantContext, UserId};
use stagedoor_tools::audit_search;
use uuid::Uuid;

use super::rows::{Found, Rows};
use super::{Output, TenantArguments, moment};
use crate::operator::Operator;

/// Records of one look at the database.
const PAGE: u32 = 200;

/// What to look for; what is left out does not matter.
#[derive(Debug, Args)]
pub struct QueryArguments {
    #[command(flatten)]
    tenant: TenantArguments,
    /// The person, by user id.
    #[arg(long)]
    user: Option<Uuid>,
    /// The agent: `key:` and an API key's public id, or `job:` and a job's name.
    #[arg(long)]
    principal: Option<String>,
    /// What was done: a tool, or an action such as `authenticate`.
    #[arg(long)]
    action: Option<String>,
    /// How it ended: `ok`, `cancelled` or an error's code; `pending` finds what was opened, whether it ended or not.
    #[arg(long)]
    outcome: Option<String>,
    /// The call, by the id that errors and log lines name.
    #[arg(long)]
    call: Option<Uuid>,
    /// From then on: a day or a time (RFC 3339).
    #[arg(long, value_parser = moment)]
    from: Option<chrono::DateTime<chrono::Utc>>,
    /// Until before then.
    #[arg(long, value_parser = moment)]
    to: Option<chrono::DateTime<chrono::Utc>>,
    /// The oldest first instead of the newest.
    #[arg(long)]
    oldest_first: bool,
    /// Records at most; 0 for all.
    #[arg(long, default_value_t = 100)]
    limit: u64,
    /// Where an earlier search ended, as it said.
    #[arg(long)]
    cursor: Option<AuditCursor>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) async fn run(arguments: QueryArguments) -> anyhow::Result<ExitCode> {
    let work = async |_: &Config, operator: &Operator, context: &TenantContext| {
        let opening = AuditOpening {
            resource: Some(audit_search(&arguments.filter())),
            ..AuditOpening::new(AuditAction::AuditRead, AuditClient::default())
        };
        Box::pin(operator.audited(context, opening, search(&arguments, operator, context))).await
    };
    Box::pin(arguments.tenant.run(work)).await?;
    Ok(ExitCode::SUCCESS)
}

async fn search(
    arguments: &QueryArguments,
    operator: &Operator,
    context: &TenantContext,
) -> anyhow::Result<()> {
    let filter = arguments.filter();
    let order = if arguments.oldest_first { AuditOrder::OldestFirst } else { AuditOrder::NewestFirst };
    let mut rows = Rows::new(arguments.output);
    let (mut after, mut found) = (arguments.cursor, Found::default());
    loop {
        let left = arguments.left(found.shown);
        let page = query(&operator.vault, context, &filter, order, after, left).await?;
        found.examined += page.examined;
        found.erased += page.erased;
        for record in &page.records {
            rows.add(record)?;
            found.shown += 1;
        }
        after = page.next;
        if after.is_none() || arguments.left(found.shown) == 0 {
            break;
        }
    }
    rows.end(&found, after.as_ref())
}

impl QueryArguments {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            user: self.user.map(UserId),
            principal: self.principal.as_deref().map(Into::into),
            action: self.action.as_deref().map(Into::into),
            outcome: self.outcome.as_deref().map(Into::into),
            from: self.from,
            to: self.to,
            call: self.call.map(CallId),
        }
    }

    /// How many more are wanted of the next page.
    fn left(&self, shown: u64) -> u32 {
        let wanted = if self.limit == 0 { u64::MAX } else { self.limit };
        u32::try_from(wanted.saturating_sub(shown)).unwrap_or(PAGE).min(PAGE)
    }
}
