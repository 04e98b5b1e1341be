//! The store, under the role of a purpose.

use std::time::Duration;

use anyhow::Context;
use stagedoor_bootstrap::config::{Config, SecretUrl, StorageConfig};
use stagedoor_storage::{Purpose, Store, StoreOptions};

/// How long whoever serves nobody waits for a connection. A gateway refuses a call rather than letting it wait.
pub const ACQUIRE_PATIENCE: Duration = Duration::from_secs(5);

/// How long one transaction of whoever serves nobody may take.
pub const TRANSACTION_PATIENCE: Duration = Duration::from_mins(1);

/// The store that `config` names for `purpose`.
///
/// # Errors
/// Names the key of the configuration that is not set, or whose database refuses.
pub async fn open_store(config: &Config, purpose: Purpose) -> anyhow::Result<Store> {
    let (key, url) = database_url(&config.storage, purpose)?;
    let storage = &config.storage;
    let mut options = StoreOptions {
        purpose,
        max_connections: storage.max_connections,
        acquire_timeout: storage.acquire_timeout(),
        statement_cache: storage.statement_cache > 0,
        application_name: application(purpose).to_owned(),
        ..StoreOptions::new(url.expose())
    };
    if purpose != Purpose::Serve {
        options.acquire_timeout = options.acquire_timeout.max(ACQUIRE_PATIENCE);
        options.transaction_timeout = TRANSACTION_PATIENCE;
    }
    Store::connect(&options).await.context(key)
}

/// The key of the configuration that names the database for `purpose`, and what it names.
///
/// # Errors
/// Names the key if it is not set, with an example.
pub fn database_url(storage: &StorageConfig, purpose: Purpose) -> anyhow::Result<(&'static str, &SecretUrl)> {
    let (key, url) = match purpose {
        Purpose::Serve => ("storage.database_url", Some(&storage.database_url)),
        Purpose::Provision => ("storage.admin_database_url", storage.admin_database_url.as_ref()),
        Purpose::Keep => ("storage.keeper_database_url", storage.keeper_database_url.as_ref()),
        Purpose::Backup => ("storage.backup_database_url", storage.backup_database_url.as_ref()),
    };
    let role = purpose.role();
    let url =
        url.with_context(|| format!("{key} is not set; such as postgres://{role}:…@db:5432/stagedoor"))?;
    Ok((key, url))
}

/// Shown in `pg_stat_activity`.
const fn application(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Serve => "stagedoor-gateway",
        Purpose::Provision => "stagedoor-admin",
        Purpose::Keep => "stagedoor-keeper",
        Purpose::Backup => "stagedoor-backup",
    }
}
