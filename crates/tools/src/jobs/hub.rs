//! What the callers and the worker of one replica tell each other: that there is work, and how far each job is. Who works
//! on which job is the database's to say.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use stagedoor_domain::JobId;
use tokio::sync::{Notify, watch};

use super::JobState;

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) state: JobState,
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
    pub(crate) message: String,
}

/// The jobs that somebody of this replica waits for.
#[derive(Default)]
pub struct Jobs {
    work: Notify,
    followed: Mutex<HashMap<JobId, watch::Sender<Option<Told>>>>,
}

impl Jobs {
    /// Waits until a caller of this replica has begun a job, or gone on with one.
    pub async fn work(&self) {
        self.work.notified().await;
    }

    /// Tells the worker that there is work.
    pub(crate) fn begun(&self) {
        self.work.notify_one();
    }

    /// Hears what this replica's worker tells of a job; nothing if another replica works on it.
    pub(crate) fn follow(&self, job: JobId) -> watch::Receiver<Option<Told>> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, sender| !sender.is_closed());
        followed.entry(job).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// Tells those who wait for a job.
    pub(crate) fn tell(&self, job: JobId, told: Told) {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = followed.get(&job) {
            sender.send_replace(Some(told));
        }
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_hear_of_their_job_only() {
        let jobs = Jobs::default();
        let (one, other) = (JobId::from(Uuid::from_u128(1)), JobId::from(Uuid::from_u128(2)));
        let told =
            |done| Told { state: JobState::Running, done, total: None, message: "It goes on.".to_owned() };
        let (mut first, second) = (jobs.follow(one), jobs.follow(other));
        jobs.tell(one, told(1));
        jobs.tell(one, told(2));
        first.changed().await.unwrap();
        assert_eq!(*first.borrow(), Some(told(2)));
        assert!(!second.has_changed().unwrap());
        drop((first, second));
        let _third = jobs.follow(other);
        assert_eq!(jobs.followed.lock().unwrap().len(), 1, "whoever left is forgotten");
    }

    #[tokio::test]
    async fn work_that_was_begun_before_the_worker_waits_is_not_missed() {
        let jobs = Jobs::default();
        jobs.begun();
        jobs.work().await;
    }
}
