//! `stagedoor audit verify`: a file by public keys alone, or the stored trail and its archive.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use stagedoor_assembly::checkpoint_archive;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditFault, AuditOpening, VerificationReport, verify_export, verify_stored,
    verify_stored_against,
};
use stagedoor_bootstrap::config::Config;
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::TenantContext;

use super::{DayArguments, FAULTS, Output, TenantArguments, print};
use crate::operator::Operator;

const BUFFER: usize = 256 * 1024;

/// What to check.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// An exported file. Nothing but it and the public keys is needed.
    #[arg(required_unless_present = "tenant", conflicts_with_all = ["tenant", "from", "to", "config"], requires = "keys")]
    file: Option<PathBuf>,
    /// A public key, or a set of them: a file with a JWK or a JWK Set, or its text. For the stored trail, the keys that
    /// were kept elsewhere; without them it is checked with those in the database, which whoever forges can add to.
    #[arg(long = "public-key", value_name = "FILE|JWK", id = "keys")]
    keys: Vec<String>,
    #[command(flatten)]
    tenant: Option<TenantArguments>,
    #[command(flatten)]
    days: DayArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) async fn run(arguments: VerifyArguments) -> anyhow::Result<ExitCode> {
    let mut keys = Vec::new();
    for key in &arguments.keys {
        keys.extend(read_keys(key)?);
    }
    let report = match (&arguments.file, &arguments.tenant) {
        (Some(file), _) => verify_file(file, &keys)?,
        (None, Some(tenant)) => Box::pin(verify_tenant(tenant, &arguments.days, &keys)).await?,
        (None, None) => anyhow::bail!("either a file or --tenant is wanted"),
    };
    print(&match arguments.output {
        Output::Text => text(&report, keys.is_empty()),
        Output::Json => lines(&report),
    })?;
    Ok(if report.is_intact() { ExitCode::SUCCESS } else { ExitCode::from(FAULTS) })
}

fn verify_file(path: &Path, keys: &[VerifyingKey]) -> anyhow::Result<VerificationReport> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let report = verify_export(BufReader::with_capacity(BUFFER, file), keys);
    report.with_context(|| path.display().to_string())
}

async fn verify_tenant(
    tenant: &TenantArguments,
    days: &DayArguments,
    keys: &[VerifyingKey],
) -> anyhow::Result<VerificationReport> {
    let work = async |config: &Config, operator: &Operator, context: &TenantContext| {
        let days = days.range(&*operator.clock)?;
        let archive = checkpoint_archive(config)?;
        // Payloads are opened to be held against what was committed to, so this is a reading like any other.
        let opening = AuditOpening::new(AuditAction::AuditRead, AuditClient::default());
        let (vault, archive) = (&operator.vault, archive.as_ref());
        let check = async {
            Ok(match keys {
                [] => verify_stored(vault, context, days, archive).await?,
                keys => verify_stored_against(vault, context, days, keys, archive).await?,
            })
        };
        Box::pin(operator.audited(context, opening, check)).await
    };
    Box::pin(tenant.run(work)).await
}

/// The keys in a file, or in the argument itself.
fn read_keys(given: &str) -> anyhow::Result<Vec<VerifyingKey>> {
    let text = if given.trim_start().starts_with('{') {
        given.to_owned()
    } else {
        std::fs::read_to_string(given).with_context(|| format!("--public-key {given}"))?
    };
    let keys = VerifyingKey::from_jwks(&text).unwrap_or_default();
    anyhow::ensure!(!keys.is_empty(), "--public-key {given}: there is no Ed25519 key in it (RFC 8037)");
    Ok(keys)
}

fn text(report: &VerificationReport, trusting: bool) -> String {
    let mut lines: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    if trusting {
        let keys: Vec<String> = report.keys.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "trusted without question: the keys that the database has ({}); --public-key names those to trust",
            keys.join(", ")
        ));
    }
    if let Some((first, last)) = report.dropped {
        lines.push(format!("not checked: {first} to {last}, which retention has dropped"));
    }
    if report.more_faults > 0 {
        lines.push(format!("and {} more", report.more_faults));
    }
    let faults = report.faults.len() as u64 + report.more_faults;
    let verdict = if faults == 0 { "intact".to_owned() } else { format!("{faults} faults") };
    let tenant = report.tenant.map_or_else(|| "no tenant".to_owned(), |tenant| format!("tenant {tenant}"));
    let days = report.days.map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
    lines.push(format!(
        "{verdict}: {tenant}{days}: {} records ({} erased) in {} chains, {} checkpoints",
        report.records, report.erased, report.chains, report.checkpoints
    ));
    lines.join("\n") + "\n"
}

fn lines(report: &VerificationReport) -> String {
    let mut lines: Vec<String> = report.faults.iter().map(|fault| self::fault(fault).to_string()).collect();
    let sum = json!({
        "intact": report.is_intact(),
        "tenant": report.tenant.map(|tenant| tenant.to_string()),
        "from": report.days.map(|days| days.0),
        "to": report.days.map(|days| days.1),
        "dropped_from": report.dropped.map(|days| days.0),
        "dropped_to": report.dropped.map(|days| days.1),
        "chains": report.chains,
        "records": report.records,
        "erased": report.erased,
        "checkpoints": report.checkpoints,
        "keys": report.keys,
        "faults": report.faults.len() as u64 + report.more_faults,
    });
    lines.push(sum.to_string());
    lines.join("\n") + "\n"
}

fn fault(fault: &AuditFault) -> serde_json::Value {
    json!({
        "kind": fault.kind.as_str(),
        "meaning": fault.kind.meaning(),
        "tenant": fault.tenant.map(|tenant| tenant.to_string()),
        "day": fault.day,
        "seq": fault.seq,
        "checkpoint": fault.checkpoint,
        "key": fault.key,
        "line": fault.line,
    })
}
