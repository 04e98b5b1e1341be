//! One piece of work at a time for each account; whoever comes meanwhile shares its outcome instead of doing it again.
//! What is shared is let go of as soon as the work has landed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::{LinkedAccountId, PublicError, TenantContext, TenantId};
use tokio::sync::watch;

type Key = (TenantId, LinkedAccountId);
type UnderWay<T> = Mutex<HashMap<Key, watch::Receiver<State<T>>>>;

/// The work under way.
pub(crate) struct Flights<T>(Arc<UnderWay<T>>);

#[derive(Clone)]
enum State<T> {
    Flying,
    /// It goes on, but this is in the way.
    Held(PublicError),
    Landed(Result<T, PublicError>),
}

/// What a caller is to do.
pub(crate) enum Part<T> {
    /// The work; nobody else does it.
    Lead(Lead<T>),
    /// Wait for who does it.
    Follow(Follow<T>),
}

/// Whoever does the work. Dropped before it landed, the work is up for the next.
pub(crate) struct Lead<T> {
    under_way: Arc<UnderWay<T>>,
    key: Key,
    state: watch::Sender<State<T>>,
}

/// Whoever waits for it.
pub(crate) struct Follow<T>(watch::Receiver<State<T>>);

impl<T: Clone> Flights<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The caller's part in the work for an account.
    pub(crate) fn join(&self, ctx: &TenantContext, account: LinkedAccountId) -> Part<T> {
        let key = (ctx.tenant_id(), account);
        let mut under_way = lock(&self.0);
        if let Some(state) = under_way.get(&key) {
            return Part::Follow(Follow(state.clone()));
        }
        let (state, receiver) = watch::channel(State::Flying);
        under_way.insert(key, receiver);
        Part::Lead(Lead { under_way: Arc::clone(&self.0), key, state })
    }
}

impl<T: Clone> Lead<T> {
    /// Somebody to wait for this work.
    pub(crate) fn follow(&self) -> Follow<T> {
        Follow(self.state.subscribe())
    }

    /// Whether anybody waits for this work.
    pub(crate) fn is_awaited(&self) -> bool {
        // One receiver is for those who come.
        self.state.receiver_count() > 1
    }

    /// The work goes on, but not soon: who cannot wait is told this.
    pub(crate) fn held(&self, error: PublicError) {
        self.state.send_replace(State::Held(error));
    }

    /// The work is done.
    pub(crate) fn land(self, outcome: Result<T, PublicError>) {
        self.leave();
        self.state.send_replace(State::Landed(outcome));
    }
}

impl<T> Lead<T> {
    fn leave(&self) {
        lock(&self.under_way).remove(&self.key);
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        // What has landed left already, and someone else may be under way by now.
        if !matches!(*self.state.borrow(), State::Landed(_)) {
            self.leave();
        }
    }
}

impl<T: Clone> Follow<T> {
    /// The outcome; `None` if the work was given up.
    pub(crate) async fn landed(mut self) -> Option<Result<T, PublicError>> {
        let state = self.0.wait_for(|state| matches!(state, State::Landed(_))).await.ok()?;
        outcome(&state)
    }

    /// The outcome, or after `patience` what is in its way; `None` if the work was given up.
    pub(crate) async fn landed_or_held(mut self, patience: Duration) -> Option<Result<T, PublicError>> {
        let landed = self.0.wait_for(|state| matches!(state, State::Landed(_)));
        match tokio::time::timeout(patience, landed).await {
            Ok(Ok(state)) => return outcome(&state),
            Ok(Err(_)) => return None,
            Err(_) => {}
        }
        let state = self.0.wait_for(|state| !matches!(state, State::Flying)).await.ok()?;
        outcome(&state)
    }
}

fn outcome<T: Clone>(state: &State<T>) -> Option<Result<T, PublicError>> {
    match state {
        State::Flying => None,
        State::Held(error) => Some(Err(error.clone())),
        State::Landed(outcome) => Some(outcome.clone()),
    }
}

fn lock<T>(under_way: &UnderWay<T>) -> MutexGuard<'_, HashMap<Key, watch::Receiver<State<T>>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stagedoor_domain::tenant::{Tenant, TenantStatus};
    use stagedoor_domain::{CallId, ErrorCode, TenantSettings};
    use uuid::Uuid;

    fn context() -> TenantContext {
        let tenant = Tenant {
            id: TenantId(Uuid::from_u128(1)),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        };
        #[expect(clippy::disallowed_methods, reason = "a test builds its contexts itself")]
        TenantContext::for_job(Arc::new(tenant), "test", CallId(Uuid::nil()))
    }

    fn account(number: u128) -> LinkedAccountId {
        Uuid::from_u128(number).into()
    }

    fn lead(part: Part<u32>) -> Lead<u32> {
        match part {
            Part::Lead(lead) => lead,
            Part::Follow(_) => panic!("somebody else is at it"),
        }
    }

    fn follow(part: Part<u32>) -> Follow<u32> {
        match part {
            Part::Follow(follow) => follow,
            Part::Lead(_) => panic!("nobody is at it"),
        }
    }

    #[tokio::test]
    async fn whoever_comes_meanwhile_shares_the_outcome_and_the_next_begins_anew() {
        let (ctx, flights) = (context(), Flights::new());
        let first = lead(flights.join(&ctx, account(1)));
        let waiting = [follow(flights.join(&ctx, account(1))), follow(flights.join(&ctx, account(1)))];
        drop(lead(flights.join(&ctx, account(2))));
        first.land(Ok(7));
        for waiting in waiting {
            assert_eq!(waiting.landed().await, Some(Ok(7)));
        }
        drop(lead(flights.join(&ctx, account(1))));
        assert!(lock(&flights.0).is_empty(), "what has landed is let go of");
    }

    #[tokio::test]
    async fn work_that_is_given_up_is_up_for_the_next() {
        let (ctx, flights) = (context(), Flights::new());
        let first = lead(flights.join(&ctx, account(1)));
        let waiting = follow(flights.join(&ctx, account(1)));
        drop(first);
        assert_eq!(waiting.landed().await, None);
        drop(lead(flights.join(&ctx, account(1))));
    }

    #[tokio::test]
    async fn who_cannot_wait_is_told_what_is_in_the_way() {
        let (ctx, flights) = (context(), Flights::new());
        let first = lead(flights.join(&ctx, account(1)));
        assert!(!first.is_awaited());
        let (short, long) = (first.follow(), first.follow());
        assert!(first.is_awaited());
        first.held(PublicError::new(ErrorCode::StoreUnavailable, "away"));
        let told = short.landed_or_held(Duration::ZERO).await.unwrap();
        assert_eq!(told.unwrap_err().code, ErrorCode::StoreUnavailable);
        first.land(Ok(9));
        let late = long.landed_or_held(Duration::from_mins(1)).await;
        assert_eq!(late, Some(Ok(9)), "whoever can wait gets the outcome");
    }
}
