//! Which version of an object a caller has seen: a digest of what it is shown, so that whatever is shown differs in it
//! (RFC 9110 §8.8.1, strong).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use stagedoor_crypto::digest::sha256;
use stagedoor_domain::ErrorCode;

use crate::error::AdminError;

/// The etag of `message`, whose own field for it is empty, and which holds nothing that changes by itself, such as the time
/// of its last use.
pub(crate) fn of(message: &impl Message) -> String {
    let digest = sha256(&[b"stagedoor/etag/1".as_slice(), &message.encode_to_vec()]);
    URL_SAFE_NO_PAD.encode(&digest[..12])
}

/// Fails if the caller has seen another version than `present`; who names none has no objection.
pub(crate) fn check(seen: &str, present: &str) -> Result<(), AdminError> {
    if seen.is_empty() || seen == present {
        return Ok(());
    }
    Err(changed())
}

/// The caller has seen another version.
pub(crate) fn changed() -> AdminError {
    AdminError::new(
        ErrorCode::EtagMismatch,
        "etag: The object was changed since you saw it; nothing was done.",
        "Read it again, then repeat the change with the etag that it has now.",
    )
}
