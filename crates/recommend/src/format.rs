//! The bytes of a model: four letters, the version, a CRC-32 of what follows, and the model as postcard has it.

use crate::ModelError;
use crate::model::Content;

/// The version of the bytes that are written; others are not read.
pub const VERSION: u8 = 1;

const LETTERS: &[u8; 4] = b"SDRM";
const HEAD: usize = 9;

pub(crate) fn write(content: &Content) -> Result<Vec<u8>, ModelError> {
    let body = postcard::to_allocvec(content).map_err(|_| ModelError::Damaged("content"))?;
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(LETTERS);
    bytes.push(VERSION);
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

pub(crate) fn read(bytes: &[u8]) -> Result<Content, ModelError> {
    let (head, body) = bytes.split_at_checked(HEAD).ok_or(ModelError::Version)?;
    if &head[..4] != LETTERS || head[4] != VERSION {
        return Err(ModelError::Version);
    }
    if head[5..] != crc32fast::hash(body).to_le_bytes() {
        return Err(ModelError::Checksum);
    }
    let (content, rest) =
        postcard::take_from_bytes::<Content>(body).map_err(|_| ModelError::Damaged("content"))?;
    if !rest.is_empty() {
        return Err(ModelError::Damaged("end"));
    }
    Ok(content)
}
