//! Refused calls on their way into the store: added up in memory for each principal, limit and minute, written each
//! second, so that whoever is refused a thousand times a second costs one row.

mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DurationRound, TimeDelta};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, TenantContext};
use stagedoor_storage::limit_violations::{self, LimitViolation};
use stagedoor_storage::{Store, StoreError, TenantTransaction};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::waiting::{ShutOut, Waiting};

const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Refused calls that are not in the store yet.
#[derive(Debug)]
pub struct Violations {
    store: Store,
    clock: Arc<dyn Clock>,
    waiting: Waiting,
    shut_out: ShutOut,
    /// Held while a flush is under way, so that the last one, at shutdown, does not miss what another holds.
    flushing: Mutex<()>,
    recorded: AtomicU64,
    unrecordable: AtomicU64,
}

/// What is counted, in refused calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViolationCounts {
    /// In the store.
    pub recorded: u64,
    /// Not recorded: too many at once while the store was away, or the store would not have them.
    pub lost: u64,
}

impl Violations {
    /// Nothing refused yet.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            waiting: Waiting::default(),
            shut_out: ShutOut::default(),
            flushing: Mutex::new(()),
            recorded: AtomicU64::new(0),
            unrecordable: AtomicU64::new(0),
        }
    }

    /// Notes one call that `limit` refused, and the penalty that it met or earned.
    pub fn note(&self, ctx: &TenantContext, limit: &str, penalty: Option<Duration>) {
        let now = self.clock.now();
        let principal = ctx.principal().label();
        if let Some(penalty) = penalty
            && self.shut_out.is_news(ctx.tenant_id(), &principal, penalty, now)
        {
            tracing::warn!(
                tenant = ctx.tenant().slug.as_str(),
                call = %ctx.call(),
                penalty_seconds = penalty.as_secs(),
                "a principal is shut out for being refused again and again"
            );
        }
        let violation = LimitViolation {
            principal,
            limit: limit.to_owned(),
            minute: now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now),
            user: ctx.user(),
            attempted_calls: 1,
            penalty,
            first_at: now,
            last_at: now,
        };
        self.waiting.add(ctx, violation);
    }

    /// What is counted.
    pub fn counts(&self) -> ViolationCounts {
        ViolationCounts {
            recorded: self.recorded.load(Ordering::Relaxed),
            lost: self.waiting.dropped() + self.unrecordable.load(Ordering::Relaxed),
        }
    }

    /// Writes what was refused each second until `until`.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let mut failing = false;
        while until.run_until_cancelled(tokio::time::sleep(FLUSH_INTERVAL)).await.is_some() {
            // A write is never broken off in the middle, because nobody would know whether it was counted.
            let outcome = self.flush().await;
            if let Err(error) = &outcome
                && !failing
            {
                tracing::warn!(error = %Chain(error), "refused calls wait to be recorded");
            }
            failing = outcome.is_err();
        }
    }

    /// Writes everything that waits; what the store cannot take now goes on waiting.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let _alone = self.flushing.lock().await;
        let mut batches: VecDeque<_> = self.waiting.take().into_iter().collect();
        while let Some((ctx, violations)) = batches.pop_front() {
            match self.write(&ctx, &violations).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    for (ctx, violations) in std::iter::once((ctx, violations)).chain(batches) {
                        for violation in violations {
                            self.waiting.add(&ctx, violation);
                        }
                    }
                    return Err(error);
                }
                // A row that the store will not have, of somebody who is deleted just now, must not cost the others.
                Err(_) if violations.len() > 1 => {
                    batches.extend(violations.into_iter().map(|violation| (ctx.clone(), vec![violation])));
                }
                Err(error) => self.lose(&error, &violations),
            }
        }
        Ok(())
    }

    async fn write(&self, ctx: &TenantContext, violations: &[LimitViolation]) -> Result<(), StoreError> {
        let write = async |tx: &mut TenantTransaction| limit_violations::add(tx, violations).await;
        self.store.with_tenant(ctx, write).await?;
        self.recorded.fetch_add(calls(violations), Ordering::Relaxed);
        Ok(())
    }

    fn lose(&self, error: &StoreError, violations: &[LimitViolation]) {
        self.unrecordable.fetch_add(calls(violations), Ordering::Relaxed);
        tracing::error!(error = %Chain(error), "refused calls could not be recorded");
    }
}

fn calls(violations: &[LimitViolation]) -> u64 {
    violations.iter().map(|violation| violation.attempted_calls).sum()
}
