//! The bytes of one entry in Redis. Anything that is not exactly what was written is refused.
//!
//! `version 1 | protection 1 | stored at, ms since 1970, 8 | protected`, where protected is the sealed inner part, or
//! the inner part and a 32-byte SHA-256 over key text and inner part (against accidents; sealing is against intent).
//! The inner part is `flags 1 | stored at 8 | life, ms, 8 | fetch time, ms, 4 | fingerprint 32 | note's length 4 | note
//! | body`, big-endian. The first ten bytes tell two entries of one key apart without opening them.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use chrono::{DateTime, Utc};
use stagedoor_crypto::digest::{constant_time_eq, sha256};
use stagedoor_domain::TenantContext;

use crate::key::Reader;
use crate::seal::{SealError, Sealer};

/// The largest body that is kept, and the most that an entry may decompress to.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// The bytes that tell two entries of one key apart.
pub(crate) const HEAD: usize = 10;

const VERSION: u8 = 2;
const DIGESTED: u8 = 0;
const SEALED: u8 = 1;
const FLAG_ZSTD: u8 = 1;
const FLAG_ABSENT: u8 = 2;
const FLAG_BRIEF: u8 = 4;
const FLAGS: u8 = FLAG_ZSTD | FLAG_ABSENT | FLAG_BRIEF;
const HEADER: usize = 57;
const DIGEST: usize = 32;
const COMPRESS_ABOVE: usize = 1024;
/// The fastest of zstd's ordinary levels: the answers are short and read more often than written.
const COMPRESSION_LEVEL: i32 = 1;

/// A value, when it was stored and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) body: Bytes,
    pub(crate) stored_at: DateTime<Utc>,
    pub(crate) life: Duration,
    /// How long the fetch took.
    pub(crate) took: Duration,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) next: Option<Arc<str>>,
    pub(crate) absent: bool,
    /// Its life was cut short, because it may be another one soon.
    pub(crate) brief: bool,
}

impl Entry {
    /// Whether it is good for anything beyond its life.
    pub(crate) fn outlives(&self) -> bool {
        !self.absent && !self.brief
    }
}

/// Why bytes are not an entry of this key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Written by a release before this one; nothing is wrong with it.
    #[error("an entry of an earlier version")]
    Earlier,
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
    let protected = match sealer {
        Some(sealer) => sealer.seal(ctx, reader, key_text, &inner).await?,
        None => with_digest(key_text, inner),
    };
    let mut bytes = Vec::with_capacity(HEAD + protected.len());
    bytes.extend(head(sealer.is_some(), stored.stored_at));
    bytes.extend(protected);
    Ok(bytes)
}

/// The first bytes of an entry that was stored at this time.
pub(crate) fn head(sealed: bool, stored_at: DateTime<Utc>) -> [u8; HEAD] {
    let mut head = [VERSION, if sealed { SEALED } else { DIGESTED }, 0, 0, 0, 0, 0, 0, 0, 0];
    head[2..].copy_from_slice(&stored_at.timestamp_millis().to_be_bytes());
    head
}

/// What `encode` was given with the same sealer, reader and key text.
pub(crate) async fn decode(
    ctx: &TenantContext,
    sealer: Option<&dyn Sealer>,
    reader: Reader,
    key_text: &str,
    bytes: &[u8],
) -> Result<Entry, DecodeError> {
    if bytes.first().is_some_and(|version| (1..VERSION).contains(version)) {
        return Err(DecodeError::Earlier);
    }
    let Some((outer, protected)) = bytes.split_first_chunk::<HEAD>() else {
        return Err(DecodeError::Format);
    };
    // An unsealed entry where entries are sealed is a forgery, however well its digest fits.
    let inner = match (outer[0], outer[1], sealer) {
        (VERSION, SEALED, Some(sealer)) => {
            sealer.open(ctx, reader, key_text, protected).await.map_err(DecodeError::Seal)?
        }
        (VERSION, DIGESTED, None) => without_digest(key_text, protected)?.to_vec(),
        _ => return Err(DecodeError::Format),
    };
    let entry = parse_inner(Bytes::from(inner))?;
    // The outer time is not protected itself.
    if *outer == head(sealer.is_some(), entry.stored_at) { Ok(entry) } else { Err(DecodeError::Format) }
}

fn inner_part(stored: &Entry) -> Vec<u8> {
    let compressed = (stored.body.len() > COMPRESS_ABOVE)
        .then(|| zstd::bulk::compress(&stored.body, COMPRESSION_LEVEL).ok())
        .flatten()
        .filter(|compressed| compressed.len() < stored.body.len());
    let body = compressed.as_deref().unwrap_or(&stored.body);
    let note = stored.next.as_deref().unwrap_or_default();
    let mut inner = Vec::with_capacity(HEADER + note.len() + body.len() + DIGEST);
    let zstd = if compressed.is_some() { FLAG_ZSTD } else { 0 };
    let absent = if stored.absent { FLAG_ABSENT } else { 0 };
    let brief = if stored.brief { FLAG_BRIEF } else { 0 };
    inner.push(zstd | absent | brief);
    inner.extend(stored.stored_at.timestamp_millis().to_be_bytes());
    inner.extend(u64::try_from(stored.life.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
    inner.extend(u32::try_from(stored.took.as_millis()).unwrap_or(u32::MAX).to_be_bytes());
    inner.extend(stored.fingerprint);
    inner.extend(u32::try_from(note.len()).unwrap_or(u32::MAX).to_be_bytes());
    inner.extend(note.as_bytes());
    inner.extend(body);
    inner
}

fn parse_inner(mut inner: Bytes) -> Result<Entry, DecodeError> {
    if inner.len() < HEADER {
        return Err(DecodeError::Format);
    }
    let flags = inner.get_u8();
    let stored_at = DateTime::from_timestamp_millis(inner.get_i64()).ok_or(DecodeError::Format)?;
    let life = Duration::from_millis(inner.get_u64());
    let took = Duration::from_millis(inner.get_u32().into());
    let mut fingerprint = [0; 32];
    inner.copy_to_slice(&mut fingerprint);
    let note = usize::try_from(inner.get_u32()).ok().filter(|length| *length <= inner.len());
    let note = inner.split_to(note.ok_or(DecodeError::Format)?);
    let note = std::str::from_utf8(&note).map_err(|_| DecodeError::Format)?;
    let body = match (flags & FLAG_ZSTD, flags & !FLAGS) {
        (0, 0) if inner.len() <= MAX_BODY => inner,
        (FLAG_ZSTD, 0) => zstd::bulk::decompress(&inner, MAX_BODY).map_err(DecodeError::Compression)?.into(),
        _ => return Err(DecodeError::Format),
    };
    let next = (!note.is_empty()).then(|| note.into());
    let (absent, brief) = (flags & FLAG_ABSENT != 0, flags & FLAG_BRIEF != 0);
    Ok(Entry { body, stored_at, life, took, fingerprint, next, absent, brief })
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
