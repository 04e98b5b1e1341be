//! Peppers: server-side secrets that API key digests are made under, so that a stolen table alone lets nobody
//! guess. Versioned; the highest version that is not pending makes new digests, the others still verify.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::digest::hmac_sha256;
use crate::kek::{KeyLoadError, parse_key_files};

/// The name of a version that verifies and makes no digests yet, because not every process has it.
const PENDING: &str = ".pending";

/// The peppers at hand, at least one.
pub struct Peppers {
    by_version: BTreeMap<u16, Zeroizing<[u8; 32]>>,
    newest: u16,
}

impl Peppers {
    /// Peppers from the files of a directory: `(file name, content)`, each 32 bytes in base64, named by
    /// version (`1`, `v2`, `3.key`). Those of `4.pending` verify and make no digests yet; one at least is not pending.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, KeyLoadError> {
        let (mut by_version, mut newest) = (BTreeMap::new(), None);
        for (name, content) in files {
            let (name, pending) = name.strip_suffix(PENDING).map_or((name, false), |name| (name, true));
            for (version, bytes) in parse_key_files([(name, content)])? {
                let short = u16::try_from(version).map_err(|_| KeyLoadError::Name(version.to_string()))?;
                if by_version.insert(short, bytes).is_some() {
                    return Err(KeyLoadError::Twice(version));
                }
                if !pending {
                    newest = newest.max(Some(short));
                }
            }
        }
        Ok(Self { by_version, newest: newest.ok_or(KeyLoadError::Empty)? })
    }

    /// The version that makes new digests.
    pub fn newest_version(&self) -> u16 {
        self.newest
    }

    /// 32 bytes for `name` that nobody can foretell without the oldest pepper, and that stay the same as long as it is kept.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: there is at least one pepper by construction")]
    pub fn derive(&self, purpose: &str, name: &str) -> [u8; 32] {
        let (_, oldest) = self.by_version.first_key_value().expect("there is at least one by construction");
        hmac_sha256(&hmac_sha256(&**oldest, purpose.as_bytes()), name.as_bytes())
    }

    /// The versions at hand, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = u16> {
        self.by_version.keys().copied()
    }

    pub(crate) fn newest(&self) -> (u16, &[u8; 32]) {
        (self.newest, &self.by_version[&self.newest])
    }

    pub(crate) fn get(&self, version: u16) -> Option<&[u8; 32]> {
        self.by_version.get(&version).map(|bytes| &**bytes)
    }
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peppers").field(&self.by_version.keys().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyMode, PlainApiKey, SystemEntropy};

    const ONE: (&str, &[u8]) = ("1", b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
    const TWO: &[u8] = b"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    #[test]
    fn a_pending_pepper_verifies_and_makes_no_digests() {
        let pending = Peppers::from_files([ONE, ("2.pending", TWO)]).unwrap();
        let active = Peppers::from_files([ONE, ("2", TWO)]).unwrap();
        assert_eq!((pending.newest_version(), active.newest_version()), (1, 2));
        let key = PlainApiKey::generate(&SystemEntropy, KeyMode::Test);
        assert_eq!(key.digest(&pending).pepper_version, 1);
        let ahead = key.digest(&active);
        assert_eq!(ahead.pepper_version, 2);
        assert!(key.verify(&ahead, &pending), "whoever is ahead is understood");
        assert!(!key.verify(&ahead, &Peppers::from_files([ONE]).unwrap()));
        assert_eq!(Peppers::from_files([("2.pending", TWO)]).unwrap_err(), KeyLoadError::Empty);
        let twice = Peppers::from_files([ONE, ("1.pending", TWO)]).unwrap_err();
        assert_eq!(twice, KeyLoadError::Twice(1));
    }
}
