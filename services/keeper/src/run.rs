//! One run of a job: what the job is handed, and what it came to.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Clock;
use stagedoor_domain::error::Chain;
use stagedoor_storage::StoreError;
use stagedoor_storage::keeper_runs::{RunCounts, RunOutcome};
use tokio_util::sync::CancellationToken;

use crate::jobs::{Job, JobError};
use crate::progress::{Progress, Show};

/// Remarks kept at most; of more, only how many.
const REMARKS: usize = 100;

/// How a job is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// Count, and change nothing.
    pub dry_run: bool,
    /// Stop after the batch in which this is over.
    pub within: Option<Duration>,
    /// Where progress is shown.
    pub show: Show,
}

/// A run under way, as its job sees it.
pub struct Run {
    options: RunOptions,
    clock: Arc<dyn Clock>,
    started: Duration,
    stop: CancellationToken,
    progress: Progress,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    counts: BTreeMap<&'static str, u64>,
    remarks: Vec<String>,
    more_remarks: usize,
    failures: u64,
    answer: Option<Answer>,
}

/// What a job answers besides counts, such as a list.
#[derive(Debug, Clone)]
pub struct Answer {
    /// For people.
    pub text: String,
    /// The same for programs.
    pub json: Value,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All of it was done.
    Succeeded,
    /// Another keeper does it; nothing was done or recorded here.
    Elsewhere,
    /// Some parts failed, as the remarks say.
    Partly,
    /// It failed.
    Failed,
    /// What was asked for cannot be.
    Refused,
    /// It was told to stop; the next run goes on.
    Interrupted,
}

/// A run that is over.
#[derive(Debug)]
pub struct Ended {
    /// The job.
    pub job: &'static str,
    /// How.
    pub ending: Ending,
    /// Whether it only counted.
    pub dry_run: bool,
    /// What was done how often.
    pub counts: RunCounts,
    /// What there is to say, failures among it.
    pub remarks: Vec<String>,
    /// What it answers besides.
    pub answer: Option<Answer>,
    /// How long it took.
    pub duration: Duration,
}

impl Run {
    pub(crate) fn new(
        job: &'static str,
        options: RunOptions,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        let (started, progress) = (clock.elapsed(), Progress::new(job, options.show));
        Self { options, clock, started, stop, progress, told: Mutex::default() }
    }

    /// Whether to count and change nothing.
    pub fn dry_run(&self) -> bool {
        self.options.dry_run
    }

    /// Whether to stop after the present batch: the time is over, a signal came, or the lock was lost.
    pub fn must_stop(&self) -> bool {
        self.stop.is_cancelled() || self.options.within.is_some_and(|within| self.duration() >= within)
    }

    /// How to run a job within this run: in what is left of its time, and shown where this one is.
    pub fn options_within(&self) -> RunOptions {
        let left = self.options.within.map(|within| within.saturating_sub(self.duration()));
        RunOptions { within: left, ..self.options }
    }

    /// Between two batches: an error if the run [must stop](Self::must_stop).
    pub fn go_on(&self) -> Result<(), JobError> {
        if self.must_stop() { Err(JobError::Interrupted) } else { Ok(()) }
    }

    /// Ends when the run is told to stop from outside; the time that it may take shows in [`Self::must_stop`] only.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Adds `number` to the count `name` (`snake_case`, a plural such as `rows_deleted`).
    pub fn count(&self, name: &'static str, number: u64) {
        *self.told().counts.entry(name).or_default() += number;
    }

    /// Shows how far it is: `done` of `total` of `what`, a plural such as `tenants`.
    pub fn progress(&self, done: u64, total: Option<u64>, what: &str) {
        self.progress.tell(self.clock.elapsed(), done, total, what);
    }

    /// Says something in the run's record, the log and the output.
    pub fn remark(&self, text: impl Display) {
        let text = text.to_string();
        tracing::info!(target: "keeper", "{text}");
        self.told().remark(text);
    }

