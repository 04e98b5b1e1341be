//! Bumps that wait until no other replica remembers what was before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::ReplicaId;
use super::script::Holders;

/// Above the exact end, for what clocks and timers round off.
const MARGIN: Duration = Duration::from_millis(50);
/// Acknowledgements that wait to be read; more than there are replicas.
const PLACES: usize = 1_024;

/// The acknowledgements that bumps under way wait for, by nonce.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: Mutex<HashMap<u64, mpsc::Sender<ReplicaId>>>,
    last: AtomicU64,
}

/// One bump's wait. To be opened before the bump is sent: a replica may answer before the script's reply is read.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    waits: &'a Waits,
    nonce: u64,
    receiver: mpsc::Receiver<ReplicaId>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// There was nobody to wait for.
    Alone,
    /// Everybody has acknowledged.
    Acknowledged,
    /// The leases of those who had not are over.
    Over,
}

impl Waits {
    pub(super) fn open(&self) -> Wait<'_> {
        let nonce = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = mpsc::channel(PLACES);
        self.lock().insert(nonce, sender);
        Wait { waits: self, nonce, receiver }
    }

    /// A replica has dropped what it remembered before the bump of this nonce.
    pub(super) fn acknowledge(&self, nonce: u64, replica: ReplicaId) {
        if let Some(sender) = self.lock().get(&nonce) {
            // One that finds no place is as good as lost, which costs the writer time and nothing else.
            let _ = sender.try_send(replica);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<ReplicaId>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait<'_> {
    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Waits until every holder has acknowledged or its lease is over, and until those that are not known are over.
    pub(super) async fn until_gone(&mut self, holders: Holders) -> Ended {
        let Holders { unknown, mut known, .. } = holders;
        if unknown.is_zero() && known.is_empty() {
            return Ended::Alone;
        }
        let began = Instant::now();
        while !known.is_empty() || !unknown.is_zero() {
            let longest = known.iter().map(|(_, left)| *left).fold(unknown, Duration::max);
            match timeout_at(began + longest + MARGIN, self.receiver.recv()).await {
                Ok(Some(replica)) => known.retain(|(holder, _)| *holder != replica),
                // The sender lives in the table for as long as this wait does.
                Ok(None) | Err(_) => return Ended::Over,
            }
        }
        Ended::Acknowledged
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waits.lock().remove(&self.nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ReplicaId = ReplicaId::numbered(1);
    const SECOND: ReplicaId = ReplicaId::numbered(2);

    fn holders(unknown: u64, known: &[(ReplicaId, u64)]) -> Holders {
        let millis = Duration::from_millis;
        Holders {
            unknown: millis(unknown),
            young: Duration::ZERO,
            known: known.iter().map(|(name, left)| (*name, millis(*left))).collect(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_each_holder_and_no_longer() {
        let waits = Waits::default();
        assert_eq!(waits.open().until_gone(Holders::default()).await, Ended::Alone);

        let mut wait = waits.open();
        let began = Instant::now();
        for replica in [SECOND, FIRST] {
            waits.acknowledge(wait.nonce(), replica);
        }
        assert_eq!(wait.until_gone(holders(0, &[(FIRST, 900), (SECOND, 900)])).await, Ended::Acknowledged);
        assert_eq!(began.elapsed(), Duration::ZERO, "also what came before the reply");

        let mut wait = waits.open();
        waits.acknowledge(wait.nonce() - 1, SECOND);
        waits.acknowledge(wait.nonce(), FIRST);
        assert_eq!(wait.until_gone(holders(0, &[(FIRST, 1_900), (SECOND, 900)])).await, Ended::Over);
        assert_eq!(
            began.elapsed(),
            Duration::from_millis(900) + MARGIN,
            "as long as the one that said nothing"
        );

        let (mut wait, began) = (waits.open(), Instant::now());
        waits.acknowledge(wait.nonce(), FIRST);
        assert_eq!(wait.until_gone(holders(400, &[(FIRST, 900)])).await, Ended::Over);
        assert_eq!(began.elapsed(), Duration::from_millis(400) + MARGIN, "nobody speaks for the unknown");
        drop(wait);
        assert_eq!(waits.lock().len(), 2, "the two that are still open");
    }
}
