//! Failed authentications: at most so many in a sliding window, an exact log per client network. It works before
//! there is a principal, so it takes the tenant's id instead of a context.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stagedoor_domain::network::client_network;
use stagedoor_domain::{Clock, ErrorCode, PublicError, TenantId};
use stagedoor_redis_link::RedisLink;

use crate::script::Program;

/// How many failures are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptPolicy {
    /// Failures within the window after which further attempts are refused.
    pub failures: u32,
    /// The window.
    pub window: Duration,
}

impl Default for AttemptPolicy {
    /// SEED-T §3.1: 5 in 15 minutes.
    fn default() -> Self {
        Self { failures: 5, window: Duration::from_mins(15) }
    }
}

/// Where the failures of one client network at one tenant are logged, whatever it tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempts {
    tenant: TenantId,
    network: IpAddr,
}

impl Attempts {
    /// The log of the network of `address` at `tenant`.
    pub fn new(tenant: TenantId, address: IpAddr) -> Self {
        Self { tenant, network: client_network(address) }
    }

    fn redis_key(&self) -> String {
        format!("sd:{{{}}}:attempts:v2:{}", self.tenant, self.network)
    }
}

/// Counts failed authentications.
#[derive(Debug)]
pub struct AttemptGuard {
    policy: AttemptPolicy,
    clock: Arc<dyn Clock>,
    log: Mutex<HashMap<Attempts, VecDeque<Duration>>>,
    shared: Option<(Arc<RedisLink>, Program)>,
}

/// The most logs held in this process; beyond it those that failed longest ago are dropped.
const MAX_LOGS: usize = 100_000;

impl AttemptGuard {
    /// A log in this process only.
    pub fn local(policy: AttemptPolicy, clock: Arc<dyn Clock>) -> Self {
        Self { policy, clock, log: Mutex::default(), shared: None }
    }

    /// A log in Redis, shared by all replicas. Each replica also logs its own failures and uses these, at the
    /// same strict limit, while Redis is out of reach.
    pub fn redis(link: Arc<RedisLink>, policy: AttemptPolicy, clock: Arc<dyn Clock>) -> Self {
        let script = Program::new(include_str!("attempts.lua"));
        Self { shared: Some((link, script)), ..Self::local(policy, clock) }
    }

    /// Logs a failure. `Err` with the time to wait if the log was full already: this attempt is then answered as
    /// refused, not as wrong.
    pub async fn record_failure(&self, attempts: &Attempts) -> Result<(), PublicError> {
        let here = self.record_here(attempts);
        let wait = match &self.shared {
            Some((link, script)) => {
                let (failures, window) =
                    (self.policy.failures.to_string(), self.policy.window.as_micros().to_string());
                let arguments = [failures.as_bytes(), window.as_bytes()];
                let answer = script.run::<u64>(link, &[&attempts.redis_key()], &arguments).await;
                answer.map_or(here, Duration::from_micros)
            }
            None => here,
        };
        if wait.is_zero() { Ok(()) } else { Err(refusal(wait)) }
    }

    /// How long attempts are refused, before this failure is recorded.
    fn record_here(&self, attempts: &Attempts) -> Duration {
        let now = self.clock.elapsed();
        let limit = usize::try_from(self.policy.failures).unwrap_or(usize::MAX);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = log.get(attempts).map_or(Duration::ZERO, |failures| self.wait_after(failures, now));
        if limit > 0 {
            self.make_room(&mut log, now);
            let failures = log.entry(attempts.clone()).or_default();
            failures.push_back(now);
            failures.drain(..failures.len().saturating_sub(limit));
        }
        wait
    }

    /// The log holds the last `failures` failures; attempts are refused until the oldest of them leaves the window.
    fn wait_after(&self, failures: &VecDeque<Duration>, now: Duration) -> Duration {
        if failures.len() < usize::try_from(self.policy.failures).unwrap_or(usize::MAX) {
            return Duration::ZERO;
        }
        failures.front().map_or(Duration::ZERO, |oldest| (*oldest + self.policy.window).saturating_sub(now))
    }

    fn make_room(&self, log: &mut HashMap<Attempts, VecDeque<Duration>>, now: Duration) {
        if log.len() < MAX_LOGS {
            return;
        }
        let last = |failures: &VecDeque<Duration>| failures.back().copied().unwrap_or_default();
        log.retain(|_, failures| last(failures) + self.policy.window > now);
        if log.len() < MAX_LOGS {
            return;
        }
        let mut times: Vec<Duration> = log.values().map(last).collect();
        let (_, median, _) = times.select_nth_unstable(MAX_LOGS / 2);
        let median = *median;
        log.retain(|_, failures| last(failures) > median);
    }
}

fn refusal(wait: Duration) -> PublicError {
    PublicError::new(ErrorCode::TooManyAttempts, "Too many failed attempts from this network.")
        .hint("Check the key, then wait before the next attempt.")
        .retry_after(wait)
}
