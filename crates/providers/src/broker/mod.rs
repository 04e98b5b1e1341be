//! The quota broker: who of a tenant's people may use its client id at a provider, and when. One line for each client
//! id, fair among people; a pace learned from 429s; pauses that all replicas keep. Sends nothing itself.

mod counters;
mod fair_queue;
mod lane;
mod pace;
mod pause;
#[cfg(test)]
mod races;
mod shared;
#[cfg(test)]
mod simulation;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stagedoor_domain::{Clock, Entropy, Provider, TenantContext, TenantId};

pub use counters::BrokerCounters;
pub use lane::Standing;
pub(crate) use pause::jitter;
pub use shared::{Endpoint, QuotaKey, SharedPauses};

use crate::call::Call;
use crate::error::ProviderError;
use crate::types::{Deadline, ProviderApp, Urgency};
use counters::Tally;
use fair_queue::Flow;
use lane::{Lane, Permit};
use state::State;

/// Client ids above which those that nobody uses are forgotten.
const SWEEP_ABOVE: usize = 1_024;

/// How much goes to a provider at a time, for each tenant and client id, from one replica.
#[derive(Debug, Clone, Copy)]
pub struct BrokerOptions {
    /// Requests under way at a time.
    pub in_flight: usize,
    /// Calls that wait at most. When it is full, the person with the most waiting makes room for others.
    pub queue: usize,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self { in_flight: 16, queue: 1_024 }
    }
}

#[derive(Debug)]
pub(crate) struct Broker {
    lanes: RwLock<HashMap<(TenantId, QuotaKey), Arc<Lane>>>,
    options: BrokerOptions,
    shared: Option<Arc<dyn SharedPauses>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    spotify: Arc<Tally>,
    tidal: Arc<Tally>,
}

/// A turn at a provider, for one request.
pub(crate) struct Turn<'a> {
    broker: &'a Broker,
    ctx: &'a TenantContext,
    lane: Arc<Lane>,
    permit: Permit,
}

impl Broker {
    pub(crate) fn new(
        options: BrokerOptions,
        shared: Option<Arc<dyn SharedPauses>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (spotify, tidal) = (Arc::default(), Arc::default());
        Self { lanes: RwLock::default(), options, shared, clock, entropy, spotify, tidal }
    }

    /// Waits for the call's turn. Refused with `ProviderError::RateLimited` at once if that would take longer than the
    /// call may.
    pub(crate) async fn turn<'a>(
        &'a self,
        ctx: &'a TenantContext,
        call: &Call<'_>,
    ) -> Result<Turn<'a>, ProviderError> {
        let deadline = call.deadline.map(Deadline::elapsed);
        match self.turn_of(ctx, QuotaKey::of(call), deadline, call.urgency).await {
            Ok((lane, permit)) => Ok(Turn { broker: self, ctx, lane, permit }),
            Err((retry_after, queued)) => {
                Err(ProviderError::RateLimited { provider: call.app.provider, retry_after, queued })
            }
        }
    }

    /// A place for one request, or how long to wait and whether that is for other calls only.
    async fn turn_of(
        &self,
        ctx: &TenantContext,
        key: QuotaKey,
        deadline: Option<Duration>,
        urgency: Urgency,
    ) -> Result<(Arc<Lane>, Permit), (Duration, bool)> {
        let lane = self.lane(ctx, key);
        loop {
            let place = lane.place(|| Flow::of(ctx), deadline, urgency).await;
            let mut permit = place.map_err(|wait| (wait, lane.standing().paused_for.is_none()))?;
            let Some(wait) = self.told_elsewhere(ctx, &lane.key).await else {
                permit.send();
                return Ok((lane, permit));
            };
            permit.hear(wait);
        }
    }

    /// What the client id's line at the API is like; `None` if nothing is known of it.
    pub(crate) fn standing(&self, ctx: &TenantContext, app: &ProviderApp) -> Option<Standing> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.get(&(ctx.tenant_id(), QuotaKey::api_of(app)))?;
        Some(lane.standing())
    }

    pub(crate) fn counters(&self, provider: Provider) -> BrokerCounters {
        let mut counters = self.tally(provider).read();
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        for (_, lane) in lanes.iter().filter(|((_, key), _)| key.provider == provider) {
            let standing = lane.standing();
            counters.waiting += standing.waiting as u64;
            counters.in_flight += standing.in_flight as u64;
            counters.paced += u64::from(standing.pace_per_second.is_some());
            counters.paused += u64::from(standing.paused_for.is_some());
        }
        counters
    }

    async fn told_elsewhere(&self, ctx: &TenantContext, key: &QuotaKey) -> Option<Duration> {
        self.shared.as_ref()?.remaining(ctx, key).await.filter(|wait| !wait.is_zero())
    }

    fn lane(&self, ctx: &TenantContext, key: QuotaKey) -> Arc<Lane> {
        let key = (ctx.tenant_id(), key);
        if let Some(lane) = self.lanes.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(lane);
        }
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= SWEEP_ABOVE {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_idle());
        }
        let lane = lanes.entry(key).or_insert_with_key(|(_, key)| Arc::new(self.new_lane(key)));
        Arc::clone(lane)
    }

    fn new_lane(&self, key: &QuotaKey) -> Lane {
        let state = match key.endpoint {
            Endpoint::Api => State::new(self.options.in_flight, self.options.queue),
            Endpoint::Token => State::express(),
        };
        Lane::new(key.clone(), state, Arc::clone(self.tally(key.provider)), Arc::clone(&self.clock))
    }

    fn tally(&self, provider: Provider) -> &Arc<Tally> {
        match provider {
            Provider::Spotify => &self.spotify,
            Provider::Tidal => &self.tidal,
        }
    }
}

impl Turn<'_> {
    /// The request was answered with something else than a 429.
    pub(crate) fn answered(self) {
        self.permit.answered();
    }

    /// The request was answered with a 429: no replica sends another before the provider's wait is over. Returns it.
    pub(crate) async fn refused(self, retry_after: Option<Duration>) -> Duration {
        let wait = self.permit.refused(retry_after, &*self.broker.entropy);
        if let Some(shared) = &self.broker.shared {
            shared.pause(self.ctx, &self.lane.key, wait).await;
        }
        wait
    }
}
