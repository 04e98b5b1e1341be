//! Single flight over replicas: of all replicas that miss an entry, one fetches under a lock in Redis and the others look
//! for what it stores. Which callers of one replica share its turn is decided elsewhere.
//!
//! The lock is a lease that its holder renews. It bears a token, and an entry is stored only under the token that still
//! holds it, so a replica that was frozen meanwhile cannot store something old.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Script;
use stagedoor_domain::Entropy;
use stagedoor_redis_link::{RedisLink, Unavailable};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::generation::ReplicaId;

const LOCK: Duration = Duration::from_secs(1);
const RENEW_EVERY: Duration = Duration::from_millis(300);
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// A caller whose turn has not come by then fetches alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Left locks that wait to be released; more than that run out by themselves.
const LEFT: usize = 1_024;

/// The flights of all replicas.
#[derive(Debug)]
pub(crate) struct SharedFlights {
    link: Arc<RedisLink>,
    script: Script,
    replica: ReplicaId,
    left: mpsc::Sender<Left>,
    to_release: Mutex<mpsc::Receiver<Left>>,
    counts: Counts,
}

/// What a caller may do.
#[derive(Debug)]
pub(crate) enum Turn<'a> {
    /// There is an entry, other than the one that was known.
    Found(Vec<u8>),
    /// Fetch, and store or release.
    Lead(Lease<'a>),
    /// Fetch, and store nothing in Redis: it is out of reach, or the others are too slow.
    Alone,
}

/// The right to fetch and store one entry. Dropped without either, it is released by [`SharedFlights::run`], or runs out.
pub(crate) struct Lease<'a> {
    flights: &'a SharedFlights,
    lock: Option<Left>,
    entry: String,
}

/// A lock and the token under which it was taken.
#[derive(Debug, Clone)]
struct Left {
    key: String,
    token: String,
}

/// What flights over replicas did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlightCounters {
    /// Turns to fetch for all replicas.
    pub led: u64,
    /// Callers that found another replica fetching, and waited for it.
    pub held: u64,
    /// Of these, those that fetched in the end, because the other replica had failed or gone.
    pub taken_over: u64,
    /// Answers that were not stored, because the lock had passed on while they were fetched.
    pub fenced_out: u64,
    /// Callers that fetched without a turn, because Redis was out of reach or the others too slow.
    pub alone: u64,
}

#[derive(Debug, Default)]
struct Counts {
    led: AtomicU64,
    held: AtomicU64,
    taken_over: AtomicU64,
    fenced_out: AtomicU64,
    alone: AtomicU64,
}

/// What the script says to a replica that asks for its turn.
enum Answer {
    Found(Vec<u8>),
    Lead(String),
    Held,
}

impl SharedFlights {
    pub(crate) fn new(link: Arc<RedisLink>, entropy: &dyn Entropy) -> Self {
        let (left, to_release) = mpsc::channel(LEFT);
        Self {
            link,
            script: Script::new(include_str!("flight.lua")),
            replica: ReplicaId::draw(entropy),
            left,
            to_release: Mutex::new(to_release),
            counts: Counts::default(),
        }
    }

