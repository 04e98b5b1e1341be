//! Where backups are kept: an object store, reached by its address. What the objects mean is for the other modules.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt, parse_url_opts};
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::TenantId;
use url::Url;

use crate::damage::{Damage, DamageKind};
use crate::error::{ArchiveError, ReadError};
use crate::manifest::{Manifest, Signed, Trust};
use crate::place::{self, Found, MANIFEST, Unfinished};

/// The longest that the object store may take for one object.
const PATIENCE: Duration = Duration::from_mins(2);
/// The longest manifest that is read, in bytes.
const LONGEST_MANIFEST: u64 = 64 * 1024 * 1024;

/// The store of backups. Clones share it.
#[derive(Clone)]
pub struct BackupStore {
    store: Arc<dyn ObjectStore>,
    /// Of a store that is a folder.
    folder: Option<PathBuf>,
}

/// What is in the store, oldest first for each tenant and class.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Folders with a manifest.
    pub found: Vec<Found>,
    /// Folders without one.
    pub unfinished: Vec<Unfinished>,
}

impl BackupStore {
    /// The store below `url`, with what its kind of object store wants to know besides, such as `aws_access_key_id`. A
    /// folder is made if it is not there.
    pub fn open(
        url: &Url,
        options: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArchiveError> {
        if url.scheme() == "file" {
            let folder = url.to_file_path().map_err(|()| ArchiveError::InvalidUrl(url.to_string()))?;
            std::fs::create_dir_all(&folder).map_err(ArchiveError::Folder)?;
            let store = LocalFileSystem::new_with_prefix(&folder).map_err(ArchiveError::Store)?;
            let store = Arc::new(store.with_fsync(true).with_automatic_cleanup(true));
            return Ok(Self { store, folder: Some(folder) });
        }
        if !["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https"].contains(&url.scheme()) {
            return Err(ArchiveError::InvalidUrl(url.to_string()));
        }
        let (store, prefix) = parse_url_opts(url, options).map_err(ArchiveError::Store)?;
        Ok(Self::over(Arc::new(PrefixStore::new(store, prefix))))
    }

    /// The store in `store`.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, folder: None }
    }

    /// The tenants of which there is anything.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, ArchiveError> {
        let folder = Path::from_iter(place::BACKUPS);
        let listed = bounded(self.store.list_with_delimiter(Some(&folder))).await?;
        let named = listed.common_prefixes.iter().filter_map(|prefix| prefix.filename()?.parse().ok());
        Ok(named.map(TenantId).collect())
    }

    /// What there is of a tenant, or of all of them. Names only: nothing is opened.
    pub async fn list(&self, tenant: Option<TenantId>) -> Result<Listing, ArchiveError> {
        let folder = tenant.map_or_else(|| Path::from_iter(place::BACKUPS), place::tenant_folder);
        let mut folders = BTreeMap::<Found, bool>::new();
        let mut objects = self.store.list(Some(&folder));
        while let Some(object) = bounded(objects.try_next()).await? {
            if let Some((found, name)) = Found::of_object(&object.location) {
                *folders.entry(found).or_default() |= name == MANIFEST;
            }
        }
        let mut listing = Listing::default();
        for (found, finished) in folders {
            if finished {
                listing.found.push(found);
            } else {
                listing.unfinished.push(Unfinished(found));
            }
        }
        Ok(listing)
    }

    /// A backup's manifest, in form only: what it says is known to be true once the reader opened the backup.
    pub async fn manifest(&self, found: &Found) -> Result<Manifest, ReadError> {
        Ok(self.signed(found, &[]).await?.0.manifest)
    }

    /// Removes a backup: the manifest first, so that what is left after an interruption is no backup.
    pub async fn remove(&self, found: &Found) -> Result<(), ArchiveError> {
        self.delete(&found.manifest()).await?;
        for (path, _) in self.objects(found).await? {
            self.delete(&path).await?;
        }
        // A killed process may have left a file half written, which has no name that a listing shows.
        if let Some(folder) = &self.folder {
            match tokio::fs::remove_dir_all(folder.join(found.path().as_ref())).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ArchiveError::Folder(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) async fn signed(
        &self,
        found: &Found,
        keys: &[VerifyingKey],
    ) -> Result<(Signed, Trust), ReadError> {
        let path = found.manifest();
        let file = self.get(&path, LONGEST_MANIFEST).await?;
        let damage = |kind| Damage::of(&path, kind);
        let file = match file {
            Object::Bytes(bytes) => bytes,
            Object::Absent => return Err(damage(DamageKind::NoManifest).into()),
            Object::OtherLength(_) => {
                return Err(damage(DamageKind::Unreadable("it is too long".to_owned())).into());
            }
        };
        let signed = Signed::read(&file).map_err(damage)?;
        let trust = signed.check(found, keys).map_err(damage)?;
        Ok((signed, trust))
    }

    /// The objects in a backup's folder, with their lengths in bytes.
    pub(crate) async fn objects(&self, found: &Found) -> Result<Vec<(Path, u64)>, ArchiveError> {
        self.list_folder(&found.path()).await
    }

    pub(crate) async fn list_folder(&self, folder: &Path) -> Result<Vec<(Path, u64)>, ArchiveError> {
        let mut objects = self.store.list(Some(folder));
        let mut listed = Vec::new();
        while let Some(object) = bounded(objects.try_next()).await? {
            listed.push((object.location, object.size));
        }
        listed.sort();
        Ok(listed)
    }

    pub(crate) async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        bounded(self.store.put(path, bytes.into())).await.map(|_| ())
    }

    /// An object of up to `longest` bytes.
    pub(crate) async fn get(&self, path: &Path, longest: u64) -> Result<Object, ArchiveError> {
        let read = async {
            let object = self.store.get(path).await?;
            let size = object.meta.size;
            if size > longest {
                return Ok(Object::OtherLength(size));
            }
            object.bytes().await.map(Object::Bytes)
        };
        match bounded(read).await {
            Err(ArchiveError::Store(Error::NotFound { .. })) => Ok(Object::Absent),
            answer => answer,
        }
    }

    pub(crate) async fn delete(&self, path: &Path) -> Result<(), ArchiveError> {
        match bounded(self.store.delete(path)).await {
            Ok(()) | Err(ArchiveError::Store(Error::NotFound { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What is at a path.
pub(crate) enum Object {
    /// These bytes.
    Bytes(Bytes),
    /// Nothing.
    Absent,
    /// More bytes than there should be.
    OtherLength(u64),
}

impl fmt::Debug for BackupStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupStore").finish_non_exhaustive()
    }
}

async fn bounded<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, ArchiveError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(ArchiveError::Store),
        Err(_) => Err(ArchiveError::TimedOut),
    }
}
