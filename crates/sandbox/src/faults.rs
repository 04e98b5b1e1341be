//! Faults on script: rules that make the next requests slow, refused, broken or lost.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagedoor_domain::Provider;

/// How often a request that is held looks whether it may go on.
const HELD_LOOK: Duration = Duration::from_millis(5);

/// What goes wrong, for which requests, how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The provider it concerns.
    pub provider: Provider,
    /// Only this operation, as the counters name it: `GET /tracks/{id}`, `POST /accounts/api/token`.
    #[serde(default)]
    pub operation: Option<String>,
    /// Only paths that start with this, below `/spotify` without `/v1`, or below `/tidal` without `/v2`.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Only requests to the token endpoint with this `grant_type`.
    #[serde(default)]
    pub grant_type: Option<String>,
    /// For so many requests; `None` until the rules are cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// Instead of the work, or after it was done.
    #[serde(default)]
    pub stage: Stage,
    /// What happens.
    pub effect: Effect,
}

impl FaultRule {
    /// A rule for every operation of the provider, before the work, until cleared.
    pub fn new(provider: Provider, effect: Effect) -> Self {
        let (operation, path_prefix, grant_type, times) = (None, None, None, None);
        Self { provider, operation, path_prefix, grant_type, times, stage: Stage::BeforeWork, effect }
    }

    /// For one operation only, e.g. `GET /tracks/{id}`.
    #[must_use]
    pub fn operation(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// For paths with this beginning only.
    #[must_use]
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        self.path_prefix = Some(prefix.to_owned());
        self
    }

    /// For requests to the token endpoint with this `grant_type` only.
    #[must_use]
    pub fn grant_type(mut self, grant_type: &str) -> Self {
        self.grant_type = Some(grant_type.to_owned());
        self
    }

    /// For the next `times` requests only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// After the work was done, so that the answer is lost but its effect stays.
    #[must_use]
    pub fn after_work(mut self) -> Self {
        self.stage = Stage::AfterWork;
        self
    }
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before anything was done; except after a delay, nothing is done at all.
    #[default]
    BeforeWork,
    /// After the work was done: its answer is replaced, delayed or lost.
    AfterWork,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// An error in the provider's own shape.
    Status {
        /// 400 to 599.
        status: u16,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The right answer, later.
    Delay {
        /// How much later, in milliseconds.
        milliseconds: u64,
    },
    /// The right answer, once the rule is removed; meanwhile every request that fits waits, whatever `times` says.
    Hold,
    /// Status 200 and a body that is no JSON.
    Garbage,
    /// Status 200 and JSON of another shape.
    WrongShape,
    /// Status 200 and a JSON text without end, streamed, of this many bytes.
    HugeBody {
        /// The length of the body.
        bytes: u64,
    },
    /// No answer, and the connection stays open.
    Hang,
    /// No answer, and the connection is closed.
    CloseConnection,
    /// The right answer, and every person takes back what they agreed to: before the work, or after it.
    RevokeConsents,
}

impl Effect {
    /// The right answer after `wait`.
    pub fn delay(wait: Duration) -> Self {
        Self::Delay { milliseconds: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Whether the answer is still one that the API could give, rather than none or nonsense.
    pub(crate) const fn is_genuine(&self) -> bool {
        matches!(self, Self::Status { .. } | Self::Delay { .. } | Self::Hold | Self::RevokeConsents)
    }

    /// An error with this status.
    pub fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None }
    }

    /// 429 with `Retry-After`.
    pub fn rate_limited(retry_after_seconds: u64) -> Self {
        Self::Status { status: 429, retry_after: Some(retry_after_seconds) }
    }
}

/// A rule's name, to remove it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// The rules in force. The oldest rule that fits a request strikes it, and only that one.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<VecDeque<(FaultId, FaultRule)>>,
    next: AtomicU64,
}

impl Faults {
    /// Adds a rule behind those in force.
    pub fn push(&self, rule: FaultRule) -> FaultId {
        let id = FaultId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        self.lock().push_back((id, rule));
        id
    }

    /// Removes one rule. Returns whether it was in force.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut rules = self.lock();
        let before = rules.len();
        rules.retain(|(held, _)| *held != id);
        rules.len() < before
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The rules in force, oldest first, with what is left of their `times`.
    pub fn list(&self) -> Vec<(FaultId, FaultRule)> {
        self.lock().iter().cloned().collect()
    }

    /// What strikes this request, counted down.
    pub(crate) fn strike(
        &self,
        provider: Provider,
        operation: &str,
        path: &str,
        grant_type: Option<&str>,
    ) -> Option<(FaultId, Stage, Effect)> {
        let mut rules = self.lock();
        let position = rules.iter().position(|(_, rule)| {
            rule.provider == provider
                && rule.operation.as_deref().is_none_or(|wanted| wanted == operation)
                && rule.path_prefix.as_deref().is_none_or(|prefix| path.starts_with(prefix))
                && rule.grant_type.as_deref().is_none_or(|wanted| grant_type == Some(wanted))
                && rule.times != Some(0)
        })?;
        let (id, rule) = &mut rules[position];
        let struck = (*id, rule.stage, rule.effect.clone());
        if rule.effect == Effect::Hold {
            return Some(struck);
        }
        rule.times = rule.times.map(|times| times - 1);
        if rule.times == Some(0) {
            rules.remove(position);
        }
        Some(struck)
    }

    /// Waits until a rule is removed.
    pub(crate) async fn removed(&self, id: FaultId) {
        while self.lock().iter().any(|(held, _)| *held == id) {
            tokio::time::sleep(HELD_LOOK).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(FaultId, FaultRule)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
