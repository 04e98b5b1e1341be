//! Peppers: server-side secrets that API key digests are made under, so that a stolen table alone lets nobody
//! guess. Versioned; the highest version makes new digests, the others still verify.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::digest::hmac_sha256;
use crate::kek::{KeyLoadError, parse_key_files};

/// The peppers at hand, at least one.
pub struct Peppers(BTreeMap<u16, Zeroizing<[u8; 32]>>);

impl Peppers {
    /// Peppers from the files of a directory: `(file name, content)`, each 32 bytes in base64, named by
    /// version (`1`, `v2`, `3.key`).
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, KeyLoadError> {
        let keys = parse_key_files(files)?.into_iter().map(|(version, bytes)| {
            let version = u16::try_from(version).map_err(|_| KeyLoadError::Name(version.to_string()))?;
            Ok((version, bytes))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// 32 bytes for `name` that nobody can foretell without the oldest pepper, and that stay the same as long as it is kept.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: there is at least one pepper by construction")]
    pub fn derive(&self, purpose: &str, name: &str) -> [u8; 32] {
        let (_, oldest) = self.0.first_key_value().expect("there is at least one by construction");
        hmac_sha256(&hmac_sha256(&**oldest, purpose.as_bytes()), name.as_bytes())
    }

    pub(crate) fn newest(&self) -> (u16, &[u8; 32]) {
        let (version, bytes) = self.0.last_key_value().expect("there is at least one by construction");
        (*version, bytes)
    }

    pub(crate) fn get(&self, version: u16) -> Option<&[u8; 32]> {
        self.0.get(&version).map(|bytes| &**bytes)
    }
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peppers").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}
