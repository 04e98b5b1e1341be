//! Where versions of the key-encryption key are kept, as whoever rotates them sees it: read as a whole, changed only if it
//! still is as it was read. A folder here; a Kubernetes Secret in `kubernetes`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::KeyLoadError;
use stagedoor_key_encryption::{KeyVersion, key_versions};

/// Longer than any key file is.
const LONGEST: u64 = 4096;

/// The files of a place by name, and what tells a later state of it.
#[derive(Debug, Default)]
pub struct KeyFileSet {
    /// What each file holds.
    pub files: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// The place's own name for this state, where it has one.
    pub revision: Option<String>,
}

/// One change of a place.
#[derive(Debug)]
pub enum KeyFileChange {
    /// A file that was not there.
    Add(String, Zeroizing<Vec<u8>>),
    /// A file that gets another name; never is there a moment without it.
    Rename {
        /// The name that it has.
        from: String,
        /// The name that it gets.
        to: String,
    },
    /// A file that goes.
    Remove(String),
}

/// Why a place of keys was not read or changed. Shows no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyPlaceError {
    /// Someone else changed it since it was read; what was meant is to be thought over.
    #[error("{0} was changed by someone else in the meantime")]
    Conflict(String),
    /// A file in it is no key.
    #[error("{0} does not hold keys only")]
    Damaged(String, #[source] KeyLoadError),
    /// It cannot be used for this, and what can.
    #[error("{0}")]
    Unusable(String),
    /// A folder or file that cannot be read or written.
    #[error("{0} cannot be read or written")]
    File(PathBuf, #[source] io::Error),
    /// The API server of Kubernetes.
    #[error("the Secret {0} cannot be read or written")]
    Secret(String, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A place of keys that can be changed. Its `Display` names it.
#[async_trait]
pub trait KeyFiles: Display + Sync {
    /// Everything that is there.
    async fn read(&self) -> Result<KeyFileSet, KeyPlaceError>;

    /// Makes all of these changes, if the place is as `seen`.
    async fn change(&self, seen: &KeyFileSet, changes: Vec<KeyFileChange>) -> Result<(), KeyPlaceError>;
}

impl KeyFileSet {
    /// The keys in it by version.
    pub fn versions(&self, place: &dyn KeyFiles) -> Result<BTreeMap<u32, KeyVersion>, KeyPlaceError> {
        let files = self.files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
        key_versions(files).map_err(|error| KeyPlaceError::Damaged(place.to_string(), error))
    }

    /// The file of this version, that of its latest state where a change of its name was cut off; and those of earlier
    /// states, which are left over.
    pub fn files_of(&self, version: u32) -> (Option<&str>, Vec<&str>) {
        let state = |name: &str, content: &[u8]| {
            let mut keys = key_versions([(name, content)]).ok()?;
            keys.remove(&version).map(|key| key.state)
        };
        let files = self.files.iter().filter_map(|(name, file)| Some((state(name, file)?, name.as_str())));
        let mut files: Vec<_> = files.collect();
        files.sort_unstable();
        let latest = files.pop().map(|(_, name)| name);
        (latest, files.into_iter().map(|(_, name)| name).collect())
    }
}

/// A folder on this machine that all gateways here read; not one that the kubelet mounts.
#[derive(Debug, Clone)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// The folder, if it can be written to in earnest.
    ///
    /// # Errors
    /// A mounted Secret: what is written there is lost, if it can be written at all.
    pub fn open(folder: PathBuf) -> Result<Self, KeyPlaceError> {
        if folder.join("..data").is_symlink() {
            let text = format!(
                "{} is a Secret that Kubernetes mounts: give --kubernetes-secret NAMESPACE/NAME",
                folder.display()
            );
            return Err(KeyPlaceError::Unusable(text));
        }
        Ok(Self(folder))
    }

    fn load(&self) -> Result<KeyFileSet, KeyPlaceError> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.0).map_err(at(&self.0))? {
            let path = entry.map_err(at(&self.0))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') || path.is_dir() {
                continue;
            }
            if fs::metadata(&path).map_err(at(&path))?.len() > LONGEST {
                return Err(KeyPlaceError::Unusable(format!("{} is longer than any key", path.display())));
            }
            files.insert(name, Zeroizing::new(fs::read(&path).map_err(at(&path))?));
        }
        Ok(KeyFileSet { files, revision: None })
    }

    fn apply(&self, change: &KeyFileChange) -> Result<(), KeyPlaceError> {
        match change {
            KeyFileChange::Add(name, content) => self.add(name, content),
            KeyFileChange::Rename { from, to } => {
                let (from, to) = (self.0.join(from), self.0.join(to));
                // Under both names for a moment: whoever lists the folder just now finds one of them at least.
                match fs::hard_link(&from, &to) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at(&to)(error)),
                    _ => fs::remove_file(&from).map_err(at(&from)),
                }
            }
            KeyFileChange::Remove(name) => {
                let path = self.0.join(name);
                fs::remove_file(&path).map_err(at(&path))
            }
        }
    }

    /// Written under a name that nobody reads, and then named: no gateway sees half a key. For whoever may read the other
    /// keys.
    fn add(&self, name: &str, content: &[u8]) -> Result<(), KeyPlaceError> {
        let (path, unnamed) = (self.0.join(name), self.0.join(format!(".{name}")));
        // Left by whoever was killed here.
        match fs::remove_file(&unnamed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&unnamed)(error)),
            _ => {}
        }
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&unnamed)?;
            file.write_all(content)?;
            if let Some(other) = self.any_key()? {
                let (own, other) = (file.metadata()?, fs::metadata(other)?);
                if (own.uid(), own.gid()) != (other.uid(), other.gid()) {
                    chown(&unnamed, Some(other.uid()), Some(other.gid()))?;
                }
                file.set_permissions(Permissions::from_mode(other.mode() & 0o777))?;
            }
            file.sync_all()?;
            fs::rename(&unnamed, &path)
        };
        write().map_err(at(&path))
    }

    fn any_key(&self) -> io::Result<Option<PathBuf>> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with('.') && entry.path().is_file() {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl KeyFiles for KeyFolder {
    async fn read(&self) -> Result<KeyFileSet, KeyPlaceError> {
        self.load()
    }

    async fn change(&self, seen: &KeyFileSet, changes: Vec<KeyFileChange>) -> Result<(), KeyPlaceError> {
        if self.load()?.files != seen.files {
            return Err(KeyPlaceError::Conflict(self.to_string()));
        }
        for change in &changes {
            self.apply(change)?;
        }
        File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(at(&self.0))
    }
}

impl Display for KeyFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyPlaceError {
    let path = path.to_owned();
    move |error| KeyPlaceError::File(path, error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use stagedoor_key_encryption::KeyState;
    use tempfile::TempDir;

    use super::*;

    fn content(fill: u8) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(STANDARD.encode([fill; 32]).into_bytes())
    }

    fn folder(keys: &[(&str, u8)]) -> (TempDir, KeyFolder) {
        let folder = tempfile::tempdir().unwrap();
        for (name, fill) in keys {
            fs::write(folder.path().join(name), content(*fill)).unwrap();
        }
        let keys = KeyFolder::open(folder.path().to_owned()).unwrap();
        (folder, keys)
    }

    fn add(name: &str, fill: u8) -> KeyFileChange {
        KeyFileChange::Add(name.to_owned(), content(fill))
    }

    fn rename(from: &str, to: &str) -> KeyFileChange {
        KeyFileChange::Rename { from: from.to_owned(), to: to.to_owned() }
    }

    #[tokio::test]
    async fn a_new_key_is_for_whoever_may_read_the_others() {
        let (folder, keys) = folder(&[("1", 1)]);
        let mode = |name| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777;
        for wanted in [0o400, 0o640] {
            fs::set_permissions(folder.path().join("1"), Permissions::from_mode(wanted)).unwrap();
            let set = keys.read().await.unwrap();
            keys.change(&set, vec![add("2.pending", 2)]).await.unwrap();
            assert_eq!(mode("2.pending"), wanted);
            let set = keys.read().await.unwrap();
            keys.change(&set, vec![KeyFileChange::Remove("2.pending".to_owned())]).await.unwrap();
        }
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[tokio::test]
    async fn a_folder_that_someone_else_changed_is_left_alone() {
        let (folder, keys) = folder(&[("1", 1)]);
        let seen = keys.read().await.unwrap();
        fs::write(folder.path().join("2"), content(2)).unwrap();
        let refused = keys.change(&seen, vec![rename("1", "1.retired")]).await;
        assert!(matches!(refused, Err(KeyPlaceError::Conflict(_))), "{refused:?}");
        assert!(folder.path().join("1").exists());
    }

    #[tokio::test]
    async fn what_a_killed_run_left_is_no_key_and_no_obstacle() {
        let (folder, keys) = folder(&[("1", 1), ("2.pending", 2), ("2", 2)]);
        fs::write(folder.path().join(".3.pending"), "half a").unwrap();
        let set = keys.read().await.unwrap();
        assert_eq!(set.versions(&keys).unwrap()[&2].state, KeyState::Active);
        assert_eq!(set.files_of(2), (Some("2"), vec!["2.pending"]));
        assert_eq!(set.files_of(3), (None, vec![]));
        keys.change(&set, vec![add("3.pending", 3), rename("2.pending", "2")]).await.unwrap();
        let names: Vec<_> = keys.read().await.unwrap().files.into_keys().collect();
        assert_eq!(names, ["1", "2", "3.pending"]);
    }

    #[test]
    fn a_mounted_secret_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        symlink("..2026", folder.path().join("..data")).unwrap();
        let refused = KeyFolder::open(folder.path().to_owned()).unwrap_err().to_string();
        assert!(refused.contains("--kubernetes-secret NAMESPACE/NAME"), "{refused}");
    }
}
