//! What a key file's name says of its key: the version, and whether the key wraps. Pure; reading files is in `files`.

use std::collections::BTreeMap;

use stagedoor_crypto::{KeyEncryptionKey, KeyLoadError};
use uuid::Uuid;

/// Whether a key may wrap, which the end of its file's name says. A key goes through these from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// `7.pending`: opens, and wraps nothing, because some replica may not have it yet.
    Pending,
    /// `7`, `v7`, `7.key`: opens; the highest of these wraps.
    Active,
    /// `7.retired`: opens, and wraps nothing; its file may go without being missed.
    Retired,
}

/// One version of the key-encryption key.
#[derive(Debug)]
pub struct KeyVersion {
    /// The key.
    pub key: KeyEncryptionKey,
    /// Whether it may wrap.
    pub state: KeyState,
}

impl KeyState {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Pending => ".pending",
            Self::Active => "",
            Self::Retired => ".retired",
        }
    }

    /// The name of the file of a key in this state.
    pub fn file_name(self, version: u32) -> String {
        format!("{version}{}", self.suffix())
    }

    /// The state that a file's name tells, and the name of the same key's file when it is active.
    fn of(name: &str) -> (Self, &str) {
        for state in [Self::Pending, Self::Retired] {
            if let Some(plain) = name.strip_suffix(state.suffix()) {
                return (state, plain);
            }
        }
        (Self::Active, name)
    }
}

/// The keys in the files of a folder or Secret by version: `(file name, content)`. Two files may hold the same key while
/// one is put in the other's place; the later state counts.
///
/// # Errors
/// A file that is no key, or two different keys of one version.
pub fn key_versions<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<BTreeMap<u32, KeyVersion>, KeyLoadError> {
    let mut versions = BTreeMap::new();
    for (name, content) in files {
        add(&mut versions, name, content)?;
    }
    Ok(versions)
}

pub(super) fn add(
    versions: &mut BTreeMap<u32, KeyVersion>,
    name: &str,
    content: &[u8],
) -> Result<(), KeyLoadError> {
    let (state, plain) = KeyState::of(name);
    // The plain name is what tells the version; the whole one is what an operator looks for.
    let named = |error| match error {
        KeyLoadError::Name(_) => KeyLoadError::Name(name.to_owned()),
        other => other,
    };
    for (version, key) in KeyEncryptionKey::from_files([(plain, content)]).map_err(named)? {
        match versions.get_mut(&version) {
            Some(there) if there.key.id() == key.id() && there.state != state => {
                there.state = there.state.max(state);
            }
            Some(_) => return Err(KeyLoadError::Twice(version)),
            None => {
                versions.insert(version, KeyVersion { key, state });
            }
        }
    }
    Ok(())
}

/// The version that wraps, and its key's id.
pub fn wrapping(versions: &BTreeMap<u32, KeyVersion>) -> Option<(u32, Uuid)> {
    let newest = versions.iter().rfind(|(_, version)| version.state == KeyState::Active);
    newest.map(|(number, version)| (*number, version.key.id()))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn read(files: &[(&str, u8)]) -> Result<Vec<(u32, KeyState)>, KeyLoadError> {
        let encoded: Vec<_> =
            files.iter().map(|(name, fill)| (*name, STANDARD.encode([*fill; 32]))).collect();
        let versions = key_versions(encoded.iter().map(|(name, content)| (*name, content.as_bytes())))?;
        Ok(versions.into_iter().map(|(number, version)| (number, version.state)).collect())
    }

    #[test]
    fn a_name_tells_version_and_state() {
        use KeyState::{Active, Pending, Retired};
        let states = read(&[("1.retired", 1), ("v2", 2), ("3.key", 3), ("4.pending", 4)]).unwrap();
        assert_eq!(states, [(1, Retired), (2, Active), (3, Active), (4, Pending)]);
        for (number, state) in states {
            assert_eq!(read(&[(&state.file_name(number), 9)]).unwrap(), [(number, state)]);
        }
    }

    #[test]
    fn a_key_may_be_there_twice_while_it_changes_its_name_and_no_other_may() {
        assert_eq!(read(&[("2", 1), ("2.pending", 1)]).unwrap(), [(2, KeyState::Active)]);
        assert_eq!(read(&[("2.retired", 1), ("2", 1)]).unwrap(), [(2, KeyState::Retired)]);
        for files in [[("2", 1), ("2.pending", 9)], [("2", 1), ("v2", 1)]] {
            assert_eq!(read(&files), Err(KeyLoadError::Twice(2)), "{files:?}");
        }
        let refused = read(&[("new.pending", 1)]);
        assert_eq!(refused, Err(KeyLoadError::Name("new.pending".to_owned())));
    }
}
