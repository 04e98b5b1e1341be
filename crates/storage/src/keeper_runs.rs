//! The keeper's runs as rows, and the lock that lets one run of a job at a time be. What a job does is the keeper's.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Store;

/// The first half of the locks' keys: any number that no other advisory lock of ours has.
const LOCK_CLASS: i32 = 0x6b65_6570;

/// What was done how often.
pub type RunCounts = BTreeMap<String, u64>;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Under way, or killed.
    Running,
    /// All of it was done.
    Succeeded,
    /// Some tenants' part failed.
    Partly,
    /// It failed.
    Failed,
    /// It was told to stop, and goes on next time.
    Interrupted,
    /// It was killed: whoever came next found it so.
    Abandoned,
}

impl RunOutcome {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Succeeded, Self::Partly, Self::Failed, Self::Interrupted, Self::Abandoned];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partly => "partly",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        let known = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        known.ok_or_else(|| StoreError::not_understood("keeper_runs.outcome", text))
    }
}

/// A run that begins.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// Its id.
    pub id: Uuid,
    /// The job.
    pub job: &'a str,
    /// Whether it only counts.
    pub dry_run: bool,
    /// Where it runs.
    pub host: &'a str,
    /// When.
    pub at: DateTime<Utc>,
}

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    /// Its id.
    pub id: Uuid,
    /// The job.
    pub job: String,
    /// Whether it only counted.
    pub dry_run: bool,
    /// How it stands.
    pub outcome: RunOutcome,
    /// Where it ran.
    pub host: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was last heard of.
    pub heartbeat_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it did how often.
    pub counts: RunCounts,
    /// What it had to say.
    pub detail: String,
}

/// A job's lock, held by a connection of its own for as long as that lives: whoever is killed lets go of it.
#[derive(Debug)]
pub struct JobLock {
    connection: PgConnection,
    key: i32,
}

impl Store {
    /// Takes the lock of `job`; `None` if someone else has it. Past a pooler in transaction mode: there a lock belongs
    /// to nobody in particular, which [`JobLock::is_held`] finds.
    pub async fn try_lock_job(&self, job: &str) -> Result<Option<JobLock>, StoreError> {
        let mut connection = self.connection_apart().await?;
        let key = lock_key(job);
        let taken =
            sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1, $2) AS "taken!""#, LOCK_CLASS, key)
                .fetch_one(&mut connection)
                .await?;
        if taken {
            return Ok(Some(JobLock { connection, key }));
        }
        // Whether it closes in good order makes no difference.
        let _ = connection.close().await;
        Ok(None)
    }

    /// Puts a run on record. For the holder of the job's lock: runs of the job that are still said to be under way were
    /// killed, and are noted as abandoned. Answers how many.
    pub async fn begin_run(&self, run: &NewRun<'_>) -> Result<u64, StoreError> {
        self.outside(async |connection| {
            let abandoned = sqlx::query!(
                "UPDATE keeper_runs SET outcome = 'abandoned', ended_at = $2 WHERE job = $1 AND outcome = 'running'",
                run.job,
                run.at
            )
            .execute(&mut *connection)
            .await?
            .rows_affected();
            sqlx::query!(
                "INSERT INTO keeper_runs (run_id, job, dry_run, host, started_at, heartbeat_at)
                VALUES ($1, $2, $3, $4, $5, $5)",
                run.id,
                run.job,
                run.dry_run,
                run.host,
                run.at
            )
            .execute(connection)
            .await?;
            Ok(abandoned)
        })
        .await
    }

    /// Notes that a run is alive, and what it has done so far.
    pub async fn note_run(&self, id: Uuid, at: DateTime<Utc>, counts: &RunCounts) -> Result<(), StoreError> {
        self.outside(async |connection| {
            let note = sqlx::query!(
                "UPDATE keeper_runs SET heartbeat_at = $2, counts = $3 WHERE run_id = $1 AND outcome = 'running'",
                id,
                at,
                Json(counts) as _
            );
            note.execute(connection).await?;
            Ok(())
        })
        .await
    }

    /// Notes how a run ended.
    pub async fn end_run(
        &self,
        id: Uuid,
        at: DateTime<Utc>,
        outcome: RunOutcome,
        (counts, detail): (&RunCounts, &str),
    ) -> Result<(), StoreError> {
        self.outside(async |connection| {
            let end = sqlx::query!(
                "UPDATE keeper_runs SET outcome = $3, heartbeat_at = $2, ended_at = $2, counts = $4, detail = $5
                WHERE run_id = $1 AND outcome = 'running'",
                id,
                at,
                outcome.as_str(),
                Json(counts) as _,
                detail
            );
            match end.execute(connection).await?.rows_affected() {
                1 => Ok(()),
                _ => Err(StoreError::Missing("run")),
            }
        })
        .await
    }

    /// When the last run of `job` that did all of it began; dry runs do nothing.
    pub async fn last_success(&self, job: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.outside(async |connection| {
            let last = sqlx::query_scalar!(
                "SELECT max(started_at) FROM keeper_runs WHERE job = $1 AND outcome = 'succeeded' AND NOT dry_run",
                job
            );
            Ok(last.fetch_one(connection).await?)
        })
        .await
    }

    /// The last runs, of one job or of all, the newest first.
    pub async fn keeper_runs(&self, job: Option<&str>, most: i64) -> Result<Vec<StoredRun>, StoreError> {
        self.keeper_runs_before(job, None, most).await
    }

    /// The same of those before the run `before`, given by start and id.
    pub async fn keeper_runs_before(
        &self,
        job: Option<&str>,
        before: Option<(DateTime<Utc>, Uuid)>,
        most: i64,
    ) -> Result<Vec<StoredRun>, StoreError> {
        let (at, id) = before.unzip();
        let query = sqlx::query!(
            r#"SELECT run_id, job, dry_run, outcome, host, started_at, heartbeat_at, ended_at,
                counts AS "counts: Json<RunCounts>", detail
            FROM keeper_runs
            WHERE ($1::text IS NULL OR job = $1)
                AND ($2::timestamptz IS NULL OR (started_at, run_id) < ($2, $3::uuid))
            ORDER BY started_at DESC, run_id DESC LIMIT $4"#,
            job,
            at,
            id,
            most
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        let read = rows.into_iter().map(|row| {
            Ok(StoredRun {
                id: row.run_id,
                job: row.job,
                dry_run: row.dry_run,
                outcome: RunOutcome::read(&row.outcome)?,
                host: row.host,
                started_at: row.started_at,
                heartbeat_at: row.heartbeat_at,
                ended_at: row.ended_at,
                counts: row.counts.0,
                detail: row.detail,
            })
        });
        read.collect()
    }
}

impl JobLock {
    /// Whether the lock is held, and by this connection: behind a pooler in transaction mode it may be another's.
    pub async fn is_held(&mut self) -> Result<bool, StoreError> {
        let held = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1
                AND objid::bigint = $2 AND objsubid = 2 AND granted AND pid = pg_backend_pid()) AS "held!""#,
            i64::from(LOCK_CLASS),
            i64::from(self.key)
        );
        Ok(held.fetch_one(&mut self.connection).await?)
    }

    /// Lets go of it, and answers when it is free: a connection that was closed here ends a moment later there.
    pub async fn release(mut self) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut self.connection).await?;
        Ok(self.connection.close().await?)
    }
}

/// FNV-1a, without the sign's bit: the same in every build.
fn lock_key(job: &str) -> i32 {
    let hash =
        job.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i32::try_from(hash >> 1).unwrap_or_default()
}
