//! `stagedoor audit checkpoint`: what a gateway does by itself every minute, now.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::TenantContext;

use super::{DayArguments, Output, TenantArguments, checkpointer, print};
use crate::operator::Operator;

/// Whose chains.
#[derive(Debug, Args)]
pub struct SealArguments {
    #[command(flatten)]
    tenant: TenantArguments,
    #[command(flatten)]
    days: DayArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) async fn run(arguments: SealArguments) -> anyhow::Result<ExitCode> {
    let seal = async |config: &Config, operator: &Operator, context: &TenantContext| {
        let days = arguments.days.range(&*operator.clock)?;
        Ok(checkpointer(config, operator)?.seal(context, days.iter()).await?)
    };
    let made = Box::pin(arguments.tenant.run(seal)).await?;
    print(&match arguments.output {
        Output::Json => format!("{}\n", json!({ "checkpoints": made })),
        Output::Text => format!("{made} checkpoints signed\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}
