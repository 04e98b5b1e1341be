//! Lanes as their callers see them, in time that passes only when nothing else can happen: turns, deadlines, and those
//! who leave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use stagedoor_domain::{
    ApiKeyId, CallId, Clock, Entropy, Principal, PrincipalKind, Provider, Tenant, TenantContext, TenantId,
    TenantSettings, TenantStatus, UserId,
};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use super::fair_queue::Flow;
use super::lane::{Lane, Permit};
use super::shared::{Endpoint, QuotaKey, SharedPauses};
use super::state::State;
use super::{Broker, BrokerOptions};
use crate::types::Urgency;

const SECOND: Duration = Duration::from_secs(1);

/// Time as tokio's paused clock has it.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_793_000_000, 0).unwrap() + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() + SECOND
    }
}

#[derive(Debug)]
struct Lowest;

impl Entropy for Lowest {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// A call of principal `key` of person `user`.
#[expect(clippy::disallowed_methods, reason = "a test builds its contexts itself")]
fn context(user: u128, key: u8) -> TenantContext {
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(1)),
        slug: "test".parse().unwrap(),
        status: TenantStatus::Active,
        settings: TenantSettings::default(),
    };
    let principal = Principal {
        kind: PrincipalKind::ApiKey(format!("{key:012}").parse::<ApiKeyId>().unwrap()),
        user: Some(UserId(Uuid::from_u128(user))),
        scopes: stagedoor_domain::ScopeSet::all(),
        toolsets: stagedoor_domain::tool::ToolsetSet::all(),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    };
    TenantContext::for_request(Arc::new(tenant), Arc::new(principal), CallId(Uuid::nil()))
}

fn quota_key(endpoint: Endpoint) -> QuotaKey {
    let origin = "https://api.example".to_owned();
    QuotaKey { provider: Provider::Spotify, endpoint, origin, client_id: "client".to_owned() }
}

#[derive(Clone)]
struct Desk {
    clock: Arc<Paused>,
    lane: Arc<Lane>,
}

impl Desk {
    fn new(places: usize, longest_line: usize) -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let state = State::new(places, longest_line);
        let key = quota_key(Endpoint::Api);
        let lane = Lane::new(key, state, Arc::default(), Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, lane: Arc::new(lane) }
    }

    fn since(&self, before: Duration) -> Duration {
        self.clock.elapsed().saturating_sub(before)
    }

    async fn place(&self, user: u128, patience: Option<Duration>) -> Result<Permit, Duration> {
        let ctx = context(user, u8::try_from(user).unwrap());
        let deadline = patience.map(|patience| self.clock.elapsed() + patience);
        let mut permit = self.lane.place(|| Flow::of(&ctx), deadline, Urgency::Call).await?;
        permit.send();
        Ok(permit)
    }

    /// Makes the provider ask to be left alone for `wait`, and with it a pace of `per_second`.
    async fn refuse(&self, per_second: f64, wait: Duration) {
        let requests = (per_second / 0.7 * 30.0).round();
        let mut sent = 1.0;
        while sent < requests {
            self.place(99, None).await.unwrap().answered();
            sent += 1.0;
        }
        assert_eq!(self.place(99, None).await.unwrap().refused(Some(wait), &Lowest), wait);
    }
}

