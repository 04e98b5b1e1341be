//! Failed authentications: at most so many in a sliding window, an exact log per credential and client network.
//! It works before there is a principal, so it takes the tenant's id instead of a context.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Script;
use stagedoor_domain::{ApiKeyId, Clock, ErrorCode, PublicError, TenantId};
use stagedoor_redis_link::RedisLink;

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

/// What was tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttemptSubject {
    /// A key that exists.
    Key(ApiKeyId),
    /// A key that does not exist, or no key at all. All of these count together, so that made-up ids cannot
    /// fill the log, and apart from real keys, so that they cannot lock one out.
    Unknown,
}

/// One credential tried from one network at one tenant; never a whole tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempts {
    tenant: TenantId,
    subject: AttemptSubject,
    network: IpAddr,
}

impl Attempts {
    /// The log of `subject` at `tenant` from the network of `address`: the address itself for IPv4, its /64 for
    /// IPv6, because that is what one customer is handed.
    pub fn new(tenant: TenantId, subject: AttemptSubject, address: IpAddr) -> Self {
        Self { tenant, subject, network: network_of(address) }
    }

    fn redis_key(&self) -> String {
        let subject = match &self.subject {
            AttemptSubject::Key(id) => id.as_str(),
            AttemptSubject::Unknown => "unknown",
        };
        format!("sd:{{{}}}:attempts:{subject}:{}", self.tenant, self.network)
    }
}

/// Counts failed authentications. Ask before verifying, record after a failure.
#[derive(Debug)]
pub struct AttemptGuard {
    policy: AttemptPolicy,
    clock: Arc<dyn Clock>,
    log: Mutex<HashMap<Attempts, VecDeque<Duration>>>,
    shared: Option<(Arc<RedisLink>, Script)>,
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
        let script = Script::new(include_str!("attempts.lua"));
        Self { shared: Some((link, script)), ..Self::local(policy, clock) }
    }

    /// `Err` with the time to wait if there were too many failures.
    pub async fn check(&self, attempts: &Attempts) -> Result<(), PublicError> {
        match self.wait(attempts, false).await {
            Duration::ZERO => Ok(()),
            wait => Err(refusal(wait)),
        }
    }

    /// Logs a failure. `Err` if the log was full already: attempts that ran side by side passed the check
    /// together, and this one is then answered as refused, not as wrong.
    pub async fn record_failure(&self, attempts: &Attempts) -> Result<(), PublicError> {
        match self.wait(attempts, true).await {
            Duration::ZERO => Ok(()),
            wait => Err(refusal(wait)),
        }
    }

    /// How long attempts are refused, before a failure is recorded if `record` is set.
    async fn wait(&self, attempts: &Attempts, record: bool) -> Duration {
        let here = self.wait_here(attempts, record);
        let Some((link, script)) = &self.shared else { return here };
        let mut call = script.key(attempts.redis_key());
        let window = u64::try_from(self.policy.window.as_micros()).unwrap_or(u64::MAX);
        call.arg(self.policy.failures).arg(window).arg(u8::from(record));
        let answer =
            link.run(|mut connection| async move { call.invoke_async::<u64>(&mut connection).await }).await;
        answer.map_or(here, Duration::from_micros)
    }

    fn wait_here(&self, attempts: &Attempts, record: bool) -> Duration {
        let now = self.clock.elapsed();
        let limit = usize::try_from(self.policy.failures).unwrap_or(usize::MAX);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = log.get(attempts).map_or(Duration::ZERO, |failures| self.wait_after(failures, now));
        if record && limit > 0 {
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

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}
