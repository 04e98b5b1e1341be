//! `stagedoor admin-key create`: makes a key of the admin API past that API. It is how the first one comes into being, and
//! how operators get in again who have lost theirs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use stagedoor_admin::AdminRooms;
use stagedoor_assembly::{keys, open_store};
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::telemetry;
use stagedoor_crypto::{KeyMode, Peppers, PlainApiKey, SystemEntropy};
use stagedoor_domain::{Clock, Entropy, SystemClock, Tenant};
use stagedoor_storage::admin_keys::{AdminRole, NewAdminKey};
use stagedoor_storage::{KeyVault, Purpose, Store};

use crate::operator::Operator;

/// What the command is called in audit records.
const JOB: &str = "admin_key_command";

/// What to do with keys of the admin API.
#[derive(Debug, Subcommand)]
pub enum AdminKeyCommand {
    /// Make a key. It is printed once; the database has only its digest. Needs provisioning's connection
    /// (`storage.admin_database_url`).
    Create(CreateArguments),
}

/// Which key.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// What it is called, such as `first operator`.
    #[arg(long)]
    name: String,
    /// What it is for.
    #[arg(long, value_enum, default_value = "platform-operator")]
    role: Role,
    /// The only tenant that it is for: its name in URLs. A tenant admin needs one, a platform operator has none.
    #[arg(long)]
    tenant: Option<String>,
    /// Days after which it ends; it does not end if this is left out.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires_in: Option<u32>,
    /// Print one JSON object: `key_id`, `role`, `tenant`, `expires_at`, `secret`.
    #[arg(long)]
    json: bool,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Runs the installation.
    PlatformOperator,
    /// Runs one tenant.
    TenantAdmin,
    /// Reads: one tenant's, or everything.
    Auditor,
}

impl From<Role> for AdminRole {
    fn from(role: Role) -> Self {
        match role {
            Role::PlatformOperator => Self::PlatformOperator,
            Role::TenantAdmin => Self::TenantAdmin,
            Role::Auditor => Self::Auditor,
        }
    }
}

/// Runs a command.
pub async fn run(command: AdminKeyCommand) -> anyhow::Result<ExitCode> {
    let AdminKeyCommand::Create(arguments) = command;
    let role = AdminRole::from(arguments.role);
    match (role, &arguments.tenant) {
        (AdminRole::PlatformOperator, Some(_)) => {
            anyhow::bail!("--tenant: a platform operator is of no tenant")
        }
        (AdminRole::TenantAdmin, None) => {
            anyhow::bail!("--tenant: a tenant admin needs the name of a tenant")
        }
        _ => {}
    }
    anyhow::ensure!(!arguments.name.trim().is_empty(), "--name: it must not be empty");
    let config = Config::load(&LoadOptions::from_process(arguments.config.clone()))?;
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-admin-key")?;
    let made = Box::pin(create(config, &arguments, role)).await;
    telemetry.flush().await;
    print(&made?, arguments.json);
    Ok(ExitCode::SUCCESS)
}

/// A key that was made.
struct Made {
    key: PlainApiKey,
    role: AdminRole,
    tenant: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

async fn create(config: Config, arguments: &CreateArguments, role: AdminRole) -> anyhow::Result<Made> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (ring, peppers) = keys::open(&config.encryption, &clock, &SystemEntropy).await?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let store = Box::pin(open_store(&config, Purpose::Provision)).await?;
    let vault = KeyVault::new(store.clone(), ring, clock, entropy);
    let platform = AdminRooms::platform(&vault).await.context("the platform's own tenant")?;
    let operator = Operator::open(config).await?;
    let tenant = match &arguments.tenant {
        Some(named) => Some(operator.tenant(named).await?),
        None => None,
    };
    let expires_at = arguments.expires_in.map(|days| operator.clock.now() + TimeDelta::days(days.into()));
    let made =
        Box::pin(record(&operator, &store, &peppers, platform, tenant, (arguments, role, expires_at))).await;
    let finished = operator.finish().await;
    store.close().await;
    let made = made?;
    finished.map(|()| made)
}

/// Makes the key between two records of the trail of its tenant, or of the platform.
async fn record(
    operator: &Operator,
    store: &Store,
    peppers: &Peppers,
    platform: Arc<Tenant>,
    tenant: Option<Arc<Tenant>>,
    (arguments, role, expires_at): (&CreateArguments, AdminRole, Option<DateTime<Utc>>),
) -> anyhow::Result<Made> {
    let key = PlainApiKey::generate(&SystemEntropy, KeyMode::Admin);
    let context = operator.context(tenant.clone().unwrap_or(platform), JOB);
    let opening = AuditOpening {
        resource: Some(AuditResource { kind: "admin_key", id: key.id().to_string().into() }),
        ..AuditOpening::new(AuditAction::AdminWrite, AuditClient::default())
    };
    let new = NewAdminKey {
        id: key.id().clone(),
        name: arguments.name.clone(),
        role,
        bound_to: tenant.as_ref().map(|tenant| tenant.id),
        digest: key.digest(peppers),
        allowed_networks: Vec::new(),
        expires_at,
        created_by: format!("job:{JOB}"),
    };
    let insert = async { store.insert_admin_key(&new).await.context("the key was not stored") };
    anyhow::ensure!(
        Box::pin(operator.audited(&context, opening, insert)).await?,
        "there is a key of that id; try again"
    );
    Ok(Made { key, role, tenant: tenant.map(|tenant| tenant.slug.to_string()), expires_at })
}

#[expect(clippy::print_stdout, reason = "the output is the command's job")]
fn print(made: &Made, as_json: bool) {
    if as_json {
        println!(
            "{}",
            json!({
                "key_id": made.key.id().as_str(),
                "role": made.role.as_str(),
                "tenant": made.tenant,
                "expires_at": made.expires_at,
                "secret": made.key.expose_secret(),
            })
        );
    } else {
        println!("{}", made.key.expose_secret());
    }
}
