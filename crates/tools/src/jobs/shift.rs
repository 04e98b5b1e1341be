//! One worker's hold of a job: each step is stored before the next is begun, and nothing is done any more once another
//! worker has the job, once it was cancelled, or once the process is about to end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext};
use stagedoor_storage::jobs::{self, Claim, Ended, Held, Job, Part, Step};
use tokio_util::sync::CancellationToken;

use super::JobState;
use super::hub::Told;
use super::paper::{Failure, Paper};
use crate::desk::Desk;
use crate::origin::Origin;
use crate::records::store_failure;

/// How often a worker says that it is alive; a third of how long it is believed.
const BEAT: Duration = Duration::from_secs(9);
/// Beats in a row that may fail before the claim may have ended.
const MISSED_AT_MOST: u32 = 2;
/// How often a job is taken up again without coming on before it fails.
pub(super) const TRIES: u64 = 8;
/// Whoever asks for a longer wait ends the job; it can be gone on with later.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// How long after its last step a job may be one that only a later release understands.
const UNDERSTOOD_WITHIN: Duration = Duration::from_hours(1);

/// One worker's hold of a job.
pub(crate) struct Shift<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) ctx: &'a TenantContext,
    pub(crate) origin: &'a Origin,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) claim: &'a Claim,
    last: Mutex<Told>,
}

/// Why a worker stops before its job is over.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Another worker has it, or it is gone.
    Lost,
    /// The process is about to end.
    Stopped,
    /// It was asked to end.
    Cancelled,
    /// Something failed.
    Failed(PublicError),
}

/// How a shift ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The job is done.
    Done,
    /// It waits for decisions.
    Waiting,
}

/// How far a job is after a step.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
    pub(crate) message: String,
}

