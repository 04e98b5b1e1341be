//! Changes of one playlist wait for each other within a replica, so that each is planned from what the one before it
//! made. What other replicas and other programs write meanwhile shows in the service's version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use stagedoor_domain::{ItemRef, TenantContext, TenantId};
use tokio::sync::{Mutex as Turnstile, OwnedMutexGuard};

type Key = (TenantId, ItemRef);
type Waiting = Arc<Mutex<HashMap<Key, Arc<Turnstile<()>>>>>;

/// The playlists that are being changed.
#[derive(Debug, Default)]
pub(crate) struct Turns(Waiting);

/// The right to change a playlist until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    guard: Option<OwnedMutexGuard<()>>,
    key: Key,
    waiting: Waiting,
}

impl Turns {
    /// Waits for those who came before.
    pub(crate) async fn take(&self, ctx: &TenantContext, playlist: &ItemRef) -> Turn {
        let key = (ctx.tenant_id(), playlist.clone());
        let turnstile = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(waiting.entry(key.clone()).or_default())
        };
        // Made first, so that whoever is dropped while waiting leaves nothing behind.
        let mut turn = Turn { guard: None, key, waiting: Arc::clone(&self.0) };
        turn.guard = Some(turnstile.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else holds it or waits for it.
        if waiting.get(&self.key).is_some_and(|turnstile| Arc::strong_count(turnstile) == 1) {
            waiting.remove(&self.key);
        }
    }
}
