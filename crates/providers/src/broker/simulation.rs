//! The broker's decisions against a provider that counts requests over a rolling window, in simulated time: whether the
//! pace converges, stays out of long pauses, and follows a quota that changes.

use std::collections::VecDeque;
use std::time::Duration;

use stagedoor_domain::{Entropy, PrincipalKind, UserId};
use uuid::Uuid;

use super::fair_queue::Flow;
use super::state::{Admission, State};
use crate::types::Urgency;

const TICK: Duration = Duration::from_millis(20);
const LATENCY: Duration = Duration::from_millis(100);
const WINDOW: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Lowest;

impl Entropy for Lowest {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// How a provider answers what is over its quota.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// Until there is room again.
    Exact,
    /// Always as long.
    Fixed(Duration),
    /// Not told.
    Untold,
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Taken,
    Refused { retry_after: Option<Duration> },
}

/// A provider that takes `quota` requests in any 30 seconds. What it refuses does not count.
struct Provider {
    quota: u32,
    wait: Wait,
    taken: VecDeque<Duration>,
}

impl Provider {
    fn none() -> Self {
        Self { quota: 0, wait: Wait::Untold, taken: VecDeque::new() }
    }

    fn ask(&mut self, now: Duration) -> Verdict {
        while self.taken.front().is_some_and(|taken| *taken + WINDOW <= now) {
            self.taken.pop_front();
        }
        if self.taken.len() < self.quota as usize {
            self.taken.push_back(now);
            return Verdict::Taken;
        }
        let in_the_way = self.taken.len() - self.quota as usize;
        let room = self.taken.get(in_the_way).map_or(WINDOW, |taken| (*taken + WINDOW).saturating_sub(now));
        let retry_after = match self.wait {
            Wait::Exact => Some(Duration::from_secs(room.as_secs() + 1)),
            Wait::Fixed(wait) => Some(wait),
            Wait::Untold => None,
        };
        Verdict::Refused { retry_after }
    }
}

/// A replica and what it saw since the last look.
struct World {
    state: State<Duration>,
    now: Duration,
    provider: Provider,
    under_way: VecDeque<(Duration, Duration, Verdict)>,
    answered: usize,
    refusals: usize,
    refused_at: Vec<Duration>,
    paused: Duration,
    came_too_late: usize,
    turned_away: usize,
    in_vain: Duration,
    owed: f64,
}

impl World {
    fn new(quota: u32, wait: Wait) -> Self {
        Self {
            state: State::new(16, 1_024),
            now: Duration::from_secs(1_000),
            provider: Provider { quota, wait, taken: VecDeque::new() },
            under_way: VecDeque::new(),
            answered: 0,
            refusals: 0,
            refused_at: Vec::new(),
            paused: Duration::ZERO,
            came_too_late: 0,
            turned_away: 0,
            in_vain: Duration::ZERO,
            owed: 0.0,
        }
    }

    /// Lets `per_second` calls of a few people come for `span`.
    fn run(&mut self, per_second: f64, span: Duration) {
        let provider = Provider { taken: std::mem::take(&mut self.provider.taken), ..self.provider };
        let state = std::mem::replace(&mut self.state, State::new(1, 1));
        let under_way = std::mem::take(&mut self.under_way);
        *self = Self { state, now: self.now, provider, under_way, ..Self::new(0, Wait::Exact) };
        let end = self.now + span;
        while self.now < end {
            self.step(per_second);
        }
    }

