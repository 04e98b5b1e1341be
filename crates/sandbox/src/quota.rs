//! A limit on requests per client id over a rolling window, as providers have one, and how many requests each account
//! sent: what is needed to prove that a queue before it is fair.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagedoor_domain::Provider;

/// How many requests a client id may send, with whoever's tokens; refused ones do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestQuota {
    /// Requests in any window.
    pub requests: u32,
    /// The window, in seconds; it rolls.
    pub window_seconds: u32,
    /// Whether a 429 says in `Retry-After` when there is room again.
    pub tells_wait: bool,
}

/// What one account sent under one client id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Requests that passed the quota.
    pub passed: u64,
    /// Requests that got a 429 from it.
    pub refused: u64,
}

/// Why a request does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverQuota {
    /// Whole seconds until there is room, if the quota tells.
    pub(crate) retry_after: Option<u64>,
}

/// The quotas in force and what was counted.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    clients: Mutex<HashMap<(Provider, String), Client>>,
}

#[derive(Debug, Default)]
struct Client {
    quota: Option<RequestQuota>,
    passed_at: VecDeque<Duration>,
    traffic: BTreeMap<String, Traffic>,
}

impl Quotas {
    pub(crate) fn set(&self, provider: Provider, client_id: &str, quota: Option<RequestQuota>) {
        self.lock().entry((provider, client_id.to_owned())).or_default().quota = quota;
    }

    pub(crate) fn traffic(&self, provider: Provider, client_id: &str) -> BTreeMap<String, Traffic> {
        let clients = self.lock();
        let client = clients.get(&(provider, client_id.to_owned()));
        client.map(|client| client.traffic.clone()).unwrap_or_default()
    }

    pub(crate) fn reset_traffic(&self) {
        for client in self.lock().values_mut() {
            client.traffic.clear();
        }
    }

    /// Counts a request of `account` at `now`, in the clock's own time.
    pub(crate) fn pass(
        &self,
        provider: Provider,
        client_id: &str,
        account: &str,
        now: Duration,
    ) -> Result<(), OverQuota> {
        let mut clients = self.lock();
        let client = clients.entry((provider, client_id.to_owned())).or_default();
        let refusal = client.quota.and_then(|quota| client.refusal(quota, now));
        let traffic = client.traffic.entry(account.to_owned()).or_default();
        *(if refusal.is_some() { &mut traffic.refused } else { &mut traffic.passed }) += 1;
        refusal.map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Provider, String), Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn refusal(&mut self, quota: RequestQuota, now: Duration) -> Option<OverQuota> {
        let window = Duration::from_secs(quota.window_seconds.into());
        while self.passed_at.front().is_some_and(|passed| *passed + window <= now) {
            self.passed_at.pop_front();
        }
        let in_the_way = self.passed_at.len().checked_sub(quota.requests as usize);
        let Some(in_the_way) = in_the_way else {
            self.passed_at.push_back(now);
            return None;
        };
        let room_at = self.passed_at.get(in_the_way).map_or(now + window, |passed| *passed + window);
        let wait = room_at.saturating_sub(now);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Some(OverQuota { retry_after: quota.tells_wait.then_some(seconds) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_window_rolls_and_tells_when_there_is_room() {
        let quotas = Quotas::default();
        let quota = RequestQuota { requests: 2, window_seconds: 30, tells_wait: true };
        quotas.set(Provider::Spotify, "a", Some(quota));
        let ask = |client, account, now| quotas.pass(Provider::Spotify, client, account, at(now));
        assert_eq!(ask("a", "one", 0), Ok(()));
        assert_eq!(ask("a", "two", 10_000), Ok(()));
        assert_eq!(ask("a", "one", 29_500), Err(OverQuota { retry_after: Some(1) }));
        assert_eq!(ask("b", "one", 29_500), Ok(()), "another client id has its own");
        assert_eq!(ask("a", "one", 30_000), Ok(()));
        assert_eq!(ask("a", "one", 30_000), Err(OverQuota { retry_after: Some(10) }));
        let traffic = quotas.traffic(Provider::Spotify, "a");
        assert_eq!(traffic["one"], Traffic { passed: 2, refused: 2 });
        assert_eq!(traffic["two"], Traffic { passed: 1, refused: 0 });
    }

    #[test]
    fn a_lowered_quota_waits_for_all_that_is_over_it() {
        let quotas = Quotas::default();
        let quota = |requests| RequestQuota { requests, window_seconds: 30, tells_wait: true };
        quotas.set(Provider::Tidal, "a", Some(quota(5)));
        for second in 0..5 {
            quotas.pass(Provider::Tidal, "a", "one", at(second * 1_000)).unwrap();
        }
        quotas.set(Provider::Tidal, "a", Some(quota(2)));
        let refused = quotas.pass(Provider::Tidal, "a", "one", at(5_000));
        assert_eq!(refused, Err(OverQuota { retry_after: Some(28) }));
        quotas.set(Provider::Tidal, "a", Some(RequestQuota { tells_wait: false, ..quota(2) }));
        let refused = quotas.pass(Provider::Tidal, "a", "one", at(5_000));
        assert_eq!(refused, Err(OverQuota { retry_after: None }));
        quotas.set(Provider::Tidal, "a", None);
        assert_eq!(quotas.pass(Provider::Tidal, "a", "one", at(5_000)), Ok(()));
    }
}
