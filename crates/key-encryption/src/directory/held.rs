//! The key-encryption keys that are held: which of them wraps, and what became of their files. Pure; who reads the files
//! is `directory`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_crypto::KeyEncryptionKey;
use uuid::Uuid;

use super::state::{KeyState, KeyVersion};

/// Keys that were seen since the start. None is dropped but those that were retired before their files went: what a key
/// has sealed must open.
#[derive(Debug, Default)]
pub(super) struct HeldKeys(Vec<Held>);

#[derive(Debug)]
struct Held {
    version: u32,
    key: Arc<KeyEncryptionKey>,
    /// What its file's name said last.
    state: KeyState,
    /// Before this it only unwraps.
    wraps_from: Duration,
    /// Whether its file is there.
    present: bool,
}

/// What a look at the files has changed, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Appeared { version: u32, id: Uuid, state: KeyState },
    Activated { version: u32, id: Uuid },
    Retired { version: u32, id: Uuid },
    Removed { version: u32, id: Uuid },
    Returned { version: u32, id: Uuid },
    Vanished { version: u32, id: Uuid },
}

impl HeldKeys {
    /// Takes over what the files hold now. Keys not seen before wrap from `wraps_from` on; one that was pending before it
    /// became active wraps at once, because that is said only when every replica has it.
    pub(super) fn update(&mut self, found: BTreeMap<u32, KeyVersion>, wraps_from: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        self.0.retain_mut(|held| {
            let there = found.get(&held.version).filter(|there| there.key.id() == held.key.id());
            held.follow(there.map(|there| there.state), &mut changes)
        });
        for (version, KeyVersion { key, state }) in found {
            let id = key.id();
            if !self.0.iter().any(|held| held.version == version && held.key.id() == id) {
                changes.push(Change::Appeared { version, id, state });
                let wraps_from = if state == KeyState::Pending { Duration::ZERO } else { wraps_from };
                self.0.push(Held { version, key: Arc::new(key), state, wraps_from, present: true });
            }
        }
        changes
    }

    /// The newest active key whose file is there and which every replica has had time to see.
    pub(super) fn active(&self, now: Duration) -> Option<&Arc<KeyEncryptionKey>> {
        let ready = self
            .0
            .iter()
            .filter(|held| held.present && held.state == KeyState::Active && held.wraps_from <= now);
        ready.max_by_key(|held| held.version).map(|held| &held.key)
    }

    pub(super) fn find(&self, id: Uuid) -> Option<Arc<KeyEncryptionKey>> {
        self.0.iter().find(|held| held.key.id() == id).map(|held| Arc::clone(&held.key))
    }

    /// The keys that count: one that was retired is on its way out.
    pub(super) fn ids(&self) -> Vec<Uuid> {
        let counted = self.0.iter().filter(|held| held.state != KeyState::Retired);
        counted.map(|held| held.key.id()).collect()
    }

    /// The versions whose files are gone.
    pub(super) fn vanished(&self) -> Vec<u32> {
        self.0.iter().filter(|held| !held.present).map(|held| held.version).collect()
    }
}

impl Held {
    /// Takes over the state of its file, if that is there; answers whether the key is kept.
    fn follow(&mut self, there: Option<KeyState>, changes: &mut Vec<Change>) -> bool {
        let (version, id) = (self.version, self.key.id());
        match there {
            None if self.state == KeyState::Retired => {
                changes.push(Change::Removed { version, id });
                return false;
            }
            None if self.present => changes.push(Change::Vanished { version, id }),
            Some(_) if !self.present => changes.push(Change::Returned { version, id }),
            _ => {}
        }
        self.present = there.is_some();
        if let Some(state) = there.filter(|state| *state != self.state) {
            match state {
                KeyState::Active => changes.push(Change::Activated { version, id }),
                KeyState::Retired => changes.push(Change::Retired { version, id }),
                KeyState::Pending => {}
            }
            self.state = state;
        }
        true
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appeared { version, id, state: KeyState::Active } => {
                write!(f, "version {version} ({id}) appeared")
            }
            Self::Appeared { version, id, .. } => {
                write!(f, "version {version} ({id}) appeared: it opens, and wraps nothing")
            }
            Self::Activated { version, id } => write!(f, "version {version} ({id}) wraps from now on"),
            Self::Retired { version, id } => {
                write!(f, "version {version} ({id}) is retired: it opens until its file goes")
            }
            Self::Removed { version, id } => {
                write!(f, "version {version} ({id}) was retired and is forgotten")
            }
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

    fn found(keys: &[(u32, u8)]) -> BTreeMap<u32, KeyVersion> {
        stated(&keys.iter().map(|(version, fill)| (*version, *fill, KeyState::Active)).collect::<Vec<_>>())
    }

    fn stated(keys: &[(u32, u8, KeyState)]) -> BTreeMap<u32, KeyVersion> {
        let key = |fill| KeyEncryptionKey::from_bytes(Zeroizing::new([fill; 32]));
        keys.iter()
            .map(|(version, fill, state)| (*version, KeyVersion { key: key(*fill), state: *state }))
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
        assert_eq!(changes, [Change::Appeared { version: 2, id: id(2), state: KeyState::Active }]);
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

    #[test]
    fn a_pending_key_opens_and_wraps_from_the_moment_that_it_is_active() {
        use KeyState::{Active, Pending};
        let mut held = HeldKeys::default();
        held.update(found(&[(1, 1)]), Duration::ZERO);
        held.update(stated(&[(1, 1, Active), (2, 2, Pending)]), Duration::from_mins(2));
        assert_eq!(active(&held, 9_999), Some(id(1)), "time does not make it active");
        assert!(held.find(id(2)).is_some());
        assert_eq!(held.ids(), [id(1), id(2)]);
        let changes = held.update(found(&[(1, 1), (2, 2)]), Duration::MAX);
        assert_eq!(changes, [Change::Activated { version: 2, id: id(2) }]);
        assert_eq!(active(&held, 0), Some(id(2)), "whoever activates it knows that it is everywhere");
    }

    #[test]
    fn a_retired_key_opens_does_not_count_and_may_go() {
        use KeyState::{Active, Retired};
        let mut held = HeldKeys::default();
        held.update(found(&[(1, 1), (2, 2)]), Duration::ZERO);
        let changes = held.update(stated(&[(1, 1, Retired), (2, 2, Active)]), Duration::ZERO);
        assert_eq!(changes, [Change::Retired { version: 1, id: id(1) }]);
        assert!(held.find(id(1)).is_some());
        assert_eq!((held.ids(), active(&held, 0)), (vec![id(2)], Some(id(2))));
        let changes = held.update(found(&[(2, 2)]), Duration::ZERO);
        assert_eq!(changes, [Change::Removed { version: 1, id: id(1) }]);
        assert!(held.find(id(1)).is_none() && held.vanished().is_empty());
    }
}
