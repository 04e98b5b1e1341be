//! Opened sessions in memory: for at most a minute, wiped when they go, and gone as soon as their account is linked
//! again or unlinked, here or on another replica. Opening them is in `opening`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_cache::Cache;
use stagedoor_domain::{Clock, LinkedAccountId, TenantContext, TenantId};
use stagedoor_storage::provider_sessions::OpenedSession;

use crate::accounts::Account;
use crate::counts::{Counters, SessionCounts};

/// How long an opened session stays in memory.
const OPEN_FOR: Duration = Duration::from_mins(1);
/// How old the knowledge may be that an account is as it was: after this, a change on another replica counts here.
pub(crate) const CHANGES_SHOW_WITHIN: Duration = Duration::from_secs(2);
/// Sessions in memory at most; a session that has no place is opened again for each call.
const PLACES: usize = 50_000;

/// Opened sessions in memory, and what is counted of sessions.
pub struct SessionsInUse {
    held: Mutex<HashMap<(TenantId, LinkedAccountId), Held>>,
    cache: Arc<Cache>,
    clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
}

struct Held {
    session: Arc<OpenedSession>,
    at: Duration,
    standing: Standing,
}

/// Which state of its account a session was opened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing(Option<u64>);

impl SessionsInUse {
    /// A memory that is told by `cache` of what changes on other replicas.
    pub fn new(cache: Arc<Cache>, clock: Arc<dyn Clock>) -> Self {
        Self { held: Mutex::default(), cache, clock, counters: Counters::default() }
    }

    /// Wipes the sessions whose minute is over. To be called every second.
    pub fn forget_expired(&self) {
        let now = self.clock.elapsed();
        self.lock().retain(|_, held| now.saturating_sub(held.at) < OPEN_FOR);
    }

    /// Wipes every session.
    pub fn forget_all(&self) {
        self.lock().clear();
    }

    /// What was counted.
    pub fn counts(&self) -> SessionCounts {
        self.counters.snapshot(self.lock().len())
    }

    /// The state of the account now. To be asked for before a session is opened, so that a change in between shows.
    pub(crate) async fn standing(&self, ctx: &TenantContext, account: &Account) -> Standing {
        let Account { user, provider, .. } = *account;
        Standing(self.cache.account_generation(ctx, user, provider).await)
    }

    /// The session of the account if it is in memory and the account is still in that state. While the state cannot be
    /// known, because Redis is away, a session is good for as long as a change may go unseen.
    pub(crate) fn get(
        &self,
        ctx: &TenantContext,
        account: &Account,
        standing: Standing,
    ) -> Option<Arc<OpenedSession>> {
        let key = (ctx.tenant_id(), account.id);
        let mut sessions = self.lock();
        let held = sessions.get(&key)?;
        let age = self.clock.elapsed().saturating_sub(held.at);
        let good = match standing {
            Standing(Some(_)) => held.standing == standing && age < OPEN_FOR,
            Standing(None) => age < CHANGES_SHOW_WITHIN,
        };
        if !good || held.session.user != account.user {
            sessions.remove(&key);
            return None;
        }
        self.counters.opened_memory.add();
        Some(Arc::clone(&held.session))
    }

    /// Keeps a session that was opened in that state.
    pub(crate) fn keep(&self, ctx: &TenantContext, session: &Arc<OpenedSession>, standing: Standing) {
        let at = self.clock.elapsed();
        let key = (ctx.tenant_id(), session.account);
        let mut sessions = self.lock();
        if sessions.len() < PLACES || sessions.contains_key(&key) {
            sessions.insert(key, Held { session: Arc::clone(session), at, standing });
        }
    }

    /// Wipes the session of an account.
    pub(crate) fn forget(&self, ctx: &TenantContext, account: LinkedAccountId) {
        self.lock().remove(&(ctx.tenant_id(), account));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, LinkedAccountId), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SessionsInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsInUse").field("held", &self.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    use chrono::{DateTime, Utc};
    use secrecy::SecretString;
    use stagedoor_cache::{CacheOptions, DataScope};
    use stagedoor_domain::tenant::{Tenant, TenantStatus};
    use stagedoor_domain::{CallId, Provider, TenantSettings};
    use uuid::Uuid;

    #[derive(Debug, Default)]
    struct ManualClock(AtomicU64);

    impl Clock for ManualClock {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + self.elapsed()
        }

        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    struct Scene {
        ctx: TenantContext,
        clock: Arc<ManualClock>,
        cache: Arc<Cache>,
        sessions: SessionsInUse,
        account: Account,
    }