    /// Waits for the entry of `key_text`, or for the turn to fetch it. `known` is how an entry begins that the caller
    /// has seen and does not want.
    pub(crate) async fn turn(&self, key_text: &str, known: Option<&[u8]>) -> Turn<'_> {
        let lock = lock_key(key_text);
        let (began, mut pause, mut waited) = (Instant::now(), FIRST_LOOK, false);
        while began.elapsed() < PATIENCE {
            match self.ask(&lock, key_text, known.unwrap_or_default()).await {
                Ok(Answer::Found(entry)) => return Turn::Found(entry),
                Ok(Answer::Lead(token)) => {
                    add(&self.counts.led);
                    if waited {
                        add(&self.counts.taken_over);
                    }
                    let lock = Some(Left { key: lock, token });
                    return Turn::Lead(Lease { flights: self, lock, entry: key_text.to_owned() });
                }
                Ok(Answer::Held) => {}
                Err(_) => break,
            }
            if !waited {
                add(&self.counts.held);
            }
            waited = true;
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_BETWEEN_LOOKS);
        }
        add(&self.counts.alone);
        Turn::Alone
    }

    /// Releases the locks of leases that were dropped, until `shutdown`.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let mut to_release = self.to_release.lock().await;
        while let Some(Some(left)) = shutdown.run_until_cancelled(to_release.recv()).await {
            // One that is not released runs out; the link has counted and logged the failure.
            let _ = self.change(&left, &left.key, "release", &[]).await;
        }
    }

    pub(crate) fn counters(&self) -> FlightCounters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        FlightCounters {
            led: read(&self.counts.led),
            held: read(&self.counts.held),
            taken_over: read(&self.counts.taken_over),
            fenced_out: read(&self.counts.fenced_out),
            alone: read(&self.counts.alone),
        }
    }

    async fn ask(&self, lock: &str, entry: &str, known: &[u8]) -> Result<Answer, Unavailable> {
        let mut call = self.script.key(lock);
        call.key(entry).arg("turn").arg(self.replica.to_string()).arg(millis(LOCK)).arg(known);
        let answer = self.link.run(|mut connection| async move { call.invoke_async(&mut connection).await });
        let (outcome, bytes): (String, Vec<u8>) = answer.await?;
        Ok(match outcome.as_str() {
            "found" => Answer::Found(bytes),
            "lead" => Answer::Lead(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Answer::Held,
        })
    }

    /// Renews, stores or releases; false if the lock has passed on.
    async fn change(
        &self,
        lock: &Left,
        entry: &str,
        action: &str,
        arguments: &[&[u8]],
    ) -> Result<bool, Unavailable> {
        let mut call = self.script.key(&lock.key);
        call.key(entry).arg(action).arg(&lock.token).arg(arguments);
        self.link.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await
    }
}

impl Lease<'_> {
    /// Does `fetch`, and keeps the lock meanwhile.
    pub(crate) async fn renew_while<T>(&self, fetch: impl Future<Output = T>) -> T {
        let renew = async {
            let Some(lock) = &self.lock else { return };
            loop {
                sleep(RENEW_EVERY).await;
                let life = millis(LOCK).to_string();
                // A renewal that Redis did not hear may be made up for; a lock that has passed on has not a second life.
                if let Ok(false) = self.flights.change(lock, &self.entry, "renew", &[life.as_bytes()]).await {
                    return;
                }
            }
        };
        tokio::pin!(fetch);
        tokio::select! {
            biased;
            answer = &mut fetch => return answer,
            () = renew => {}
        }
        fetch.await
    }

    /// Stores the entry for `life`, if Redis can be reached, and passes the lock on; false if it had passed on before, so
    /// that what was fetched may be old.
    pub(crate) async fn store(mut self, bytes: &[u8], life: Duration) -> bool {
        let Some(lock) = self.lock.clone() else { return false };
        let life = millis(life).max(1).to_string();
        let stored = self.flights.change(&lock, &self.entry, "store", &[bytes, life.as_bytes()]).await;
        // Only now: a caller that goes away half-way leaves the lock to be released.
        self.lock = None;
        let passed_on = matches!(stored, Ok(false));
        if passed_on {
            add(&self.flights.counts.fenced_out);
        }
        !passed_on
    }

    /// Passes the lock on: nothing was fetched.
    pub(crate) async fn release(mut self) {
        if let Some(lock) = self.lock.clone() {
            // One that is not released runs out; the link has counted and logged the failure.
            let _ = self.flights.change(&lock, &self.entry, "release", &[]).await;
            self.lock = None;
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // Without a place it runs out within a second.
            let _ = self.flights.left.try_send(lock);
        }
    }
}

impl fmt::Debug for Lease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Beside the entry, in its slot of a cluster: both have the same hash tag.
fn lock_key(entry: &str) -> String {
    entry.replacen(":cache:", ":flight:", 1)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
