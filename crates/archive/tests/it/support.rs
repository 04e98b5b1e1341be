//! A tenant's keys, a backup of made-up rows, and a store that runs out of room.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use stagedoor_archive::{
    ArchiveError, ArchiveWriter, BackupId, BackupStore, Class, Closing, Manifest, Opening,
};
use stagedoor_crypto::{KeyEncryptionKeys, SigningKey, SystemEntropy};
use stagedoor_domain::TenantId;
use uuid::Uuid;

pub(crate) const CHUNK: usize = 4096;

/// What a tenant has to do with backups.
pub(crate) struct Scene {
    pub(crate) objects: Arc<InMemory>,
    pub(crate) store: BackupStore,
    pub(crate) keys: KeyEncryptionKeys,
    pub(crate) signing: SigningKey,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let objects = Arc::new(InMemory::new());
        Self {
            store: BackupStore::over(objects.clone()),
            objects,
            keys: KeyEncryptionKeys::from_files([("1", &KEY[..])]).unwrap(),
            signing: SigningKey::generate(Uuid::from_u128(77), &SystemEntropy),
        }
    }

    /// A backup of `rows` rows in two tables, in several chunks.
    pub(crate) async fn backup(&self, tenant: u128, class: Class, number: u128, rows: usize) -> Manifest {
        self.write(&self.store, opening(tenant, class, number), rows).await.unwrap()
    }

    pub(crate) async fn write(
        &self,
        store: &BackupStore,
        opening: Opening,
        rows: usize,
    ) -> Result<Manifest, ArchiveError> {
        let tables = opening.class.tables();
        let entropy = Arc::new(SystemEntropy);
        let mut writer = ArchiveWriter::begin(store.clone(), opening, &self.keys, entropy).await?;
        for table in [tables[0], tables[1]] {
            writer.table(table, vec!["tenant_id".to_owned(), "value".to_owned()]);
            for number in 0..rows {
                writer.push(row(table, number)).await?;
            }
        }
        let closing = Closing { tombstones: 3, ..Closing::default() };
        writer.finish(closing, &self.signing).await
    }

    pub(crate) async fn read(&self, path: &Path) -> Vec<u8> {
        self.objects.get(path).await.unwrap().bytes().await.unwrap().to_vec()
    }

    pub(crate) async fn put(&self, path: &Path, bytes: Vec<u8>) {
        self.objects.put(path, bytes.into()).await.unwrap();
    }
}

pub(crate) const KEY: [u8; 44] = *b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-22T10:00:00.5Z").unwrap().to_utc()
}

pub(crate) fn opening(tenant: u128, class: Class, number: u128) -> Opening {
    Opening {
        tenant: TenantId(Uuid::from_u128(tenant)),
        slug: "acme".parse().unwrap(),
        class,
        id: BackupId(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + number * 0x0101_0101_0101)),
        taken_at: start() + TimeDelta::hours(i64::try_from(number).unwrap()),
        schema_version: 20_261_122_000_000,
        days: None,
        chunk_bytes: CHUNK,
    }
}

/// A row that does not compress to nothing.
pub(crate) fn row(table: &str, number: usize) -> String {
    let noise = stagedoor_crypto::digest::sha256(&[table.as_bytes(), &number.to_be_bytes()]);
    format!("{{\"value\": \"{noise:?}\", \"tenant_id\": {number}}}")
}

/// A store in which only so many bytes fit.
#[derive(Debug)]
pub(crate) struct Full {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) left: AtomicU64,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that is full soon")
    }
}

#[async_trait]
impl ObjectStore for Full {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let length = payload.content_length() as u64;
        let taken =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(length));
        if taken.is_err() {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull).into();
            return Err(Error::Generic { store: "full", source });
        }
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("chunks are put in one piece")
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