    impl Scene {
        #[expect(clippy::disallowed_methods, reason = "a test builds its contexts itself")]
        fn set() -> Self {
            let tenant = Tenant {
                id: TenantId(Uuid::from_u128(1)),
                slug: "acme".parse().unwrap(),
                status: TenantStatus::Active,
                settings: TenantSettings::default(),
            };
            let clock = Arc::new(ManualClock::default());
            let shared: Arc<dyn Clock> = clock.clone();
            let entropy = Arc::new(stagedoor_crypto::SystemEntropy);
            let cache = Cache::new(&CacheOptions::default(), None, Arc::clone(&shared), entropy);
            let cache = Arc::new(cache.unwrap());
            Self {
                ctx: TenantContext::for_job(Arc::new(tenant), "test", CallId(Uuid::nil())),
                sessions: SessionsInUse::new(Arc::clone(&cache), shared),
                clock,
                cache,
                account: Account {
                    id: Uuid::from_u128(2).into(),
                    user: Uuid::from_u128(3).into(),
                    provider: Provider::Spotify,
                    name: None,
                    country: None,
                    relink_needed: false,
                    scopes: Vec::new(),
                    linked_at: DateTime::UNIX_EPOCH,
                    authorized_at: None,
                    grant_ends_at: None,
                    unreadable: false,
                    works_until: None,
                },
            }
        }

        fn session(&self) -> Arc<OpenedSession> {
            Arc::new(OpenedSession {
                id: Uuid::from_u128(4).into(),
                account: self.account.id,
                user: self.account.user,
                access_token: SecretString::from("token"),
                refresh_token: None,
                expires_at: DateTime::UNIX_EPOCH,
                authorized_at: DateTime::UNIX_EPOCH,
                scopes: Vec::new(),
                revision: 1,
                rotated: false,
            })
        }

        async fn keep(&self) -> std::sync::Weak<OpenedSession> {
            let session = self.session();
            let standing = self.sessions.standing(&self.ctx, &self.account).await;
            self.sessions.keep(&self.ctx, &session, standing);
            Arc::downgrade(&session)
        }

        async fn held(&self) -> bool {
            let standing = self.sessions.standing(&self.ctx, &self.account).await;
            self.sessions.get(&self.ctx, &self.account, standing).is_some()
        }

        fn advance(&self, by: Duration) {
            self.clock.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_session_is_dropped_when_its_minute_is_over_and_nobody_asks() {
        let scene = Scene::set();
        let session = scene.keep().await;
        scene.advance(OPEN_FOR.saturating_sub(Duration::from_millis(1)));
        scene.sessions.forget_expired();
        assert!(scene.held().await);
        scene.advance(Duration::from_millis(1));
        assert!(session.upgrade().is_some());
        scene.sessions.forget_expired();
        assert!(session.upgrade().is_none(), "the token is still in memory");
        assert_eq!(scene.sessions.counts().in_memory, 0);
    }

    #[tokio::test]
    async fn use_does_not_prolong_the_minute() {
        let scene = Scene::set();
        scene.keep().await;
        for _ in 0..3 {
            scene.advance(OPEN_FOR / 3);
            let expired = scene.clock.elapsed() >= OPEN_FOR;
            assert_eq!(scene.held().await, !expired);
        }
    }

    #[tokio::test]
    async fn a_session_ends_with_a_change_of_its_account() {
        let scene = Scene::set();
        let session = scene.keep().await;
        let Account { user, provider, .. } = scene.account;
        scene.cache.bump(&scene.ctx, user, provider, DataScope::Playlists).await.unwrap();
        assert!(scene.held().await, "a write changes nothing about the account");
        scene.cache.bump(&scene.ctx, user, provider, DataScope::Account).await.unwrap();
        assert!(!scene.held().await);
        assert!(session.upgrade().is_none());
    }

    #[tokio::test]
    async fn without_word_of_changes_a_session_is_good_for_two_seconds() {
        let scene = Scene::set();
        scene.keep().await;
        let known = |scene: &Scene| scene.sessions.get(&scene.ctx, &scene.account, Standing(None)).is_some();
        scene.advance(CHANGES_SHOW_WITHIN.saturating_sub(Duration::from_millis(1)));
        assert!(known(&scene));
        scene.advance(Duration::from_millis(1));
        assert!(!known(&scene));
    }

    #[tokio::test]
    async fn another_person_is_not_given_it() {
        let mut scene = Scene::set();
        scene.keep().await;
        scene.account.user = Uuid::from_u128(9).into();
        let known = scene.sessions.standing(&scene.ctx, &scene.account).await;
        assert!(scene.sessions.get(&scene.ctx, &scene.account, known).is_none());
    }
}
