//! What `stagedoor-keeper` needs to work on the demo's data while it runs: a configuration file, written at each start
//! because the database's port is another one each time.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_bootstrap::private_servers::PrivatePostgres;
use url::Url;

use super::{DATABASE, secrets};

const FILE: &str = "keeper.yaml";
const BACKUPS: &str = "backups";

/// Writes the file and says where it is. Only its owner can read it: it names passwords.
pub(super) fn write(data_dir: &Path, config: &Config, postgres: &PrivatePostgres) -> anyhow::Result<PathBuf> {
    let backups = std::path::absolute(data_dir.join(BACKUPS))?;
    fs::create_dir_all(&backups).with_context(|| format!("{} cannot be made", backups.display()))?;
    let role = |name: &str| postgres.url_for(DATABASE, name);
    let redis = |url: &Option<SecretUrl>| url.as_ref().map(|url| url.expose().to_owned());
    let encryption = &config.encryption;
    let settings = json!({
        "storage": {
            "database_url": role("stagedoor_app"),
            "keeper_database_url": role("stagedoor_keeper"),
            "backup_database_url": role("stagedoor_backup"),
            "owner_database_url": role("postgres"),
        },
        "encryption": {
            "key_file": encryption.key_file.as_deref().map(std::path::absolute).transpose()?,
            "api_key_pepper_file": encryption.api_key_pepper_file.as_deref().map(std::path::absolute).transpose()?,
        },
        "audit": { "checkpoint_url": config.audit.checkpoint_url },
        "backup": { "url": Url::from_directory_path(&backups).ok() },
        "cache": { "redis_url": redis(&config.cache.redis_url) },
        "rate_limiting": { "redis_url": redis(&config.rate_limiting.redis_url) },
    });
    let file = std::path::absolute(data_dir.join(FILE))?;
    secrets::write(&file, &text(settings))?;
    Ok(file)
}

/// JSON is YAML; what is not set is left out.
fn text(mut settings: Value) -> String {
    let mut text = "# Written by `stagedoor demo` at each start.\n".to_owned();
    for (section, keys) in settings.as_object_mut().into_iter().flatten() {
        if let Some(keys) = keys.as_object_mut() {
            keys.retain(|_, value| !value.is_null());
        }
        text += &[section, ": ", &keys.to_string(), "\n"].concat();
    }
    text
}

/// Erases the file and the backups.
pub(super) fn erase(data_dir: &Path) -> anyhow::Result<()> {
    for erased in [fs::remove_file(data_dir.join(FILE)), fs::remove_dir_all(data_dir.join(BACKUPS))] {
        match erased {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
