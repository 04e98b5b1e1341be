//! `migrate`: the database's roles and schema brought up to date, as its owner; before any other job can run, so outside of
//! the frame. Never backwards: a database that a newer release has migrated is left alone.

use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use stagedoor_bootstrap::config::Config;
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{Clock, SystemClock};
use stagedoor_storage::keeper_runs::NewRun;
use stagedoor_storage::schema::{self, MigrationState, catalogue, migration_state, outside};
use stagedoor_storage::scratch::{Scratch, ScratchDatabase, drop_leftovers};

use crate::exit::Misconfigured;
use crate::run::Answer;

/// Differences that are shown.
const SHOWN: usize = 40;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct Migrate {
    /// Change nothing; compare the schema with what this build's migrations make in a scratch database, which the owner's
    /// role must be allowed to create.
    #[arg(long)]
    check: bool,
}

impl Migrate {
    /// Does it; with `dry_run`, says what it would do. Refuses, and changes nothing, if the database is a newer release's.
    ///
    /// # Errors
    /// Also if the check finds a difference.
    pub async fn run(&self, config: &Config, dry_run: bool) -> anyhow::Result<Answer> {
        let key = "storage.owner_database_url";
        let url = config.storage.owner_database_url.as_ref();
        let url = url.with_context(|| {
            format!("{key} is not set; such as postgres://stagedoor_owner:…@db:5432/stagedoor")
        });
        let url = url.map_err(Misconfigured)?;
        let url = SecretString::from(url.expose());
        let state = migration_state(&url).await.context(key)?;
        anyhow::ensure!(
            state.unknown.is_empty(),
            "the database has migrations that this release does not know ({}): a newer one was there, and this one does \
             not run backwards",
            list(&state.unknown)
        );
        if self.check {
            return check(&url, &state).await;
        }
        if dry_run {
            let text = format!("{} to apply: {}", state.missing.len(), list(&state.missing));
            return Ok(Answer { text: text + "\n", json: told("dry_run", &state) });
        }
        stagedoor_storage::migrate(&url).await.context(key)?;
        record(&url, &state).await?;
        let text = match state.missing.len() {
            0 => "the schema is up to date\n".to_owned(),
            count => format!("{count} migrations were applied: {}\n", list(&state.missing)),
        };
        Ok(Answer { text, json: told("succeeded", &state) })
    }
}

async fn record(url: &SecretString, state: &MigrationState) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let host = stagedoor_bootstrap::host::host_name();
    let run = NewRun {
        id: uuid_v7(&clock, &SystemEntropy),
        job: "migrate",
        dry_run: false,
        host: &host,
        at: clock.now(),
    };
    schema::record_migration(url, &run, state.missing.len() as u64).await.context("the run's record")
}

async fn check(url: &SecretString, state: &MigrationState) -> anyhow::Result<Answer> {
    anyhow::ensure!(state.missing.is_empty(), "migrations are missing: {}", list(&state.missing));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let left = drop_leftovers(url, Scratch::Check, clock.now()).await;
    left.context("what an earlier check left behind could not be dropped")?;
    let scratch = ScratchDatabase::create(url, Scratch::Check, uuid_v7(&*clock, &SystemEntropy));
    let scratch = scratch.await.context("a scratch database could not be made")?;
    let made = match scratch.url(url) {
        Ok(url) => catalogue(&url).await,
        Err(error) => Err(error),
    };
    scratch.drop_it().await.context("the scratch database could not be dropped")?;
    let (made, found) = (made?, catalogue(url).await?);
    let lines: Vec<String> = outside(&made, &found)
        .into_iter()
        .map(|line| format!("- {line}"))
        .chain(outside(&found, &made).into_iter().map(|line| format!("+ {line}")))
        .collect();
    anyhow::ensure!(
        lines.is_empty(),
        "the schema is not what the migrations make (- missing, + not ours), {} differences:\n{}",
        lines.len(),
        lines[..lines.len().min(SHOWN)].join("\n")
    );
    let text =
        format!("the schema is what {} migrations make: {} objects\n", state.applied.len(), made.len());
    Ok(Answer { text, json: told("equal", state) })
}

fn list(versions: &[i64]) -> String {
    if versions.is_empty() {
        return "none".to_owned();
    }
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn told(outcome: &str, state: &MigrationState) -> serde_json::Value {
    json!({ "job": "migrate", "outcome": outcome, "applied_before": state.applied, "missing_before": state.missing })
}
