//! The rotation of the key-encryption key's own versions: a new one is pending until every replica has it, then it wraps;
//! an old one is retired once nothing refers to it, and goes in a later run. Rewrapping between the two is not done here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::KekProvider;
use stagedoor_key_encryption::{KeyPlace, KeyState, KeyVersion};
use stagedoor_storage::StoreError;
use stagedoor_storage::replicas::{LIVE_WITHIN, Replica};
use uuid::Uuid;

use super::key_files::{KeyFileChange, KeyFileSet, KeyFiles, KeyPlaceError};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

/// Between two questions whether the replicas are ready.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Times that a change is thought over anew because someone else was faster.
const ATTEMPTS: usize = 5;

/// Why the versions of the key-encryption key were not rotated to the end. Whatever was done holds: the next run goes on
/// from there.
#[derive(Debug, thiserror::Error)]
pub enum KeyEncryptionError {
    /// The place of the keys.
    #[error(transparent)]
    Place(#[from] KeyPlaceError),
    /// Replicas that do not come along.
    #[error("version {version} does not {step}: {}", .waiting.join(", "))]
    Waiting {
        /// The version.
        version: u32,
        /// What is waited for.
        step: &'static str,
        /// Who does not have it, by host and id.
        waiting: Vec<String>,
    },
    /// It was told to stop while it waited.
    #[error("it was told to stop")]
    Interrupted,
    /// The database.
    #[error("the database did not do its part")]
    Store(#[from] StoreError),
}

impl From<KeyEncryptionError> for JobError {
    fn from(error: KeyEncryptionError) -> Self {
        match error {
            KeyEncryptionError::Interrupted => Self::Interrupted,
            KeyEncryptionError::Store(error) => Self::Store(error),
            KeyEncryptionError::Place(KeyPlaceError::Unusable(_)) => Self::Refused(error.to_string()),
            error => Self::Other(error.into()),
        }
    }
}

/// What `introduce` may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// A new version, unless one is on its way.
    NewVersion,
    /// Nothing: only what is on its way is brought to its end.
    Nothing,
}

/// The rotation of the versions in one place.
#[derive(Debug, Clone, Copy)]
pub struct KeyVersions<'a, F: ?Sized> {
    /// Where the versions are.
    pub files: &'a F,
    /// How long replicas may take to see a change; the kubelet brings one within two minutes.
    pub patience: Duration,
}