#[tokio::test(start_paused = true)]
async fn one_persons_thousand_calls_delay_another_by_one_turn() {
    let desk = Desk::new(1, 2_000);
    let served = Arc::new(Mutex::new(Vec::new()));
    let held = desk.place(1, None).await.unwrap();
    let mut calls = JoinSet::new();
    let mut call = |user| {
        let (desk, served) = (desk.clone(), Arc::clone(&served));
        calls.spawn(async move {
            let permit = desk.place(user, None).await.unwrap();
            served.lock().unwrap().push(user);
            tokio::time::sleep(Duration::from_millis(50)).await;
            permit.answered();
        });
    };
    (0..1_000).for_each(|_| call(1));
    settle().await;
    call(2);
    call(3);
    settle().await;
    assert_eq!(desk.lane.standing().waiting, 1_002);
    drop(held);
    calls.join_all().await;
    let served = served.lock().unwrap();
    let places: Vec<_> = [2, 3].map(|user| served.iter().position(|who| *who == user).unwrap()).into();
    assert_eq!((served.len(), places), (1_002, vec![1, 2]));
    assert_eq!((desk.lane.standing().waiting, desk.lane.standing().in_flight), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_more_go_out_at_a_time_than_there_are_places() {
    let desk = Desk::new(3, 100);
    let mut calls = JoinSet::new();
    for user in 0..30 {
        let desk = desk.clone();
        calls.spawn(async move {
            let permit = desk.place(user % 4, Some(60 * SECOND)).await.unwrap();
            let under_way = desk.lane.standing().in_flight;
            tokio::time::sleep(SECOND).await;
            permit.answered();
            under_way
        });
    }
    let before = desk.clock.elapsed();
    let most = calls.join_all().await.into_iter().max();
    assert_eq!((most, desk.since(before)), (Some(3), 10 * SECOND), "and none was idle");
}

#[tokio::test(start_paused = true)]
async fn who_would_come_too_late_is_refused_at_once_with_the_time() {
    let desk = Desk::new(16, 100);
    desk.refuse(0.7, 4 * SECOND).await;
    let before = desk.clock.elapsed();
    assert_eq!(desk.place(1, Some(3 * SECOND)).await.unwrap_err(), 4 * SECOND);
    assert_eq!(desk.place(1, None).await.unwrap_err(), 4 * SECOND, "no deadline is no patience");
    assert_eq!(desk.clock.elapsed(), before, "at once");
    let patient = spawn({
        let desk = desk.clone();
        async move { desk.place(1, Some(10 * SECOND)).await.map(Permit::answered) }
    });
    settle().await;
    let interval = Duration::from_secs_f64(1.0 / 0.7);
    let next = desk.place(2, Some(5 * SECOND)).await.unwrap_err();
    assert!(next.abs_diff(4 * SECOND + interval) < Duration::from_millis(40), "{next:?}: one turn later");
    patient.await.unwrap().unwrap();
    let waited = desk.since(before);
    assert!(waited.abs_diff(4 * SECOND) <= Duration::from_millis(1), "{waited:?}: when the pause is over");
}

#[tokio::test(start_paused = true)]
async fn a_pause_sends_away_those_in_line_who_cannot_sit_through_it() {
    let desk = Desk::new(1, 100);
    let first = desk.place(1, None).await.unwrap();
    let wait = |patience: Duration| {
        let desk = desk.clone();
        spawn(async move {
            let before = desk.clock.elapsed();
            let outcome = desk.place(2, Some(patience)).await.map(Permit::answered);
            (outcome, desk.since(before))
        })
    };
    let (hasty, patient) = (wait(5 * SECOND), wait(30 * SECOND));
    settle().await;
    tokio::time::sleep(SECOND).await;
    first.refused(Some(10 * SECOND), &Lowest);
    assert_eq!(hasty.await.unwrap(), (Err(10 * SECOND), SECOND));
    let (outcome, waited) = patient.await.unwrap();
    assert!(outcome.is_ok() && waited.abs_diff(11 * SECOND) < Duration::from_millis(5), "{waited:?}");
    assert_eq!(desk.lane.standing().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_at_any_moment_leaves_no_hole() {
    let desk = Desk::new(2, 100);
    let held = [desk.place(1, None).await.unwrap(), desk.place(1, None).await.unwrap()];
    let waiting: Vec<_> = (0..10)
        .map(|user| {
            let desk = desk.clone();
            spawn(async move {
                let permit = desk.place(user, Some(60 * SECOND)).await.unwrap();
                tokio::time::sleep(SECOND).await;
                permit.answered();
            })
        })
        .collect();
    settle().await;
    // Whoever keeps the time is among them, as is one that is given a place and leaves before it knows.
    waiting[0].abort();
    waiting[3].abort();
    drop(held);
    waiting[1].abort();
    settle().await;
    let standing = desk.lane.standing();
    assert_eq!((standing.in_flight, standing.waiting), (2, 5), "{standing:?}");
    let before = desk.clock.elapsed();
    for (number, call) in waiting.into_iter().enumerate() {
        assert_eq!(call.await.is_err(), [0, 1, 3].contains(&number), "{number}");
    }
    assert!(desk.since(before) <= 4 * SECOND);
    let standing = desk.lane.standing();
    assert_eq!((standing.in_flight, standing.waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_keeps_the_time_may_leave() {
    let desk = Desk::new(16, 100);
    desk.refuse(0.7, 2 * SECOND).await;
    let wait = |user| {
        let desk = desk.clone();
        spawn(async move { desk.place(user, Some(60 * SECOND)).await.map(Permit::answered) })
    };
    let calls = [wait(1), wait(2), wait(3)];
    settle().await;
    calls[0].abort();
    tokio::time::sleep(Duration::from_millis(50)).await;
    calls[1].abort();
    let before = desk.clock.elapsed();
    let [_, _, last] = calls;
    last.await.unwrap().unwrap();
    let waited = desk.since(before);
    assert!(waited <= 2 * SECOND, "{waited:?}: those who left took their turns with them");
}

#[tokio::test(start_paused = true)]
async fn a_full_line_makes_room_for_whoever_has_less() {
    let desk = Desk::new(1, 4);
    let held = desk.place(1, None).await.unwrap();
    let wait = |user| {
        let desk = desk.clone();
        spawn(async move { desk.place(user, None).await.map(Permit::answered) })
    };
    let greedy = [wait(1), wait(1), wait(1), wait(1)];
    settle().await;
    assert!(desk.place(1, None).await.is_err(), "the line is full");
    let modest = wait(2);
    settle().await;
    drop(held);
    assert!(modest.await.unwrap().is_ok());
    let mut outcomes = Vec::new();
    for call in greedy {
        outcomes.push(call.await.unwrap().is_ok());
    }
    assert_eq!(outcomes, [true, true, true, false], "the newest of whoever has most gave way");
}

#[tokio::test(start_paused = true)]
async fn background_work_never_waits_and_never_competes() {
    let desk = Desk::new(4, 100);
    let ctx = context(1, 1);
    let background = || desk.lane.place(|| Flow::of(&ctx), None, Urgency::Background);
    let first = background().await.unwrap();
    let second = background().await.unwrap();
    assert!(background().await.is_err(), "half of the places are for calls");
    drop((first, second));
    desk.refuse(0.7, SECOND).await;
    assert!(background().await.is_err(), "paused");
    tokio::time::sleep(5 * SECOND).await;
    assert!(background().await.is_err(), "paced");
    tokio::time::sleep(120 * SECOND).await;
    assert!(background().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn sixteen_that_hear_of_a_pause_on_their_way_out_bring_no_burst_after_it() {
    let desk = Desk::new(16, 100);
    for _ in 0..300 {
        desk.place(1, None).await.unwrap().answered();
    }
    let ctx = context(1, 1);
    let mut on_their_way = Vec::new();
    for _ in 0..16 {
        on_their_way.push(desk.lane.place(|| Flow::of(&ctx), None, Urgency::Call).await.unwrap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for permit in on_their_way {
        permit.hear(4 * SECOND);
    }
    let standing = desk.lane.standing();
    assert_eq!((standing.in_flight, standing.paused_for), (0, Some(4 * SECOND)));
    assert!(standing.pace_per_second > Some(7.0), "{standing:?}: a burst would be of 14");
    tokio::time::sleep(4 * SECOND).await;
    let mut at_once = Vec::new();
    while let Ok(permit) = desk.place(1, Some(Duration::ZERO)).await {
        at_once.push(permit);
    }
    assert_eq!(at_once.len(), 1);
}

/// What replicas tell each other, without Redis.
#[derive(Debug)]
struct Board {
    clock: Arc<Paused>,
    until: Mutex<HashMap<Endpoint, Duration>>,
    asked: Mutex<usize>,
}

#[async_trait]
impl SharedPauses for Board {
    async fn pause(&self, _: &TenantContext, key: &QuotaKey, wait: Duration) {
        self.until.lock().unwrap().insert(key.endpoint, self.clock.elapsed() + wait);
    }

    async fn remaining(&self, _: &TenantContext, key: &QuotaKey) -> Option<Duration> {
        *self.asked.lock().unwrap() += 1;
        self.until.lock().unwrap().get(&key.endpoint)?.checked_sub(self.clock.elapsed())
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_replica_is_told_all_keep() {
    let clock = Arc::new(Paused(Instant::now()));
    let board =
        Arc::new(Board { clock: Arc::clone(&clock), until: Mutex::default(), asked: Mutex::default() });
    let replica = || {
        let shared = Some(Arc::clone(&board) as Arc<dyn SharedPauses>);
        Broker::new(BrokerOptions::default(), shared, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Lowest))
    };
    let (here, there) = (replica(), replica());
    let ctx = context(1, 1);
    let ask = async |broker: &Broker, endpoint, patience| {
        let turn =
            broker.turn_of(&ctx, quota_key(endpoint), Some(clock.elapsed() + patience), Urgency::Call).await;
        turn.map(|(lane, permit)| super::Turn { broker, ctx: &ctx, lane, permit }.answered())
    };
    ask(&there, Endpoint::Api, SECOND).await.unwrap();
    let (lane, permit) = here.turn_of(&ctx, quota_key(Endpoint::Api), None, Urgency::Call).await.unwrap();
    super::Turn { broker: &here, ctx: &ctx, lane, permit }.refused(Some(8 * SECOND)).await;
    let asked = *board.asked.lock().unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&there, Endpoint::Api, SECOND).await.unwrap_err().0, 8 * SECOND);
        assert_eq!(ask(&here, Endpoint::Api, SECOND).await.unwrap_err().0, 8 * SECOND);
    }
    assert_eq!(*board.asked.lock().unwrap() - asked, 1, "once known, nobody is asked");
    ask(&there, Endpoint::Token, SECOND).await.unwrap();
    let counters = there.counters(Provider::Spotify);
    assert_eq!((counters.pauses, counters.shared_pauses, counters.paced, counters.paused), (0, 1, 1, 1));
    assert_eq!((counters.in_flight, counters.waiting), (0, 0));
    ask(&there, Endpoint::Api, 9 * SECOND).await.unwrap();
    assert_eq!(there.counters(Provider::Spotify).paused, 0);
}

#[expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]
fn spawn<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(call)
}

/// Lets every task go as far as it can without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
