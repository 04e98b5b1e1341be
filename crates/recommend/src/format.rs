//! The bytes of models and of people's tastes: four letters that say which it is, the version, a CRC-32 of what follows,
//! and the content as postcard has it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ModelError;

/// The version of the bytes that are written; others are not read.
pub const VERSION: u8 = 1;

pub(crate) const MODEL: [u8; 4] = *b"SDRM";
pub(crate) const PERSON: [u8; 4] = *b"SDRP";
const HEAD: usize = 9;

/// The bytes of a content, and their checksum.
pub(crate) fn write(letters: [u8; 4], content: &impl Serialize) -> Result<(Vec<u8>, u32), ModelError> {
    let body = postcard::to_allocvec(content).map_err(|_| ModelError::Damaged("content"))?;
    let checksum = crc32fast::hash(&body);
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(&letters);
    bytes.push(VERSION);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok((bytes, checksum))
}

pub(crate) fn read<T: DeserializeOwned>(letters: [u8; 4], bytes: &[u8]) -> Result<T, ModelError> {
    let (head, body) = bytes.split_at_checked(HEAD).ok_or(ModelError::Version)?;
    if head[..4] != letters || head[4] != VERSION {
        return Err(ModelError::Version);
    }
    if head[5..] != crc32fast::hash(body).to_le_bytes() {
        return Err(ModelError::Checksum);
    }
    let (content, rest) = postcard::take_from_bytes::<T>(body).map_err(|_| ModelError::Damaged("content"))?;
    if !rest.is_empty() {
        return Err(ModelError::Damaged("end"));
    }
    Ok(content)
}
