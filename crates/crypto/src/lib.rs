//! Sealing, key hierarchy, tokens, digests, signatures; the only user of aws-lc-rs. Formats are final: bytes
//! written by one version are read by every later one. No storage and no clock here; both are handed in.
#![warn(missing_docs)]

pub mod api_key;
mod base62;
pub mod digest;
mod entropy;
pub mod envelope;
pub mod keys;
mod pepper;

pub use api_key::{ApiKeyDigest, ApiKeyParseError, KeyMode, PlainApiKey};
pub use entropy::SystemEntropy;
pub use envelope::{OpenError, SealContext};
pub use keys::{DataKey, KeyEncryptionKeys, KeyLoadError, KeyOwner};
pub use pepper::Peppers;
