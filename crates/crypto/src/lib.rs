//! Sealing, key hierarchy, tokens, digests, signatures; the only user of aws-lc-rs. Formats are final: bytes
//! written by one version are read by every later one. No storage and no clock here; both are handed in.
#![warn(missing_docs)]

pub mod api_key;
mod base62;
pub mod digest;
mod entropy;
pub mod envelope;
pub mod fernet;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod indexes;
pub mod kek;
pub mod keys;
#[cfg(any(test, feature = "proofs"))]
pub mod mutation;
pub mod passphrase;
mod pepper;
pub mod provider;
pub mod signed_lines;
pub mod signing;

pub use api_key::{ApiKeyDigest, ApiKeyParseError, KeyMode, PlainApiKey};
pub use entropy::SystemEntropy;
pub use envelope::{OpenError, SealContext};
pub use kek::{KeyEncryptionKey, KeyEncryptionKeys, KeyLoadError};
pub use keys::{DataKey, KeyOwner};
pub use passphrase::{PassphraseError, PassphraseSalt};
pub use pepper::Peppers;
pub use provider::{KekError, KekProvider, Wrap};
pub use signed_lines::{SignedLinesReader, SignedLinesWriter};
pub use signing::{SigningKey, VerifyingKey};

/// The outcome of a future that waits for nothing.
#[cfg(test)]
fn block_on_ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(outcome) => outcome,
        std::task::Poll::Pending => panic!("the future waits for something"),
    }
}
