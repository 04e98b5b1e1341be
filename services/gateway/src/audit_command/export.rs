//! `stagedoor audit export`: days of a trail as signed lines. A checkpoint goes before, so that one covers every record.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditOpening, AuditResource, DayRange, ExportSummary, SealError, export,
};
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::TenantContext;
use stagedoor_domain::error::Chain;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::{DayArguments, TenantArguments, checkpointer, complain};
use crate::operator::Operator;

const BUFFER: usize = 256 * 1024;

/// What to write where.
#[derive(Debug, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    tenant: TenantArguments,
    #[command(flatten)]
    days: DayArguments,
    /// The file, which must not be there yet; standard output if left out.
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(super) async fn run(arguments: ExportArguments) -> anyhow::Result<ExitCode> {
    let work = async |config: &Config, operator: &Operator, context: &TenantContext| {
        let days = arguments.days.range(&*operator.clock)?;
        let opening = AuditOpening {
            resource: Some(AuditResource { kind: "audit_days", id: span(days).into() }),
            ..AuditOpening::new(AuditAction::AuditExport, AuditClient::default())
        };
        let write = async {
            match checkpointer(config, operator)?.seal(context, days.iter()).await {
                Err(SealError::Archive(error)) => {
                    complain(&format!("the archive lacks the last checkpoints for now: {}", Chain(&error)));
                }
                sealed => drop(sealed?),
            }
            if let Some(file) = &arguments.file {
                return to_file(file, operator, context, days).await;
            }
            let mut output = tokio::fs::File::from_std(standard_output()?);
            Ok(export(&operator.vault, context, days, &mut output).await?)
        };
        Box::pin(operator.audited(context, opening, write)).await
    };
    let summary = Box::pin(arguments.tenant.run(work)).await?;
    complain(&format!(
        "exported {} records ({} erased) and {} checkpoints of {} days, {} bytes",
        summary.records, summary.erased, summary.checkpoints, summary.days, summary.bytes
    ));
    Ok(ExitCode::SUCCESS)
}

async fn to_file(
    path: &Path,
    operator: &Operator,
    context: &TenantContext,
    days: DayRange,
) -> anyhow::Result<ExportSummary> {
    let shown = || format!("--file {}", path.display());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await;
    let file = file.with_context(shown)?;
    let written = async {
        let mut buffered = BufWriter::with_capacity(BUFFER, file);
        let summary = export(&operator.vault, context, days, &mut buffered).await?;
        buffered.flush().await.with_context(shown)?;
        buffered.get_ref().sync_all().await.with_context(shown)?;
        Ok(summary)
    }
    .await;
    if written.is_err() {
        // Half an export would only be found to be damaged later.
        let _ = tokio::fs::remove_file(path).await;
    }
    written
}

fn standard_output() -> std::io::Result<std::fs::File> {
    Ok(std::io::stdout().as_fd().try_clone_to_owned()?.into())
}

fn span(days: DayRange) -> String {
    format!("{}/{}", days.first(), days.last())
}
