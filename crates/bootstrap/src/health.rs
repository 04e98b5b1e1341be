//! What the process knows of its own health. Checks are pushed here by whoever learns something, so that answering
//! a probe never waits for a database, Redis or a provider. The gateway renders it.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LifeStage {
    /// Not yet serving.
    Starting,
    /// Serving.
    Ready,
    /// Still serving, but new traffic should go elsewhere.
    Draining,
}

/// What a check last learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
pub enum CheckState {
    /// Nothing yet.
    Unknown,
    /// It works.
    Passing,
    /// It does not, and why, without secrets.
    Failing(String),
}

/// Whether the process can serve without what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Not ready unless passing.
    Required,
    /// Shown only: the process degrades without it.
    Informative,
}

/// The process's health. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stage: AtomicU8,
    checks: RwLock<Vec<Check>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { stage: AtomicU8::new(LifeStage::Starting as u8), checks: RwLock::default() }
    }
}

/// One named check as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, such as `postgres`.
    pub name: &'static str,
    /// Whether readiness depends on it.
    pub importance: Importance,
    /// What it last learned.
    #[serde(flatten)]
    pub state: CheckState,
}

/// Everything at one moment, for a probe's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// Where the process is in its life.
    pub stage: LifeStage,
    /// Whether it should get traffic.
    pub ready: bool,
    /// Every check, in the order of registration.
    pub checks: Vec<Check>,
}

/// The pen of one check.
#[derive(Clone)]
pub struct CheckHandle {
    health: Health,
    index: usize,
}

impl Health {
    /// Starting, with no checks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, which knows nothing at first.
    pub fn register(&self, name: &'static str, importance: Importance) -> CheckHandle {
        let mut checks = self.0.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.push(Check { name, importance, state: CheckState::Unknown });
        CheckHandle { health: self.clone(), index: checks.len() - 1 }
    }

    /// Serving begins; without effect once draining.
    pub fn started(&self) {
        let (from, to) = (LifeStage::Starting as u8, LifeStage::Ready as u8);
        let _ = self.0.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// New traffic should go elsewhere from now on.
    pub fn drain(&self) {
        self.0.stage.store(LifeStage::Draining as u8, Ordering::Release);
    }

    /// Where the process is in its life.
    pub fn stage(&self) -> LifeStage {
        match self.0.stage.load(Ordering::Acquire) {
            0 => LifeStage::Starting,
            1 => LifeStage::Ready,
            _ => LifeStage::Draining,
        }
    }

    /// Whether it should get traffic: `/readyz`.
    pub fn is_ready(&self) -> bool {
        self.report().ready
    }

    /// Whether the start is over: `/startupz`.
    pub fn has_started(&self) -> bool {
        self.stage() != LifeStage::Starting
    }

    /// Everything at this moment. Never waits for anything outside the process.
    pub fn report(&self) -> HealthReport {
        let checks = self.0.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stage = self.stage();
        let required = |check: &&Check| check.importance == Importance::Required;
        let passing = checks.iter().filter(required).all(|check| check.state == CheckState::Passing);
        HealthReport { stage, ready: stage == LifeStage::Ready && passing, checks }
    }
}

impl CheckHandle {
    /// It works.
    pub fn pass(&self) {
        self.set(CheckState::Passing);
    }

    /// It does not; `reason` is shown on the ops port and must hold no secret.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(CheckState::Failing(reason.into()));
    }

    fn set(&self, state: CheckState) {
        let mut checks = self.health.0.checks.write().unwrap_or_else(PoisonError::into_inner);
        let check = &mut checks[self.index];
        if check.state != state {
            tracing::info!(check = check.name, ?state, "health check changed");
            check.state = state;
        }
    }
}

impl fmt::Debug for CheckHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckHandle({})", self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Importance, LifeStage};

    #[test]
    fn readiness_needs_every_required_check_and_nothing_else() {
        let health = Health::new();
        let (store, cache) = (
            health.register("postgres", Importance::Required),
            health.register("redis", Importance::Informative),
        );
        health.started();
        assert!(!health.is_ready(), "an unknown store counts as ready");
        store.pass();
        cache.fail("connection refused");
        assert!(health.is_ready());
        store.fail("connection refused");
        assert!(!health.is_ready());
    }

    #[test]
    fn draining_is_final() {
        let health = Health::new();
        assert!(!health.has_started());
        health.started();
        assert!(health.is_ready());
        health.drain();
        health.started();
        assert_eq!(health.stage(), LifeStage::Draining);
        assert!(!health.is_ready() && health.has_started());
    }

    #[test]
    fn a_report_reads_well() {
        let health = Health::new();
        health.register("postgres", Importance::Required).fail("out of reach");
        let report = serde_json::to_value(health.report()).unwrap();
        let expected = serde_json::json!({"stage": "starting", "ready": false, "checks": [
            {"name": "postgres", "importance": "required", "state": "failing", "reason": "out of reach"}]});
        assert_eq!(report, expected);
    }
}
