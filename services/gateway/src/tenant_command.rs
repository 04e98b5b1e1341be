//! `stagedoor tenant delete`: has a tenant deleted with all of its people. The replicas do it; the command begins it, waits,
//! and prints the receipt.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::SecretString;
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::telemetry;
use stagedoor_domain::{PrivacyRequestId, TenantContext, TenantStatus};
use stagedoor_storage::privacy_requests::{self, State};
use stagedoor_storage::{Purpose, Store, StoreOptions};

use crate::operator::Operator;
use crate::privacy_command::print;

/// What the command is called in audit records.
const JOB: &str = "tenant_command";
/// How often it is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks after which it is said that no replica has taken it.
const LONELY_AFTER: u32 = 20;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Delete a tenant, its people and everything that is theirs, for good. Needs a gateway that serves, which does it,
    /// and provisioning's connection (`storage.admin_database_url`).
    Delete(DeleteArguments),
}

/// Which tenant.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// The tenant's name in URLs.
    slug: String,
    /// The same again: it cannot be undone.
    #[arg(long, value_name = "SLUG")]
    confirm: String,
    /// Do not wait until it is done.
    #[arg(long)]
    no_wait: bool,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Runs a command.
pub async fn run(command: TenantCommand) -> anyhow::Result<ExitCode> {
    let TenantCommand::Delete(arguments) = command;
    anyhow::ensure!(
        arguments.confirm == arguments.slug,
        "--confirm: it is not the tenant's name; nothing was deleted"
    );
    let config = Config::load(&LoadOptions::from_process(arguments.config.clone()))?;
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-tenant")?;
    let provisioning = provisioning(&config).await?;
    let operator = Operator::open(config).await?;
    let done = Box::pin(delete(&operator, &provisioning, &arguments)).await;
    let finished = operator.finish().await;
    provisioning.close().await;
    telemetry.flush().await;
    let done = done?;
    finished.map(|()| done)
}

async fn delete(
    operator: &Operator,
    provisioning: &Store,
    arguments: &DeleteArguments,
) -> anyhow::Result<ExitCode> {
    let tenant = operator.tenant(&arguments.slug).await?;
    anyhow::ensure!(tenant.status != TenantStatus::Deleted, "the tenant is deleted");
    let context = operator.context(tenant, JOB);
    let id = PrivacyRequestId::generate(&*operator.clock, &*operator.entropy);
    let opening = AuditOpening {
        resource: Some(AuditResource { kind: "privacy_request", id: id.to_string().into() }),
        ..AuditOpening::new(AuditAction::TenantErasure, AuditClient::default())
    };
    let begin = async {
        let begun = privacy_requests::request_tenant_erasure(provisioning, &context, id).await;
        begun.context("the deletion could not be begun")
    };
    let request = Box::pin(operator.audited(&context, opening, begin)).await?;
    say(&format!(
        "{}: {} is served no more; its deletion is request {}",
        request.state.as_str(),
        arguments.slug,
        request.id
    ));
    if arguments.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let receipt = wait(operator, &context, request.id).await?;
    print(&receipt)?;
    Ok(ExitCode::SUCCESS)
}

/// The receipt, once all is done. Whoever stops waiting stops nothing else.
async fn wait(operator: &Operator, context: &TenantContext, id: PrivacyRequestId) -> anyhow::Result<String> {
    let mut told = State::Verified;
    for look in 0_u32.. {
        let request = privacy_requests::load(&operator.store, context, id).await?;
        let request = request.context("the request is gone")?;
        if request.state != told {
            say(request.state.as_str());
            told = request.state;
        }
        if let Some(receipt) = request.receipt {
            return Ok(receipt);
        }
        if look == LONELY_AFTER && request.claims == 0 {
            say("no gateway has taken it yet: it goes on as soon as one serves");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    anyhow::bail!("it was waited for ever")
}

async fn provisioning(config: &Config) -> anyhow::Result<Store> {
    let url = config.storage.admin_database_url.as_ref().context("storage.admin_database_url is not set")?;
    let options = StoreOptions {
        purpose: Purpose::Provision,
        max_connections: 1,
        acquire_timeout: Duration::from_secs(10),
        transaction_timeout: Duration::from_secs(10),
        application_name: "stagedoor-tenant".to_owned(),
        ..StoreOptions::new(SecretString::from(url.expose()))
    };
    Store::connect(&options).await.context("storage.admin_database_url")
}

#[expect(clippy::print_stderr, reason = "how far it is; what it comes to goes to standard output")]
fn say(text: &str) {
    eprintln!("stagedoor: {text}");
}
