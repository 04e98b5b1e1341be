//! The key-encryption keys that are held: which of them wraps, and what became of their files. Pure; who reads the files
//! is `directory`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_crypto::KeyEncryptionKey;
use uuid::Uuid;

/// Keys that were seen since the start. None is ever dropped: what it has sealed must open.
#[derive(Debug, Default)]
pub(super) struct HeldKeys(Vec<Held>);

#[derive(Debug)]
struct Held {
    version: u32,
    key: Arc<KeyEncryptionKey>,
    /// Before this it only unwraps.
    wraps_from: Duration,
    /// Whether its file is there.
    present: bool,
}

/// What a look at the files has changed, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Appeared { version: u32, id: Uuid },
    Returned { version: u32, id: Uuid },
    Vanished { version: u32, id: Uuid },
}

impl HeldKeys {
    /// Takes over what the files hold now. Keys not seen before wrap from `wraps_from` on.
    pub(super) fn update(
        &mut self,
        found: BTreeMap<u32, KeyEncryptionKey>,
        wraps_from: Duration,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for held in &mut self.0 {
            let present = found.get(&held.version).is_some_and(|key| key.id() == held.key.id());
            let (version, id) = (held.version, held.key.id());
            match (held.present, present) {
                (true, false) => changes.push(Change::Vanished { version, id }),
                (false, true) => changes.push(Change::Returned { version, id }),
                _ => {}
            }
            held.present = present;
        }
        for (version, key) in found {
            let id = key.id();
            if !self.0.iter().any(|held| held.version == version && held.key.id() == id) {
                changes.push(Change::Appeared { version, id });
                self.0.push(Held { version, key: Arc::new(key), wraps_from, present: true });
            }
        }
        changes
    }

    /// The newest key whose file is there and which every replica has had time to see.
    pub(super) fn active(&self, now: Duration) -> Option<&Arc<KeyEncryptionKey>> {
        let ready = self.0.iter().filter(|held| held.present && held.wraps_from <= now);
        ready.max_by_key(|held| held.version).map(|held| &held.key)
    }

    pub(super) fn find(&self, id: Uuid) -> Option<Arc<KeyEncryptionKey>> {
        self.0.iter().find(|held| held.key.id() == id).map(|held| Arc::clone(&held.key))
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.0.iter().map(|held| held.key.id()).collect()
    }

    /// The versions whose files are gone.
    pub(super) fn vanished(&self) -> Vec<u32> {
        self.0.iter().filter(|held| !held.present).map(|held| held.version).collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appeared { version, id } => write!(f, "version {version} ({id}) appeared"),
            Self::Returned { version, id } => write!(f, "the file of version {version} ({id}) is back"),
            Self::Vanished { version, id } => write!(
                f,
                "the file of version {version} ({id}) is gone: until the next start it unwraps, and wraps nothing more"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::zeroize::Zeroizing;

    use super::*;

    fn found(keys: &[(u32, u8)]) -> BTreeMap<u32, KeyEncryptionKey> {
        keys.iter()
            .map(|(version, fill)| (*version, KeyEncryptionKey::from_bytes(Zeroizing::new([*fill; 32]))))
            .collect()
    }

    fn id(fill: u8) -> Uuid {
        KeyEncryptionKey::from_bytes(Zeroizing::new([fill; 32])).id()
    }

    fn active(held: &HeldKeys, second: u64) -> Option<Uuid> {
        held.active(Duration::from_secs(second)).map(|key| key.id())
    }

    #[test]
    fn a_new_version_wraps_only_once_it_has_settled() {
        let mut held = HeldKeys::default();
        held.update(found(&[(1, 1)]), Duration::ZERO);
        let changes = held.update(found(&[(1, 1), (2, 2)]), Duration::from_mins(2));
        assert_eq!(changes, [Change::Appeared { version: 2, id: id(2) }]);
        assert_eq!(active(&held, 119), Some(id(1)));
        assert!(held.find(id(2)).is_some(), "it unwraps at once");
        assert_eq!(active(&held, 120), Some(id(2)));
        assert!(held.update(found(&[(1, 1), (2, 2)]), Duration::from_secs(500)).is_empty());
        assert_eq!(active(&held, 121), Some(id(2)), "a second look does not begin its time anew");
    }

    #[test]
    fn a_vanished_key_unwraps_and_wraps_nothing() {
        let mut held = HeldKeys::default();
        held.update(found(&[(1, 1), (2, 2)]), Duration::ZERO);
        assert_eq!(
            held.update(found(&[(1, 1)]), Duration::ZERO),
            [Change::Vanished { version: 2, id: id(2) }]
        );
        assert!(held.update(found(&[(1, 1)]), Duration::ZERO).is_empty(), "it is told once");
        assert_eq!((active(&held, 9), held.vanished()), (Some(id(1)), vec![2]));
        assert!(held.find(id(2)).is_some());
        held.update(BTreeMap::new(), Duration::ZERO);
        assert_eq!((active(&held, 9), held.vanished()), (None, vec![1, 2]));
        assert_eq!(
            held.update(found(&[(2, 2)]), Duration::MAX),
            [Change::Returned { version: 2, id: id(2) }]
        );
        assert_eq!(active(&held, 9), Some(id(2)));
    }

    #[test]
    fn another_key_of_the_same_version_is_another_key() {
        let mut held = HeldKeys::default();
        held.update(found(&[(1, 1)]), Duration::ZERO);
        held.update(found(&[(1, 9)]), Duration::from_mins(1));
        assert_eq!(active(&held, 59), None, "the old one is gone, the new one not settled");
        assert_eq!(active(&held, 60), Some(id(9)));
        assert_eq!(held.ids(), [id(1), id(9)]);
    }
}