    fn step(&mut self, per_second: f64) {
        self.now += TICK;
        self.finish();
        for (waiter, _) in self.state.late(self.now) {
            self.turned_away += 1;
            self.in_vain += self.now.saturating_sub(waiter.wake);
        }
        while let Some(waiter) = self.state.next(self.now) {
            self.came_too_late += usize::from(waiter.wake + PATIENCE < self.now + LATENCY);
            self.send();
        }
        self.owed += per_second * TICK.as_secs_f64();
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            self.call();
        }
        self.paused += self.state.pause.remaining(self.now).map_or(Duration::ZERO, |_| TICK);
    }

    fn call(&mut self) {
        let user = self.now.as_millis() / TICK.as_millis() % 3;
        let flow = || Flow::of_user(UserId(Uuid::from_u128(user)), PrincipalKind::Job("agent"));
        let deadline = self.now + PATIENCE;
        match self.state.admit(flow, Some(deadline), Urgency::Call, self.now) {
            Admission::Go(_) => self.send(),
            Admission::Wait => drop(self.state.queue(flow(), Some(deadline), self.now, self.now)),
            Admission::Refused(_) => {}
        }
    }

    fn send(&mut self) {
        let verdict = self.provider.ask(self.now);
        self.under_way.push_back((self.now, self.now + LATENCY, verdict));
    }

    fn finish(&mut self) {
        while self.under_way.front().is_some_and(|(_, end, _)| *end <= self.now) {
            let Some((sent_at, _, verdict)) = self.under_way.pop_front() else { return };
            self.state.finish(LATENCY);
            match verdict {
                Verdict::Taken => {
                    self.answered += 1;
                    self.state.pause.answered(sent_at);
                }
                Verdict::Refused { retry_after } => {
                    self.refusals += 1;
                    if self.state.pause.remaining(self.now).is_none() {
                        self.refused_at.push(self.now);
                    }
                    self.state.refused(sent_at, retry_after, self.now, &Lowest);
                }
            }
        }
    }

    fn pace(&self) -> f64 {
        self.state.pace.per_second().unwrap_or(f64::INFINITY)
    }
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Calls a second that a quota allows.
fn rate(quota: u32) -> f64 {
    f64::from(quota) / WINDOW.as_secs_f64()
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

#[test]
fn the_pace_settles_below_the_quota_and_keeps_out_of_long_pauses() {
    let half_a_minute = Wait::Fixed(Duration::from_secs(30));
    for (wait, quota, least_used, most_paused) in [
        (Wait::Exact, 60, 0.8, 0.02),
        (Wait::Exact, 600, 0.8, 0.02),
        (half_a_minute, 300, 0.65, 0.2),
        (Wait::Untold, 300, 0.8, 0.02),
    ] {
        let mut world = World::new(quota, wait);
        let allowed = rate(quota);
        world.run(allowed * 3.0, minutes(5));
        world.run(allowed * 3.0, minutes(30));
        let used = count(world.answered) / (allowed * minutes(30).as_secs_f64());
        let paused = world.paused.as_secs_f64() / minutes(30).as_secs_f64();
        assert!(used >= least_used, "{wait:?} {quota}: used {used:.3}");
        assert!(paused <= most_paused, "{wait:?} {quota}: paused {paused:.3}");
        let gaps = world.refused_at.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let closest = gaps.min().unwrap_or(Duration::MAX);
        assert!(closest >= minutes(2), "{wait:?} {quota}: refused twice within {closest:?}");
        assert_eq!(world.came_too_late, 0, "{wait:?} {quota}: a request went out that came too late");
    }
}

#[test]
fn who_is_sent_away_is_sent_away_early() {
    let mut world = World::new(300, Wait::Exact);
    world.run(rate(300) * 3.0, minutes(5));
    world.run(rate(300) * 3.0, minutes(10));
    assert!(world.turned_away > 0, "more came than could go");
    let mean = world.in_vain / u32::try_from(world.turned_away).unwrap();
    assert!(mean < Duration::from_secs(1), "{mean:?} of waiting for nothing");
}

#[test]
fn the_pace_follows_a_quota_that_changes() {
    for wait in [Wait::Exact, Wait::Fixed(Duration::from_secs(1)), Wait::Untold] {
        let mut world = World::new(300, wait);
        world.run(60.0, minutes(5));
        assert!((6.0..=11.0).contains(&world.pace()), "{wait:?}: {}", world.pace());
        world.provider.quota = 900;
        world.run(60.0, minutes(8));
        assert!(world.pace() > 20.0, "{wait:?}: {}", world.pace());
        world.provider.quota = 150;
        world.run(60.0, minutes(5));
        assert!(world.pace() <= 5.5, "{wait:?}: {}", world.pace());
        assert!(world.refused_at.len() <= 16, "{wait:?}: {:?}", world.refused_at);
        world.run(60.0, minutes(10));
        assert!(count(world.answered) >= rate(150) * 600.0 * 0.75, "{wait:?}: {}", world.answered);
    }
}

#[test]
fn a_pace_that_nobody_needs_any_more_goes() {
    let mut world = World::new(300, Wait::Exact);
    world.run(60.0, minutes(2));
    assert!(world.pace().is_finite());
    world.run(1.0, minutes(2));
    assert!(world.pace().is_infinite(), "{}", world.pace());
    world.run(9.0, minutes(10));
    assert_eq!((world.refusals, world.turned_away), (0, 0), "what the quota allows goes out");
}

#[test]
fn a_lone_refusal_leaves_a_pace_that_still_serves() {
    let mut world = World::new(0, Wait::Fixed(Duration::from_secs(20)));
    world.run(0.2, Duration::from_secs(10));
    assert!((0.49..0.6).contains(&world.pace()), "{}", world.pace());
    world.provider.quota = 300;
    world.run(0.2, minutes(2));
    assert!(world.pace().is_infinite(), "{}", world.pace());
}

/// Three replicas and one quota; each asks for the pauses of the others before each request.
#[test]
fn replicas_that_share_pauses_share_the_quota() {
    let mut worlds = [(); 3].map(|()| World::new(300, Wait::Exact));
    let mut counted = [0; 3];
    for tick in 0..minutes(35).as_millis() / TICK.as_millis() {
        for turn in 0..3 {
            worlds[turn].step(10.0);
            let provider = std::mem::replace(&mut worlds[turn].provider, Provider::none());
            let pause = worlds[turn].state.pause.remaining(worlds[turn].now);
            for other in worlds.iter_mut().filter(|_| pause.is_some()) {
                if other.state.pause.remaining(other.now).is_none() {
                    other.state.heard(pause.unwrap_or_default(), other.now);
                }
            }
            worlds[(turn + 1) % 3].provider = provider;
        }
        if tick == minutes(5).as_millis() / TICK.as_millis() {
            counted = worlds.each_ref().map(|world| world.answered);
        }
    }
    let shares: Vec<f64> =
        worlds.iter().zip(counted).map(|(world, before)| count(world.answered - before)).collect();
    let used = shares.iter().sum::<f64>() / (rate(300) * minutes(30).as_secs_f64());
    assert!(used >= 0.75, "{used:.3}");
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min) / shares.iter().sum::<f64>();
    assert!(least >= 0.2, "{shares:?}: one replica gets next to nothing");
    assert!(worlds.iter().all(|world| world.came_too_late == 0));
    let refusals: usize = worlds.iter().map(|world| world.refusals).sum();
    assert!(refusals <= 60, "{refusals}");
}
