//! A migrated PostgreSQL cluster made once for each version of the migrations and kept in the machine's temporary
//! folder. Every test starts a server over its own copy of it, which takes a fraction of `initdb` and migrating, shares
//! nothing with any other test, and needs nobody to clean up servers after a run.

use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use secrecy::SecretString;
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivatePostgresOptions};
use stagedoor_storage::RolePasswords;

use crate::stage::DATABASE;

const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");

/// Puts a copy of the template into `target`, making the template first where it is missing.
pub(crate) async fn copy_to(target: &Path) -> anyhow::Result<()> {
    let home = home()?;
    let template = home.join(format!("cluster-{:016x}", digest_of_migrations()?));
    let lock = File::create(home.join("lock")).context("the lock of the template cluster")?;
    // Waiting for a lock blocks; the runtime has other threads, and a test has nothing else to do yet.
    lock.lock()?;
    if !template.exists() {
        make(&template).await.context("the template cluster could not be made")?;
    }
    lock.unlock()?;
    let copied = Command::new("cp").arg("-a").arg(&template).arg(target).status().context("cp")?;
    anyhow::ensure!(copied.success(), "the template cluster could not be copied to {}", target.display());
    Ok(())
}

/// A folder that the account of the servers can pass through.
fn home() -> anyhow::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let home = std::env::temp_dir().join(format!("stagedoor-testkit-{user}"));
    fs::create_dir_all(&home)?;
    fs::set_permissions(&home, Permissions::from_mode(0o711))?;
    Ok(home)
}

async fn make(template: &Path) -> anyhow::Result<()> {
    let unfinished = template.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    // Durable means here that it is stopped cleanly, so that copies need no recovery.
    let postgres = PrivatePostgres::start(PrivatePostgresOptions::durable(&unfinished)).await?;
    let migrated = migrate(&postgres).await;
    postgres.stop().await;
    drop(postgres);
    migrated?;
    Ok(fs::rename(&unfinished, template)?)
}

async fn migrate(postgres: &PrivatePostgres) -> anyhow::Result<()> {
    postgres.create_database(DATABASE).await?;
    let superuser = SecretString::from(postgres.url_for(DATABASE, "postgres"));
    stagedoor_storage::migrate(&superuser).await?;
    let password = || Some(postgres.role_password().clone());
    let passwords =
        RolePasswords { app: password(), admin: password(), keeper: password(), backup: password() };
    Ok(stagedoor_storage::provision_roles(&superuser, &passwords).await?)
}

fn digest_of_migrations() -> anyhow::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for folder in [PathBuf::from(MIGRATIONS), Path::new(MIGRATIONS).join("roles")] {
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .with_context(|| folder.display().to_string())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
        files.sort_unstable();
        for file in files {
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}