impl<F: KeyFiles> KeyVersions<'_, F> {
    /// Makes a new version, or goes on with one that is pending: waits until every live replica and this process unwrap
    /// with it, makes it the one that wraps, and waits until it wraps everywhere. Answers its id; `None` if there was
    /// nothing to do, in a dry run, or where another place than files wraps new keys.
    pub async fn introduce(
        &self,
        keeper: &Keeper,
        run: &Run,
        begin: Begin,
    ) -> Result<Option<Uuid>, KeyEncryptionError> {
        let wraps = keeper.keys.wraps();
        if wraps != KeyPlace::Directory {
            run.remark(format!(
                "new keys are wrapped by {wraps}, where versions are made: none is made here"
            ));
            return Ok(None);
        }
        let versions = self.tidied(run).await?;
        let pending = versions.iter().rfind(|(_, key)| key.state == KeyState::Pending);
        let (version, id) = match (pending, begin) {
            (Some((version, key)), _) => {
                run.remark(format!(
                    "version {version} of the key-encryption key was pending: going on with it"
                ));
                (*version, key.key.id())
            }
            (None, Begin::NewVersion) if run.dry_run() => {
                run.count("key_versions_made", 1);
                return Ok(None);
            }
            (None, Begin::NewVersion) => self.make(keeper, run).await?,
            (None, Begin::Nothing) => return Ok(None),
        };
        if run.dry_run() {
            return Ok(None);
        }
        let holds = |replica: &Replica| replica.report.key_encryption_keys.contains(&id);
        self.wait(keeper, run, (version, "open everywhere"), holds, |keys| keys.ids().contains(&id)).await?;
        self.rename(version, KeyState::Active).await?;
        let wraps = |replica: &Replica| replica.report.wraps_with == Some(id);
        self.wait(keeper, run, (version, "wrap everywhere"), wraps, |keys| keys.active_id() == Some(id))
            .await?;
        run.remark(format!("version {version} of the key-encryption key ({id}) wraps on every replica"));
        run.count("key_versions_activated", 1);
        Ok(Some(id))
    }

    /// Retires the versions that nothing refers to any more, `used` (such as backups) included, and removes those that an
    /// earlier run retired, once no replica counts on them. The version that wraps, and all after it, stay.
    pub async fn retire(
        &self,
        keeper: &Keeper,
        run: &Run,
        used: &BTreeSet<Uuid>,
    ) -> Result<(), KeyEncryptionError> {
        let versions = self.tidied(run).await?;
        let Some((wrapping, _)) = stagedoor_key_encryption::wrapping(&versions) else { return Ok(()) };
        for (version, key) in versions.range(..wrapping) {
            let id = key.key.id();
            let tenants = tenants_under(keeper, id).await?;
            if tenants > 0 || used.contains(&id) {
                let kept = if used.contains(&id) { " and backups that are kept" } else { "" };
                run.remark(format!(
                    "version {version} ({id}) stays: under it are {tenants} tenants' keys{kept}"
                ));
                run.count("key_versions_in_use", 1);
                continue;
            }
            match key.state {
                // It was never used, and a newer one wraps.
                KeyState::Pending | KeyState::Active => {
                    run.count("key_versions_retired", 1);
                    if !run.dry_run() {
                        self.rename(*version, KeyState::Retired).await?;
                        run.remark(format!("version {version} ({id}) is retired; a later run removes it"));
                    }
                }
                KeyState::Retired => self.remove(keeper, run, (*version, id)).await?,
            }
        }
        Ok(())
    }

    async fn remove(
        &self,
        keeper: &Keeper,
        run: &Run,
        (version, id): (u32, Uuid),
    ) -> Result<(), KeyEncryptionError> {
        run.count("key_versions_removed", 1);
        if run.dry_run() {
            return Ok(());
        }
        let done = |replica: &Replica| !replica.report.key_encryption_keys.contains(&id);
        self.wait(keeper, run, (version, "retire everywhere"), done, |keys| !keys.ids().contains(&id))
            .await?;
        // Whatever was wrapped before the last replica let go of it is in the database by now.
        if tenants_under(keeper, id).await? > 0 {
            self.rename(version, KeyState::Active).await?;
            run.remark(format!(
                "version {version} ({id}) is back: a key was wrapped under it while it was retired"
            ));
            return Ok(());
        }
        self.change(|set| set.files_of(version).0.map(|name| KeyFileChange::Remove(name.to_owned()))).await?;
        run.remark(format!("version {version} ({id}) is removed"));
        Ok(())
    }

    /// The versions, after what a killed run left over is gone.
    async fn tidied(&self, run: &Run) -> Result<BTreeMap<u32, KeyVersion>, KeyEncryptionError> {
        let set = self.files.read().await?;
        let versions = set.versions(self.files)?;
        let left: Vec<_> = versions.keys().flat_map(|version| set.files_of(*version).1).collect();
        if !left.is_empty() && !run.dry_run() {
            let changes = left.into_iter().map(|name| KeyFileChange::Remove(name.to_owned())).collect();
            self.files.change(&set, changes).await?;
        }
        Ok(versions)
    }

    async fn make(&self, keeper: &Keeper, run: &Run) -> Result<(u32, Uuid), KeyEncryptionError> {
        let mut bytes = Zeroizing::new([0; 32]);
        keeper.entropy.fill(&mut *bytes);
        let text = Zeroizing::new(STANDARD.encode(*bytes).into_bytes());
        for attempt in 1.. {
            let set = self.files.read().await?;
            let versions = set.versions(self.files)?;
            let version = versions.last_key_value().map_or(1, |(last, _)| last + 1);
            let name = KeyState::Pending.file_name(version);
            let made = self.files.change(&set, vec![KeyFileChange::Add(name, text.clone())]).await;
            match made {
                Err(KeyPlaceError::Conflict(_)) if attempt < ATTEMPTS => continue,
                outcome => outcome?,
            }
            let set = self.files.read().await?;
            let versions = set.versions(self.files)?;
            let Some(key) = versions.get(&version) else {
                return Err(KeyPlaceError::Conflict(self.files.to_string()).into());
            };
            run.count("key_versions_made", 1);
            run.remark(format!("version {version} of the key-encryption key is in {}, pending", self.files));
            return Ok((version, key.key.id()));
        }
        unreachable!("the last attempt returns")
    }

    async fn rename(&self, version: u32, state: KeyState) -> Result<(), KeyEncryptionError> {
        self.change(|set| {
            let from = set.files_of(version).0.filter(|from| *from != state.file_name(version))?;
            Some(KeyFileChange::Rename { from: from.to_owned(), to: state.file_name(version) })
        })
        .await
    }

    /// Makes the change that `plan` makes of what is there, and plans again if someone else was faster.
    async fn change(
        &self,
        plan: impl Fn(&KeyFileSet) -> Option<KeyFileChange>,
    ) -> Result<(), KeyEncryptionError> {
        let mut attempt = 1;
        loop {
            let set = self.files.read().await?;
            let Some(change) = plan(&set) else { return Ok(()) };
            match self.files.change(&set, vec![change]).await {
                Err(KeyPlaceError::Conflict(_)) if attempt < ATTEMPTS => attempt += 1,
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Waits until `ready` holds for every live replica and `own` for the keys of this process.
    async fn wait(
        &self,
        keeper: &Keeper,
        run: &Run,
        (version, step): (u32, &'static str),
        ready: impl Fn(&Replica) -> bool,
        own: impl Fn(&stagedoor_key_encryption::KeyRing) -> bool,
    ) -> Result<(), KeyEncryptionError> {
        let begun = keeper.clock.elapsed();
        loop {
            keeper.keys.reload().await;
            let live = keeper.store.live_replicas(LIVE_WITHIN).await?;
            let behind = live.iter().filter(|replica| !ready(replica));
            let mut waiting: Vec<_> =
                behind.map(|replica| format!("{} ({})", replica.report.host, replica.report.id)).collect();
            if !own(&keeper.keys) {
                waiting.push("this keeper".to_owned());
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let all = live.len() as u64 + 1;
            run.progress(all - waiting.len() as u64, Some(all), "replicas");
            if run.must_stop() {
                run.remark(format!("version {version} does not {step} yet: {}", waiting.join(", ")));
                return Err(KeyEncryptionError::Interrupted);
            }
            if keeper.clock.elapsed().saturating_sub(begun) >= self.patience {
                return Err(KeyEncryptionError::Waiting { version, step, waiting });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// Whether the version that wraps has been wrapping since before that time, and is one that can be followed by another
/// here.
pub(super) async fn is_due(keeper: &Keeper, before: Option<DateTime<Utc>>) -> Result<bool, StoreError> {
    let (Some(before), Some(id)) = (before, keeper.keys.active_id()) else { return Ok(false) };
    if keeper.keys.wraps() != KeyPlace::Directory {
        return Ok(false);
    }
    Ok(keeper.store.wraps_since(id).await?.is_some_and(|since| since < before))
}

async fn tenants_under(keeper: &Keeper, id: Uuid) -> Result<u64, StoreError> {
    let in_use = keeper.store.key_encryption_keys_in_use().await?;
    Ok(in_use.into_iter().find(|(key, _)| *key == id).map_or(0, |(_, keys)| keys))
}
