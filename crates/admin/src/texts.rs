//! Texts that admins choose.

use std::fmt::Write as _;

use stagedoor_crypto::PlainApiKey;
use stagedoor_domain::text::clean;
use stagedoor_storage::api_keys::LONGEST_NAME;

use crate::error::AdminError;

/// A name or label of whatever there is: 1 to 100 characters that show, on one line, without blanks around.
pub(crate) fn name<'t>(field: &str, given: &'t str) -> Result<&'t str, AdminError> {
    if !given.is_empty() && clean(given, LONGEST_NAME) == given {
        return Ok(given);
    }
    Err(AdminError::field(
        field,
        format!("It must be 1 to {LONGEST_NAME} characters that show, on one line, without blanks around."),
    ))
}

/// A UUID.
pub(crate) fn id<T: From<uuid::Uuid>>(field: &str, given: &str) -> Result<T, AdminError> {
    uuid::Uuid::try_parse(given).map(T::from).map_err(|_| AdminError::field(field, "It is no UUID."))
}

/// A text with the id alone of each key that stands in it whole: what is recorded is read by many.
pub(crate) fn without_secrets(text: &str) -> String {
    if !text.contains("sd_") {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
        let word = piece.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        match PlainApiKey::parse(word) {
            Ok(key) => {
                shown.push_str(key.id().as_str());
                shown.push_str(&piece[word.len()..]);
            }
            Err(_) => shown.push_str(piece),
        }
    }
    shown
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::{KeyMode, SystemEntropy};

    use super::*;

    #[test]
    fn of_a_whole_key_only_the_id_is_shown() {
        let key = PlainApiKey::generate(&SystemEntropy, KeyMode::Live);
        let (secret, id) = (key.expose_secret(), key.id());
        assert_eq!(without_secrets(secret), id.as_str());
        let reason = format!("found ({secret}), twice: {secret}");
        assert_eq!(without_secrets(&reason), format!("found ({id}), twice: {id}"));
        for harmless in ["", "left the company", "sd_live_", "acme/sd_test_x"] {
            assert_eq!(without_secrets(harmless), harmless);
        }
    }
}
