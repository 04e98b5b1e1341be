//! What a playlist holds besides its entries, and the sealed document that it is stored in.

use secrecy::zeroize::Zeroizing;
use serde_json::{Value, json};

use crate::error::StoreError;

/// A playlist's name, description and visibility.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// Its description, if it has one.
    pub description: Option<String>,
    /// Whether anyone may find it, if the service tells.
    pub public: Option<bool>,
}

/// What is sealed for a version: its head, and what tells that the entries are the ones it was stored with.
pub(super) struct SealedHead {
    /// The account and the playlist.
    pub(super) of: String,
    pub(super) head: Head,
    /// Of all names, as `chunks::digest_of` makes it.
    pub(super) entries: [u8; 32],
}

impl SealedHead {
    /// A JSON object with its members in alphabetical order, so that equal heads are equal bytes; `entries` is
    /// lower-case hexadecimal.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Head { name, description, public } = &self.head;
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        let digits = self.entries.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        let entries: String = digits.collect();
        json!({
            "description": description, "entries": entries, "name": name, "of": self.of, "public": public
        })
        .to_string()
        .into_bytes()
    }

    pub(super) fn from_bytes(opened: &Zeroizing<Vec<u8>>) -> Result<Self, StoreError> {
        let unusable = || StoreError::not_understood("playlist_versions.head", "something else than a head");
        let document: Value = serde_json::from_slice(opened).map_err(|_| unusable())?;
        let text = |member: &str| document[member].as_str().map(str::to_owned);
        let digits = text("entries").filter(|digits| digits.len() == 64 && digits.is_ascii());
        let digits = digits.ok_or_else(unusable)?;
        let mut entries = [0; 32];
        for (at, byte) in entries.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| unusable())?;
        }
        let head = Head {
            name: text("name").ok_or_else(unusable)?,
            description: text("description"),
            public: document["public"].as_bool(),
        };
        Ok(Self { of: text("of").ok_or_else(unusable)?, head, entries })
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head").field("public", &self.public).finish_non_exhaustive()
    }
}
