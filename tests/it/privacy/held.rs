//! A table that nobody gets at for a while: what needs it waits, and is refused when its patience ends. Nothing of it is
//! left in the database afterwards.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_bootstrap::tasks;
use stagedoor_testkit::Stage;

/// A table that a session of the superuser's has locked, so that whoever needs it waits.
pub(crate) struct Held {
    stage: Arc<Stage>,
    table: &'static str,
    session: tokio::task::JoinHandle<Option<()>>,
}

impl Held {
    pub(crate) async fn take(stage: &Arc<Stage>, table: &'static str) -> Self {
        let own = Arc::clone(stage);
        let session = tasks::spawn("lock", async move {
            let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)");
            // Ended by `release`, which is an error to it.
            let _ = own.postgres().sql("stagedoor", &lock).await;
        });
        let held = Self { stage: Arc::clone(stage), table, session };
        held.wait_for("granted AND mode = 'AccessExclusiveLock'").await;
        held
    }

    /// Waits until somebody needs the table and does not get it.
    pub(crate) async fn is_waited_for(&self) {
        self.wait_for("NOT granted").await;
    }

    pub(crate) async fn release(self) {
        let holder = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE relation = '{}'::regclass AND granted AND mode = 'AccessExclusiveLock'",
            self.table
        );
        self.stage.sql(&holder).await;
        let _ = self.session.await;
    }

    async fn wait_for(&self, condition: &str) {
        let sql = format!(
            "SELECT count(*) FROM pg_locks WHERE relation = '{}'::regclass AND {condition}",
            self.table
        );
        while self.stage.sql(&sql).await.trim() == "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
