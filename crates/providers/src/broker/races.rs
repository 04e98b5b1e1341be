//! Lanes under calls that run at the same time: whoever is served by another's end, at whatever moment, must not go on
//! as the one who keeps the time. The first test plays that moment by itself, the second leaves it to the threads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::{Clock, Entropy, PrincipalKind, Provider, SystemClock, UserId};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::fair_queue::Flow;
use super::lane::{Lane, Permit};
use super::shared::{Endpoint, QuotaKey};
use super::state::State;
use crate::types::Urgency;

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(2);
/// Of a crowd that meets the moment in one round of three or more.
const ROUNDS: usize = 30;

#[tokio::test(start_paused = true)]
async fn who_is_served_between_queueing_and_waiting_keeps_nobody_from_the_time() {
    // The clock is asked for the deadline, on the way in, once in line, and before the first nap.
    for asked_before in [2, 3] {
        let clock = Arc::new(Meddling { start: Instant::now(), ends: Mutex::default() });
        let lane = lane(1, &(Arc::clone(&clock) as Arc<dyn Clock>));
        let held = sent(&lane, &*clock).await.unwrap();
        *clock.ends.lock().unwrap() = Some((asked_before, held));
        sent(&lane, &*clock).await.unwrap().answered();
        assert!(clock.ends.lock().unwrap().is_none(), "the place was not given back in time");

        sent(&lane, &*clock).await.unwrap().refused(Some(PAUSE), &Lowest);
        let before = clock.elapsed();
        assert!(sent(&lane, &*clock).await.is_ok(), "nobody kept the time ({asked_before})");
        let waited = clock.elapsed().saturating_sub(before);
        assert!(waited.abs_diff(PAUSE) <= Duration::from_millis(1), "{waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_crowd_leaves_a_keeper_behind() {
    let clock: Arc<dyn Clock> = Arc::new(Yielding(SystemClock::new()));
    let lane = lane(2, &clock);
    for round in 0..ROUNDS {
        let mut calls = JoinSet::new();
        for _ in 0..6 {
            let (lane, clock) = (Arc::clone(&lane), Arc::clone(&clock));
            calls.spawn(async move {
                for _ in 0..50 {
                    let permit = sent(&lane, &*clock).await.unwrap();
                    tokio::task::yield_now().await;
                    permit.answered();
                }
            });
        }
        calls.join_all().await;
        let standing = lane.standing();
        assert_eq!((standing.waiting, standing.in_flight), (0, 0));
        assert_eq!(lane.keeper(), None, "the line of round {round} is empty");
    }
}

/// Time as tokio's paused clock has it. Ends a request when it is asked for the so-manieth time.
#[derive(Debug)]
struct Meddling {
    start: Instant,
    ends: Mutex<Option<(u32, Permit)>>,
}

impl Clock for Meddling {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_793_000_000, 0).unwrap() + self.start.elapsed()
    }

    fn elapsed(&self) -> Duration {
        let mut ends = self.ends.lock().unwrap();
        let due = match &mut *ends {
            Some((0, _)) => ends.take(),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        // The permit asks for the time when it is dropped.
        drop(ends);
        drop(due);
        self.start.elapsed() + Duration::from_secs(1)
    }
}

/// The machine's time, and another thread's turn whenever a lane asks for it.
#[derive(Debug)]
struct Yielding(SystemClock);

impl Clock for Yielding {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        std::thread::yield_now();
        self.0.elapsed()
    }
}

#[derive(Debug)]
struct Lowest;

impl Entropy for Lowest {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn lane(places: usize, clock: &Arc<dyn Clock>) -> Arc<Lane> {
    let key = QuotaKey {
        provider: Provider::Spotify,
        endpoint: Endpoint::Api,
        origin: "https://api.example".to_owned(),
        client_id: "client".to_owned(),
    };
    Arc::new(Lane::new(key, State::new(places, 1_024), Arc::default(), Arc::clone(clock)))
}

/// A place for a request that goes out, or how long to wait for one.
async fn sent(lane: &Arc<Lane>, clock: &dyn Clock) -> Result<Permit, Duration> {
    let deadline = clock.elapsed() + PATIENCE;
    let mut permit = lane.place(flow, Some(deadline), Urgency::Call).await?;
    permit.send();
    Ok(permit)
}

fn flow() -> Flow {
    Flow::of_user(UserId(Uuid::from_u128(1)), PrincipalKind::ApiKey("000000000001".parse().unwrap()))
}
