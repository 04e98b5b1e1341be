//! The bytes of one entry in Redis. Anything that is not exactly what was written is refused.
//!
//! `version 1 | protection 1 | protected`, where protected is the sealed inner part, or the inner part and a
//! 32-byte SHA-256 over key text and inner part (against accidents; sealing is against intent). The inner part
//! is `flags 1 | stored at, ms since 1970, 8 | life, ms, 8 | body`, big-endian.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use stagedoor_crypto::digest::{constant_time_eq, sha256};
use stagedoor_domain::TenantContext;

use crate::key::Reader;
use crate::seal::{SealError, Sealer};

/// The largest body that is kept, and the most that an entry may decompress to.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

const VERSION: u8 = 1;
const DIGESTED: u8 = 0;
const SEALED: u8 = 1;
const FLAG_ZSTD: u8 = 1;
const HEADER: usize = 17;
const DIGEST: usize = 32;
const COMPRESS_ABOVE: usize = 1024;
/// The fastest of zstd's ordinary levels: the answers are short and read more often than written.
const COMPRESSION_LEVEL: i32 = 1;

/// A value and when it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) body: Bytes,
    pub(crate) stored_at: DateTime<Utc>,
    pub(crate) life: Duration,
}

/// Why bytes are not an entry of this key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("not an entry of this version, or not protected as this installation protects its entries")]
    Format,
    #[error("the digest does not match")]
    Digest,
    #[error("the entry does not open")]
    Seal(#[source] SealError),
    #[error("the body does not decompress to at most 4 MiB")]
    Compression(#[source] std::io::Error),
}

/// The entry's bytes, sealed if there is a sealer.
pub(crate) async fn encode(
    ctx: &TenantContext,
    sealer: Option<&dyn Sealer>,
    reader: Reader,
    key_text: &str,
    stored: &Entry,
) -> Result<Vec<u8>, SealError> {
    let inner = inner_part(stored);
    let (protection, protected) = match sealer {
        Some(sealer) => (SEALED, sealer.seal(ctx, reader, key_text, &inner).await?),
        None => (DIGESTED, with_digest(key_text, inner)),
    };
    let mut bytes = Vec::with_capacity(protected.len() + 2);
    bytes.extend([VERSION, protection]);
    bytes.extend(protected);
    Ok(bytes)
}

/// What `encode` was given with the same sealer, reader and key text.
pub(crate) async fn decode(
    ctx: &TenantContext,
    sealer: Option<&dyn Sealer>,
    reader: Reader,
    key_text: &str,
    bytes: &[u8],
) -> Result<Entry, DecodeError> {
    let Some(([version, protection], protected)) = bytes.split_first_chunk::<2>() else {
        return Err(DecodeError::Format);
    };
    // An unsealed entry where entries are sealed is a forgery, however well its digest fits.
    let inner = match (*version, *protection, sealer) {
        (VERSION, SEALED, Some(sealer)) => {
            sealer.open(ctx, reader, key_text, protected).await.map_err(DecodeError::Seal)?
        }
        (VERSION, DIGESTED, None) => without_digest(key_text, protected)?.to_vec(),
        _ => return Err(DecodeError::Format),
    };
    parse_inner(inner)
}

fn inner_part(stored: &Entry) -> Vec<u8> {
    let compressed = (stored.body.len() > COMPRESS_ABOVE)
        .then(|| zstd::bulk::compress(&stored.body, COMPRESSION_LEVEL).ok())
        .flatten()
        .filter(|compressed| compressed.len() < stored.body.len());
    let body = compressed.as_deref().unwrap_or(&stored.body);
    let mut inner = Vec::with_capacity(HEADER + body.len() + DIGEST);
    inner.push(if compressed.is_some() { FLAG_ZSTD } else { 0 });
    inner.extend(stored.stored_at.timestamp_millis().to_be_bytes());
    inner.extend(u64::try_from(stored.life.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
    inner.extend(body);
    inner
}

fn parse_inner(inner: Vec<u8>) -> Result<Entry, DecodeError> {
    let inner = Bytes::from(inner);
    let (Some((flags, rest)), true) = (inner.split_first(), inner.len() >= HEADER) else {
        return Err(DecodeError::Format);
    };
    let (Some((stored_at, rest)), flags) = (rest.split_first_chunk::<8>(), *flags) else {
        return Err(DecodeError::Format);
    };
    let Some((life, _)) = rest.split_first_chunk::<8>() else { return Err(DecodeError::Format) };
    let body = inner.slice(HEADER..);
    let body = match flags {
        0 if body.len() <= MAX_BODY => body,
        FLAG_ZSTD => zstd::bulk::decompress(&body, MAX_BODY).map_err(DecodeError::Compression)?.into(),
        _ => return Err(DecodeError::Format),
    };
    let stored_at =
        DateTime::from_timestamp_millis(i64::from_be_bytes(*stored_at)).ok_or(DecodeError::Format)?;
    Ok(Entry { body, stored_at, life: Duration::from_millis(u64::from_be_bytes(*life)) })
}

fn with_digest(key_text: &str, mut inner: Vec<u8>) -> Vec<u8> {
    let digest = digest(key_text, &inner);
    inner.extend(digest);
    inner
}

fn without_digest<'a>(key_text: &str, protected: &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let (inner, stored) = protected.split_last_chunk::<DIGEST>().ok_or(DecodeError::Format)?;
    if constant_time_eq(&digest(key_text, inner), stored) { Ok(inner) } else { Err(DecodeError::Digest) }
}

fn digest(key_text: &str, inner: &[u8]) -> [u8; DIGEST] {
    let length = u64::try_from(key_text.len()).unwrap_or(u64::MAX).to_be_bytes();
    sha256(&[&length, key_text.as_bytes(), inner])
}
