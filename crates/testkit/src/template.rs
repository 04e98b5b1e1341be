//! Migrated PostgreSQL clusters that outlive the tests: kept in the machine's temporary folder, one for each test that
//! runs at the same time. A test holds one as long as it lives, starts its own server over it and has a new database in
//! it. Making a cluster takes seconds, this a fraction of one; and no server has to outlive the test that started it.

use std::fs::{self, File, Permissions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use secrecy::SecretString;
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivatePostgresOptions};
use stagedoor_storage::RolePasswords;

use crate::stage::DATABASE;

/// The migrated database in a cluster that each test's own is copied from, so that nothing of another test is found.
const TEMPLATE: &str = "stagedoor_template";

/// A cluster that nobody else uses until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    folder: PathBuf,
    _lock: File,
}

impl Claim {
    /// The first cluster that is free; a new one where none is.
    pub(crate) async fn any() -> anyhow::Result<Self> {
        let home = home()?;
        let version = version();
        for number in 0..1_000 {
            let lock = File::create(home.join(format!("cluster-{version}-{number}.lock")))?;
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Ok(()) => {}
            }
            let folder = home.join(format!("cluster-{version}-{number}"));
            if !folder.exists() {
                let (template, _template_lock) = template(&home, &version).await?;
                copy(&template, &folder)?;
            }
            return Ok(Self { folder, _lock: lock });
        }
        anyhow::bail!("a thousand tests at the same time")
    }

    /// Starts the server and makes the database anew. What else earlier tests made goes.
    pub(crate) async fn start(&self) -> anyhow::Result<PrivatePostgres> {
        let postgres = PrivatePostgres::start(PrivatePostgresOptions::for_tests(&self.folder)).await?;
        let left = format!(
            "SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database \
             WHERE datname NOT IN ('postgres', 'template0', 'template1', '{TEMPLATE}')"
        );
        let left = postgres.sql("postgres", &left).await?;
        let anew = format!("CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE} STRATEGY file_copy");
        for sql in left.lines().chain([anew.as_str()]) {
            postgres.sql("postgres", sql).await.context("the database could not be made anew")?;
        }
        Ok(postgres)
    }
}

/// The cluster that others are copied from, made where it is missing, and the lock under which it stays there: nobody
/// makes or removes a template without.
async fn template(home: &Path, version: &str) -> anyhow::Result<(PathBuf, File)> {
    let template = home.join(format!("template-{version}"));
    let lock = File::create(home.join("template.lock"))?;
    // Waiting for a lock blocks; the runtime has nothing else to do before the test begins.
    lock.lock()?;
    if !template.exists() {
        forget_others(home, version)?;
        make(&template).await.context("the template cluster could not be made")?;
    }
    Ok((template, lock))
}

/// Removes what was made for another schema or before the last boot, unless a test still holds it. Whoever calls this holds
/// the templates' lock. Files of locks stay: another test may be about to lock one, and would hold another file then.
fn forget_others(home: &Path, version: &str) -> anyhow::Result<()> {
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = ["cluster-", "template-"].into_iter().any(|prefix| name.starts_with(prefix));
        if !path.is_dir() || !kind || name.contains(version) {
            continue;
        }
        let lock = File::create(path.with_extension("lock"))?;
        match lock.try_lock() {
            // Locked until it is removed.
            Ok(()) => remove(&path)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The copy appears under its name only when it is whole.
fn copy(template: &Path, target: &Path) -> anyhow::Result<()> {
    let unfinished = target.with_extension("unfinished");
    remove(&unfinished)?;
    let copied = Command::new("cp").arg("-a").arg(template).arg(&unfinished).status().context("cp")?;
    anyhow::ensure!(copied.success(), "{} could not be copied", template.display());
    Ok(fs::rename(&unfinished, target)?)
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
    remove(&unfinished)?;
    // Durable means here that it is stopped cleanly, so that copies need no recovery.
    let postgres = PrivatePostgres::start(PrivatePostgresOptions::durable(&unfinished)).await?;
    let migrated = migrate(&postgres).await;
    postgres.stop().await;
    drop(postgres);
    migrated?;
    Ok(fs::rename(&unfinished, template)?)
}

async fn migrate(postgres: &PrivatePostgres) -> anyhow::Result<()> {
    postgres.create_database(TEMPLATE).await?;
    let superuser = SecretString::from(postgres.url_for(TEMPLATE, "postgres"));
    stagedoor_storage::migrate(&superuser).await?;
    let password = || Some(postgres.role_password().clone());
    let passwords =
        RolePasswords { app: password(), admin: password(), keeper: password(), backup: password() };
    Ok(stagedoor_storage::provision_roles(&superuser, &passwords).await?)
}

/// Names the schema that is built into this test, and the boot: without fsync, what a power cut left behind is not worth
/// starting on.
fn version() -> String {
    let mut hasher = DefaultHasher::new();
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().hash(&mut hasher);
    stagedoor_storage::schema_digest().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_other_schemas_go_unless_they_are_held_and_files_of_locks_stay() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        for name in ["cluster-mine-0", "cluster-other-0", "cluster-other-1", "template-other", "something"] {
            fs::create_dir(path(name)).unwrap();
        }
        let held = File::create(path("cluster-other-0.lock")).unwrap();
        held.try_lock().unwrap();
        let free = File::create(path("cluster-other-1.lock")).unwrap();
        forget_others(home.path(), "mine").unwrap();
        let there = |name: &str| path(name).exists();
        assert!(there("cluster-mine-0") && there("cluster-other-0") && there("something"));
        assert!(!there("cluster-other-1") && !there("template-other"));
        // Whoever had opened it holds the same lock as whoever opens it now.
        free.try_lock().unwrap();
        let again = File::create(path("cluster-other-1.lock")).unwrap();
        assert!(matches!(again.try_lock(), Err(TryLockError::WouldBlock)));
    }
}
