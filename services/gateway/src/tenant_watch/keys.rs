//! The keys that were changed lately. A key that was looked up before its change is looked up again; one that was revoked
//! is refused without.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use stagedoor_domain::{ApiKeyId, TenantId};
use stagedoor_storage::{ChangedKey, ChangesSince};

use super::REMEMBERED;

/// How a key was when it was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenKey {
    /// Its revision.
    pub revision: i64,
    /// Which era it was: changes of another are unknown.
    pub era: u64,
}

/// What became of a key since it was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    /// Nothing that is known.
    Current,
    /// It is to be looked up again.
    Changed,
    /// It does not work any more.
    Revoked,
}

/// Changes by key.
#[derive(Default)]
pub(super) struct RecentKeys {
    changed: RwLock<HashMap<TenantId, HashMap<ApiKeyId, Change>>>,
    /// Whether there are any: the usual request looks at nothing else.
    any: AtomicBool,
    /// Raised when something may have been missed.
    era: AtomicU64,
    since: Mutex<Option<ChangesSince>>,
    changes: AtomicU64,
}

#[derive(Clone, Copy)]
struct Change {
    revision: i64,
    revoked: bool,
    at: Duration,
}

impl RecentKeys {
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    pub(super) fn standing(&self, tenant: TenantId, key: &ApiKeyId, seen: SeenKey) -> KeyStanding {
        if self.any.load(Ordering::Acquire) {
            let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
            let change = changed.get(&tenant).and_then(|keys| keys.get(key));
            match change {
                Some(change) if change.revision > seen.revision && change.revoked => {
                    return KeyStanding::Revoked;
                }
                Some(change) if change.revision > seen.revision => return KeyStanding::Changed,
                Some(_) | None => {}
            }
        }
        if seen.era == self.era() { KeyStanding::Current } else { KeyStanding::Changed }
    }

    /// Changes of keys that were seen.
    pub(super) fn seen(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Where the next question begins.
    pub(super) fn since(&self) -> Option<ChangesSince> {
        self.since_now().clone()
    }

    /// Takes what was seen; `unbroken` says whether nothing was missed since the last time.
    pub(super) fn keep(&self, seen: Vec<ChangedKey>, unbroken: bool, now: Duration) {
        let mut news = 0;
        let mut changed = self.changed.write().unwrap_or_else(PoisonError::into_inner);
        for keys in changed.values_mut() {
            keys.retain(|_, change| now.saturating_sub(change.at) < REMEMBERED);
        }
        changed.retain(|_, keys| !keys.is_empty());
        for key in seen {
            let change = Change { revision: key.revision, revoked: key.revoked, at: now };
            let before = changed.entry(key.tenant).or_default().insert(key.key, change);
            news += u64::from(before.is_none_or(|before| before.revision != key.revision));
        }
        self.any.store(!changed.is_empty(), Ordering::Release);
        drop(changed);
        self.changes.fetch_add(news, Ordering::Relaxed);
        if !unbroken {
            self.era.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Has the next question begin there, once what was seen is kept.
    pub(super) fn go_on_from(&self, next: ChangesSince) {
        *self.since_now() = Some(next);
    }

    fn since_now(&self) -> MutexGuard<'_, Option<ChangesSince>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::SystemEntropy;
    use stagedoor_domain::SystemClock;

    use super::*;

    struct Scene {
        recent: RecentKeys,
        tenant: TenantId,
        key: ApiKeyId,
    }

    impl Scene {
        fn new() -> Self {
            let tenant = TenantId::generate(&SystemClock::new(), &SystemEntropy);
            let scene = Self { recent: RecentKeys::default(), tenant, key: "AAAAAAAAAAAA".parse().unwrap() };
            scene.see(None, false, 0);
            scene
        }

        fn see(&self, change: Option<(i64, bool)>, unbroken: bool, seconds: u64) {
            let changed = change.map(|(revision, revoked)| ChangedKey {
                tenant: self.tenant,
                key: self.key.clone(),
                revision,
                revoked,
            });
            self.recent.keep(changed.into_iter().collect(), unbroken, Duration::from_secs(seconds));
        }

        fn standing(&self, revision: i64, era: u64) -> KeyStanding {
            self.recent.standing(self.tenant, &self.key, SeenKey { revision, era })
        }
    }

    #[test]
    fn a_change_counts_for_what_was_looked_up_before_it() {
        let scene = Scene::new();
        let era = scene.recent.era();
        assert_eq!(scene.standing(1, era), KeyStanding::Current);
        scene.see(Some((2, false)), true, 1);
        assert_eq!(
            (scene.standing(1, era), scene.standing(2, era)),
            (KeyStanding::Changed, KeyStanding::Current)
        );
        scene.see(Some((2, false)), true, 2);
        scene.see(Some((3, true)), true, 3);
        assert_eq!(
            (scene.standing(2, era), scene.standing(3, era)),
            (KeyStanding::Revoked, KeyStanding::Current)
        );
        assert_eq!(scene.recent.seen(), 2, "the same again is no news");
        let other = "BBBBBBBBBBBB".parse().unwrap();
        let seen = SeenKey { revision: 1, era };
        assert_eq!(scene.recent.standing(scene.tenant, &other, seen), KeyStanding::Current, "nobody else's");
        scene.see(None, true, 62);
        scene.see(None, true, 63);
        assert_eq!(scene.standing(2, era), KeyStanding::Current, "every key was looked up again by now");
        assert!(!scene.recent.any.load(Ordering::Relaxed));
    }

    #[test]
    fn after_a_break_everything_is_looked_up_again() {
        let scene = Scene::new();
        let era = scene.recent.era();
        scene.see(None, true, 1);
        assert_eq!(scene.standing(1, era), KeyStanding::Current);
        scene.see(None, false, 2);
        assert_eq!(scene.standing(1, era), KeyStanding::Changed);
        assert_eq!(scene.standing(1, scene.recent.era()), KeyStanding::Current);
    }
}
