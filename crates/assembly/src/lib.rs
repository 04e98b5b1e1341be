//! Opens, from a configuration, what every service needs: the store under a role, the keys, the archive of checkpoints,
//! and what calls of music services go through.
//! What only one service needs is opened there.

pub mod keys;
pub mod music;
mod pauses;
mod sealer;
mod store;

use anyhow::Context;
use stagedoor_archive::BackupStore;
use stagedoor_audit::CheckpointArchive;
use stagedoor_bootstrap::config::{Config, environment};

pub use store::{ACQUIRE_PATIENCE, TRANSACTION_PATIENCE, database_url, open_store};

/// Where checkpoints are kept besides the database, if anywhere. Credentials are those that the environment gives.
pub fn checkpoint_archive(config: &Config) -> anyhow::Result<Option<CheckpointArchive>> {
    let Some(url) = &config.audit.checkpoint_url else { return Ok(None) };
    CheckpointArchive::open(url, environment()).map(Some).context("audit.checkpoint_url")
}

/// Where backups are kept. Credentials are those that the environment gives.
///
/// # Errors
/// Names the key of the configuration, with an example if it is not set.
pub fn backup_store(config: &Config) -> anyhow::Result<BackupStore> {
    let url = config.backup.url.as_ref();
    let url = url
        .context("backup.url is not set; such as s3://bucket/backups or file:///var/lib/stagedoor/backups")?;
    BackupStore::open(url, environment()).context("backup.url")
}
