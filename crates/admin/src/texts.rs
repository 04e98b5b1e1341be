//! Texts that admins choose.

use std::fmt::Write as _;

use crate::error::AdminError;

/// The longest name, in characters.
const LONGEST_NAME: usize = 64;

/// A name: 1 to 64 characters on one line, without blanks around.
pub(crate) fn name<'t>(field: &str, given: &'t str) -> Result<&'t str, AdminError> {
    let fits = !given.is_empty() && given.chars().count() <= LONGEST_NAME;
    if fits && given.trim() == given && !given.chars().any(char::is_control) {
        return Ok(given);
    }
    Err(AdminError::field(
        field,
        format!("It must be 1 to {LONGEST_NAME} characters on one line, without blanks around."),
    ))
}

/// A UUID.
pub(crate) fn id<T: From<uuid::Uuid>>(field: &str, given: &str) -> Result<T, AdminError> {
    uuid::Uuid::try_parse(given).map(T::from).map_err(|_| AdminError::field(field, "It is no UUID."))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
