//! Checkpoints outside of the database, in an object store: one JSON object each, at `TENANT/DAY/NUMBER.json`, written
//! once and never replaced. Whoever cuts the end off a chain in the database cannot cut it off here. A checkpoint whose
//! number is taken by another, because the database was rewound, is kept beside that as `NUMBER-DIGEST.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, parse_url_opts};
use stagedoor_domain::TenantId;
use url::Url;

use super::Checkpoint;
use crate::hex;

/// The longest that the object store may take for one object.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the archive did not do something.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The address is none of an object store.
    #[error("{0:?} is not the address of an object store: wanted file:///…, s3://…, gs://… or az://…")]
    InvalidUrl(String),
    /// The folder cannot be made.
    #[error("the archive's folder cannot be made")]
    Folder(#[source] std::io::Error),
    /// The object store did not do it.
    #[error("the object store did not answer as it should")]
    Store(#[source] Error),
    /// The object store did not answer.
    #[error("the object store did not answer in time")]
    TimedOut,
    /// An object is no checkpoint.
    #[error("the archived object {path} is no checkpoint")]
    Damaged {
        /// Where.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// What the archive has by a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived {
    /// The checkpoint.
    Same,
    /// Another one, beside which the checkpoint is now.
    Forked,
}

/// The archive. Clones share it.
#[derive(Clone)]
pub struct CheckpointArchive {
    store: Arc<dyn ObjectStore>,
}

impl CheckpointArchive {
    /// The archive below `url`, with what its kind of object store wants to know besides, such as
    /// `aws_access_key_id`. A folder is made if it is not there.
    pub fn open(
        url: &Url,
        options: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArchiveError> {
        if url.scheme() == "file" {
            let folder = url.to_file_path().map_err(|()| ArchiveError::InvalidUrl(url.to_string()))?;
            std::fs::create_dir_all(&folder).map_err(ArchiveError::Folder)?;
            let store = LocalFileSystem::new_with_prefix(folder).map_err(ArchiveError::Store)?;
            return Ok(Self::over(Arc::new(store.with_fsync(true))));
        }
        if !["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https"].contains(&url.scheme()) {
            return Err(ArchiveError::InvalidUrl(url.to_string()));
        }
        let (store, prefix) = parse_url_opts(url, options).map_err(ArchiveError::Store)?;
        Ok(Self::over(Arc::new(PrefixStore::new(store, prefix))))
    }

    /// The archive in `store`.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Writes a checkpoint, unless it is there already; beside another that has its number.
    pub async fn put(&self, checkpoint: &Checkpoint) -> Result<Archived, ArchiveError> {
        let Checkpoint { tenant, day, number, .. } = *checkpoint;
        if self.create(&path(tenant, day, number), checkpoint).await?
            || self.get(tenant, day, number).await?.as_ref() == Some(checkpoint)
        {
            return Ok(Archived::Same);
        }
        let digest = hex::encode(&checkpoint.digest()[..8]);
        let beside =
            Path::from_iter([tenant.to_string(), day.to_string(), format!("{number:012}-{digest}.json")]);
        self.create(&beside, checkpoint).await.map(|_| Archived::Forked)
    }

    /// Whether it was not there.
    async fn create(&self, path: &Path, checkpoint: &Checkpoint) -> Result<bool, ArchiveError> {
        let text = serde_json::to_vec(checkpoint).map_err(|source| damaged(path, source))?;
        match bounded(self.store.put_opts(path, text.into(), PutMode::Create.into())).await {
            Ok(_) => Ok(true),
            Err(ArchiveError::Store(Error::AlreadyExists { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The tenant's checkpoint of that day and number.
    pub async fn get(
        &self,
        tenant: TenantId,
        day: NaiveDate,
        number: i64,
    ) -> Result<Option<Checkpoint>, ArchiveError> {
        let path = path(tenant, day, number);
        let read = async { self.store.get(&path).await?.bytes().await };
        match bounded(read).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|source| damaged(&path, source)),
            Err(ArchiveError::Store(Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The numbers of the tenant's checkpoints of that day, and whether there is more than one of that number.
    pub async fn numbers(
        &self,
        tenant: TenantId,
        day: NaiveDate,
    ) -> Result<BTreeMap<i64, bool>, ArchiveError> {
        let folder = folder(tenant, day);
        let mut numbers = BTreeMap::new();
        let mut objects = self.store.list(Some(&folder));
        while let Some(object) = bounded(objects.try_next()).await? {
            let name = object.location.filename().and_then(|name| name.strip_suffix(".json"));
            let Some(name) = name else { continue };
            let (number, beside) = name.split_once('-').map_or((name, false), |(number, _)| (number, true));
            if let Ok(number) = number.parse::<i64>() {
                *numbers.entry(number).or_default() |= beside;
            }
        }
        Ok(numbers)
    }
}

impl fmt::Debug for CheckpointArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointArchive").finish_non_exhaustive()
    }
}

fn folder(tenant: TenantId, day: NaiveDate) -> Path {
    Path::from_iter([tenant.to_string(), day.to_string()])
}

fn path(tenant: TenantId, day: NaiveDate, number: i64) -> Path {
    Path::from_iter([tenant.to_string(), day.to_string(), format!("{number:012}.json")])
}

fn damaged(path: &Path, source: serde_json::Error) -> ArchiveError {
    ArchiveError::Damaged { path: path.to_string(), source }
}

async fn bounded<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, ArchiveError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(ArchiveError::Store),
        Err(_) => Err(ArchiveError::TimedOut),
    }
}