    /// Says that a part, such as a tenant, failed, while the others go on: the run is done partly.
    pub fn failed(&self, part: impl Display, error: impl Display) {
        let text = format!("{part}: {error}");
        tracing::warn!(target: "keeper", "{text}");
        let mut told = self.told();
        told.failures += 1;
        told.remark(text);
    }

    /// What the job answers besides counts.
    pub fn answer(&self, text: impl Into<String>, json: Value) {
        self.told().answer = Some(Answer { text: text.into(), json });
    }

    /// What was counted so far.
    pub fn counts(&self) -> RunCounts {
        self.told().counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    pub(crate) fn duration(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.started)
    }

    /// What `outcome` of its job makes of it.
    pub(crate) fn end(self, job: &'static str, outcome: Result<(), JobError>) -> Ended {
        self.progress.end();
        let (duration, dry_run, counts) = (self.duration(), self.dry_run(), self.counts());
        let mut told = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ending = match &outcome {
            Ok(()) if told.failures == 0 => Ending::Succeeded,
            Ok(()) => Ending::Partly,
            Err(JobError::Interrupted) => Ending::Interrupted,
            Err(JobError::Refused(_)) => Ending::Refused,
            Err(_) => Ending::Failed,
        };
        if let Err(error) = outcome {
            told.remarks.push(Chain(&error).to_string());
        }
        if told.more_remarks > 0 {
            told.remarks.push(format!("and {} more remarks", told.more_remarks));
        }
        Ended { job, ending, dry_run, counts, remarks: told.remarks, answer: told.answer, duration }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn remark(&mut self, text: String) {
        if self.remarks.len() < REMARKS { self.remarks.push(text) } else { self.more_remarks += 1 }
    }
}

impl Ending {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Elsewhere => "elsewhere",
            Self::Partly => "partly",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }

    pub(crate) const fn recorded(self) -> RunOutcome {
        match self {
            Self::Succeeded | Self::Elsewhere => RunOutcome::Succeeded,
            Self::Partly => RunOutcome::Partly,
            Self::Failed | Self::Refused => RunOutcome::Failed,
            Self::Interrupted => RunOutcome::Interrupted,
        }
    }
}

impl Ended {
    pub(crate) fn elsewhere(job: &dyn Job, dry_run: bool) -> Self {
        Self {
            job: job.recorded_as(),
            ending: Ending::Elsewhere,
            dry_run,
            counts: RunCounts::new(),
            remarks: vec![format!("another keeper is doing {}", job.lock())],
            answer: None,
            duration: Duration::ZERO,
        }
    }

    /// Whatever it did, its record says that it is under way, and soon that it was killed.
    pub(crate) fn not_recorded(&mut self, error: &StoreError) {
        tracing::warn!(target: "keeper", error = %Chain(error), "how the run ended is not on record");
        self.ending = Ending::Failed;
        self.remarks.push(format!("the run's record: {}", Chain(error)));
    }

    /// The count `name`; 0 if nothing was counted.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// As one line of JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "job": self.job,
            "outcome": self.ending.as_str(),
            "dry_run": self.dry_run,
            "duration_ms": u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            "counts": self.counts,
            "remarks": self.remarks,
            "answer": self.answer.as_ref().map(|answer| &answer.json),
        })
    }
}

impl Display for Ended {
    /// For people: what it answers, what there is to say, and a line with the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(answer) = self.answer.as_ref().filter(|answer| !answer.text.is_empty()) {
            writeln!(f, "{}", answer.text.trim_end())?;
        }
        for remark in &self.remarks {
            writeln!(f, "{remark}")?;
        }
        let dry = if self.dry_run { " (dry run: nothing was changed)" } else { "" };
        write!(f, "{} {}{dry} in {:.1} s", self.job, self.ending.as_str(), self.duration.as_secs_f64())?;
        for (name, count) in &self.counts {
            write!(f, ", {name} {count}")?;
        }
        writeln!(f)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("options", &self.options).finish_non_exhaustive()
    }
}
