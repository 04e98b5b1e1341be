//! Single flight: of all callers that miss the same key at the same time, one fetches and the others wait for
//! its outcome. A leader that is dropped half-way hands over to one of those who wait.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{TenantContext, UserId};
use tokio::sync::watch;

use crate::level_one::Held;

/// What the leader found. The error is of whatever type the leader's caller uses.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Ready(Arc<Held>),
    Failed(Failure),
}

/// An error of a fetch.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: Arc<dyn Any + Send + Sync>,
    /// The answer of before, if there was one.
    pub(crate) before: Option<Arc<Held>>,
    /// Who made the fetch.
    pub(crate) whose: Whose,
    /// Nobody's call depended on the fetch, so it may have failed for want of urgency alone.
    pub(crate) beside: bool,
}

/// Whose calls share a place in a provider's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    User(UserId),
    Principal(PrincipalKind),
}

impl Whose {
    pub(crate) fn of(ctx: &TenantContext) -> Self {
        ctx.user().map_or_else(|| Self::Principal(ctx.principal().kind.clone()), Self::User)
    }
}

/// The fetches under way, by key text.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<Arc<str>, watch::Receiver<Option<Outcome>>>>);

/// How a caller takes part.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// Fetch, and tell the outcome.
    Lead(Leader<'a>),
    /// Another caller fetches; wait for it.
    Follow(watch::Receiver<Option<Outcome>>),
}

/// The duty to tell an outcome. Dropped without one, it wakes the followers, and one of them leads.
#[derive(Debug)]
pub(crate) struct Leader<'a> {
    flights: &'a Flights,
    key: Arc<str>,
    sender: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Joins the flight for `key`, or starts it.
    pub(crate) fn join(&self, key: &Arc<str>) -> Part<'_> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = flights.get(key) {
            return Part::Follow(receiver.clone());
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(Arc::clone(key), receiver);
        Part::Lead(Leader { flights: self, key: Arc::clone(key), sender })
    }
}

impl Leader<'_> {
    /// Tells everyone who waits.
    pub(crate) fn tell(&self, outcome: Outcome) {
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        // Out of the map before the sender is gone, so that who is woken without an outcome starts a new flight.
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The leader's outcome; `None` if it was dropped before it had one.
pub(crate) async fn outcome(mut receiver: watch::Receiver<Option<Outcome>>) -> Option<Outcome> {
    receiver.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
}

/// Waits until the flight is over, for whom its outcome is no answer.
pub(crate) async fn ended(mut receiver: watch::Receiver<Option<Outcome>>) {
    while receiver.changed().await.is_ok() {}
}
