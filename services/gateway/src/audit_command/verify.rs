//! `stagedoor audit verify`: a file by public keys alone, or the stored trail and its archive.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditFault, AuditOpening, VerificationReport, verify_export, verify_stored,
};
use stagedoor_bootstrap::config::Config;
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::TenantContext;

use super::{DayArguments, FAULTS, Output, TenantArguments, archive, print};
use crate::operator::Operator;

const BUFFER: usize = 256 * 1024;

/// What to check.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// An exported file. Nothing but it and the public keys is needed.
    #[arg(required_unless_present = "tenant", conflicts_with_all = ["tenant", "from", "to", "config"], requires = "keys")]
    file: Option<PathBuf>,
    /// A public key, or a set of them: a file with a JWK or a JWK Set, or its text.
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
    let report = match (&arguments.file, &arguments.tenant) {
        (Some(file), _) => verify_file(file, &arguments.keys)?,
        (None, Some(tenant)) => verify_tenant(tenant, &arguments.days).await?,
        (None, None) => anyhow::bail!("either a file or --tenant is wanted"),
    };
    print(&match arguments.output {
        Output::Text => text(&report),
        Output::Json => lines(&report),
    })?;
    Ok(if report.is_intact() { ExitCode::SUCCESS } else { ExitCode::from(FAULTS) })
}

fn verify_file(path: &Path, keys: &[String]) -> anyhow::Result<VerificationReport> {
    let mut known = Vec::new();
    for key in keys {
        known.extend(read_keys(key)?);
    }
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let report = verify_export(BufReader::with_capacity(BUFFER, file), &known);
    report.with_context(|| path.display().to_string())
}

async fn verify_tenant(tenant: &TenantArguments, days: &DayArguments) -> anyhow::Result<VerificationReport> {
    let work = async |config: &Config, operator: &Operator, context: &TenantContext| {
        let days = days.range(&*operator.clock)?;
        let archive = archive(config)?;
        // Payloads are opened to be held against what was committed to, so this is a reading like any other.
        let opening = AuditOpening::new(AuditAction::AuditRead, AuditClient::default());
        let check = async { Ok(verify_stored(&operator.vault, context, days, archive.as_ref()).await?) };
        operator.audited(context, opening, check).await
    };
    tenant.run(work).await
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

fn text(report: &VerificationReport) -> String {
    let mut text = String::new();
    for fault in &report.faults {
        text.push_str(&format!("{fault}\n"));
    }
    if report.more_faults > 0 {
        text.push_str(&format!("and {} more\n", report.more_faults));
    }
    let faults = report.faults.len() as u64 + report.more_faults;
    let days = report.days.map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
    text.push_str(&format!(
        "{}{}{days}: {} records ({} erased) in {} chains, {} checkpoints\n",
        if report.is_intact() { "intact: ".to_owned() } else { format!("{faults} faults: ") },
        report.tenant.map_or_else(|| "no tenant".to_owned(), |tenant| format!("tenant {tenant}")),
        report.records,
        report.erased,
        report.chains,
        report.checkpoints,
    ));
    text
}

fn lines(report: &VerificationReport) -> String {
    let mut lines: Vec<String> = report.faults.iter().map(|fault| self::fault(fault).to_string()).collect();
    let sum = json!({
        "intact": report.is_intact(),
        "tenant": report.tenant.map(|tenant| tenant.to_string()),
        "from": report.days.map(|days| days.0),
        "to": report.days.map(|days| days.1),
        "chains": report.chains,
        "records": report.records,
        "erased": report.erased,
        "checkpoints": report.checkpoints,
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
        "line": fault.line,
    })
}