impl From<PublicError> for Halt {
    fn from(error: PublicError) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Shift<'a> {
    pub(crate) fn new(
        (desk, ctx, origin): (&'a Desk, &'a TenantContext, &'a Origin),
        claim: &'a Claim,
        stop: &'a CancellationToken,
        job: &Job,
    ) -> Self {
        let message = job.message.clone().unwrap_or_default();
        let last = Told { state: JobState::Running, done: job.done, total: job.total, message };
        Self { desk, ctx, origin, stop, claim, last: Mutex::new(last) }
    }

    /// Stores a step that was done. Unless it is `Ok`, nothing more may be done.
    pub(crate) async fn step<T: Serialize + DeserializeOwned>(
        &self,
        paper: &Paper<T>,
        parts: &[Part],
        stand: Stand,
    ) -> Result<(), Halt> {
        let document = paper.write()?;
        let Stand { done, total, message } = stand;
        let told = Told { state: JobState::Running, done, total, message };
        match self.keep(told, Some(&document), parts, None).await? {
            true => Err(Halt::Cancelled),
            false if self.stop.is_cancelled() => Err(Halt::Stopped),
            false => Ok(()),
        }
    }

    /// Ends the shift as its work ended: stores how the job stands, for good or for the next worker. Says why it failed,
    /// if it did. `cancelled` is what to tell of it if it was cancelled.
    pub(crate) async fn conclude<T: Serialize + DeserializeOwned>(
        &self,
        job: &Job,
        paper: &mut Paper<T>,
        ended: Result<(Rest, String), Halt>,
        cancelled: String,
    ) -> Option<ErrorCode> {
        let (state, message, wait, error) = match ended {
            Ok((Rest::Done, message)) => (JobState::Done, message, None, None),
            Ok((Rest::Waiting, message)) => (JobState::Waiting, message, None, None),
            Err(Halt::Lost) => return None,
            Err(Halt::Stopped) => {
                let released = jobs::release(self.desk.vault().store(), self.ctx, self.claim).await;
                if let Err(error) = released {
                    store_failure(&error);
                }
                return None;
            }
            Err(Halt::Cancelled) => (JobState::Cancelled, cancelled, None, None),
            Err(Halt::Failed(error)) => {
                if let Some(wait) = pause(&error, job.claims.saturating_sub(paper.claims)) {
                    let message = format!("It goes on in a while: {}", error.message);
                    (JobState::Queued, message, Some(wait), Some(error.code))
                } else {
                    paper.failure = Some(Failure::from(&error));
                    (JobState::Failed, error.message, None, Some(error.code))
                }
            }
        };
        if state != JobState::Queued {
            paper.claims = job.claims;
        }
        let Told { done, total, .. } = self.last();
        let stored = match paper.write() {
            Ok(document) => self.keep(Told { state, done, total, message }, Some(&document), &[], wait).await,
            Err(error) => Err(Halt::Failed(error)),
        };
        match stored {
            // It is due at once, to be ended.
            Ok(true) if state == JobState::Queued => {
                self.desk.jobs().begun();
                error
            }
            // The claim ends by itself, and another worker takes the job where its last step left it.
            Err(Halt::Failed(error)) => Some(error.code),
            _ => error,
        }
    }

    /// Gives back a job whose document is not understood, which stays as it is: a later release may have written it,
    /// whose replicas take it while this one is replaced. Ends it once that was waited for long enough.
    pub(crate) async fn abandon(&self, job: &Job, error: PublicError) -> Option<ErrorCode> {
        let store = self.desk.vault().store();
        let waited = (self.desk.clock.now() - job.updated_at).to_std().unwrap_or_default();
        let given_back = if job.cancel_requested {
            jobs::end(store, self.ctx, self.claim, Ended::Cancelled).await
        } else if waited < UNDERSTOOD_WITHIN {
            jobs::postpone(store, self.ctx, self.claim, UNDERSTOOD_WITHIN / 30).await
        } else {
            jobs::end(store, self.ctx, self.claim, Ended::Failed).await
        };
        if let Err(error) = given_back {
            store_failure(&error);
        }
        Some(error.code)
    }

    /// Says that the worker is alive until the job is another's, which is when it ends.
    pub(crate) async fn beat(&self) {
        let mut missed = 0;
        while missed <= MISSED_AT_MOST {
            tokio::time::sleep(BEAT).await;
            match jobs::hold(self.desk.vault().store(), self.ctx, self.claim).await {
                Ok(Held::Ours { .. }) => missed = 0,
                Ok(Held::Lost) => return,
                Err(error) => {
                    store_failure(&error);
                    missed += 1;
                }
            }
        }
    }

    pub(crate) fn last(&self) -> Told {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores how the job stands, and says whether it was asked to end.
    async fn keep(
        &self,
        told: Told,
        document: Option<&[u8]>,
        parts: &[Part],
        not_before: Option<Duration>,
    ) -> Result<bool, Halt> {
        let step = Step {
            state: told.state.stored(),
            document,
            parts,
            done: told.done,
            total: told.total,
            message: Some(&told.message),
            not_before,
        };
        let saved = jobs::save(self.desk.vault(), self.ctx, self.claim, &step).await;
        let held = saved.map_err(|error| store_failure(&error))?;
        let Held::Ours { cancel_requested } = held else { return Err(Halt::Lost) };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = told.clone();
        self.desk.jobs().tell(self.claim.job, told);
        Ok(cancel_requested)
    }
}

/// How long to wait before a job that failed is taken up again; `None` if that would not help. `tries` counts those who
/// have tried since it last came on.
fn pause(error: &PublicError, tries: u64) -> Option<Duration> {
    // The last: the worker before this one may be at it still, as far as its key tells.
    let ours = matches!(
        error.code,
        ErrorCode::KeyUnavailable | ErrorCode::AuditUnavailable | ErrorCode::IdempotencyUnderway
    );
    if !(error.code.may_pass() || ours) || tries >= TRIES {
        return None;
    }
    let asked = error.retry_after.unwrap_or_default();
    let growing = Duration::from_secs(1 << tries.min(6));
    (asked <= LONGEST_WAIT).then(|| asked.max(growing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_waited_for_longer_each_time_and_not_for_ever() {
        let down = PublicError::new(ErrorCode::ProviderUnavailable, "It is down.");
        let waits: Vec<_> = (1..TRIES).map_while(|tries| pause(&down, tries)).collect();
        assert_eq!(waits.len() as u64, TRIES - 1);
        assert!(waits.is_sorted() && waits[0] >= Duration::from_secs(1));
        assert_eq!(pause(&down, TRIES), None);
        let asked = PublicError::new(ErrorCode::ProviderRateLimited, "Wait.");
        let seconds = |seconds| asked.clone().retry_after(Duration::from_secs(seconds));
        assert_eq!(pause(&seconds(500), 1), Some(Duration::from_secs(500)));
        assert_eq!(pause(&seconds(80_000), 1), None);
        assert_eq!(pause(&PublicError::new(ErrorCode::RelinkNeeded, "Link it."), 1), None);
    }
}
