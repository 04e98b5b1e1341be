//! The channel on which the database says that a tenant or a key was changed: sooner than whoever asks again and again
//! would learn of it, and never the only way.

use std::fmt;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::error::StoreError;
use crate::store::Store;

/// As the triggers name it.
const CHANNEL: &str = "stagedoor_changes";

/// What is said there of queues; nothing is said of the others.
const OF_SHARED_QUEUES: &str = "shared_queues";

/// A connection of its own that hears of changes. It ends with the first failure; whoever wants another opens one.
pub struct ChangeChannel {
    listener: PgListener,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A tenant or a key was changed, perhaps more than once.
    Change,
    /// A queue that people share was changed, perhaps more than once.
    SharedQueues,
    /// Nothing, within the time; the connection is alive.
    Nothing,
}

impl Store {
    /// Opens the channel, and makes sure that what is said is heard, by this connection and no other.
    ///
    /// # Errors
    /// [`StoreError::Deaf`] if so.
    pub async fn change_channel(&self, patience: Duration) -> Result<ChangeChannel, StoreError> {
        let open = async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .max_lifetime(None)
                .idle_timeout(None)
                .acquire_timeout(patience)
                .connect_lazy_with(self.connect_options().clone());
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.ignore_pool_close_event(true);
            listener.eager_reconnect(false);
            let mut channel = ChangeChannel { listener };
            if channel.shares_its_session(self).await? {
                return Err(StoreError::Deaf);
            }
            channel.listener.listen(CHANNEL).await?;
            Ok::<_, StoreError>(channel)
        };
        let mut channel = tokio::time::timeout(patience, open).await.map_err(|_| StoreError::TimedOut)??;
        let probed = tokio::time::timeout(patience, channel.probe(self)).await;
        probed.map_err(|_| StoreError::Deaf)??;
        Ok(channel)
    }

    /// Says something that no listener takes for a change, from another connection.
    async fn say(&self, text: &str) -> Result<(), StoreError> {
        self.outside(async |connection| {
            sqlx::query!(r#"SELECT pg_notify($1, $2) IS NULL AS "said!""#, CHANNEL, text)
                .fetch_one(connection)
                .await?;
            Ok(())
        })
        .await
    }
}

impl ChangeChannel {
    /// Waits for a change, at most for `patience`, and then for a sign of life as long.
    ///
    /// # Errors
    /// If the connection is lost or does not answer.
    pub async fn hear(&mut self, patience: Duration) -> Result<Heard, StoreError> {
        let next = async {
            loop {
                match self.listener.try_recv().await? {
                    None => return Err(lost()),
                    Some(said) if said.payload().is_empty() => return Ok(Heard::Change),
                    Some(said) if said.payload() == OF_SHARED_QUEUES => return Ok(Heard::SharedQueues),
                    // Another listener's probe.
                    Some(_) => {}
                }
            }
        };
        match tokio::time::timeout(patience, next).await {
            Ok(heard) => heard,
            Err(_) => self.show_life(patience).await,
        }
    }

    /// Takes what was said several times as said once: whether anything was of tenants or keys, and whether of queues.
    pub fn drain(&mut self) -> (bool, bool) {
        let (mut change, mut queues) = (false, false);
        while let Some(said) = self.listener.next_buffered() {
            change |= said.payload().is_empty();
            queues |= said.payload() == OF_SHARED_QUEUES;
        }
        (change, queues)
    }

    async fn show_life(&mut self, patience: Duration) -> Result<Heard, StoreError> {
        let ask = sqlx::query_scalar!(r#"SELECT true AS "alive!""#).fetch_one(&mut self.listener);
        tokio::time::timeout(patience, ask).await.map_err(|_| StoreError::TimedOut)??;
        Ok(Heard::Nothing)
    }

    /// Whether others use the session too, as behind a pooler in transaction mode: they would be sent what is said to this
    /// one, which none of them expects. A pooler hands the session that was used last to whoever asks next.
    async fn shares_its_session(&mut self, store: &Store) -> Result<bool, StoreError> {
        const LOOKS: usize = 8;
        let own = self.session().await?;
        for _ in 0..LOOKS {
            let query = sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "session!""#);
            let other = store.outside(async |connection| Ok(query.fetch_one(connection).await?)).await?;
            if other == own || self.session().await? != own {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asked without a prepared statement: who shares the session may have prepared one of that name.
    async fn session(&mut self) -> Result<i32, StoreError> {
        let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(&mut self.listener).await?;
        Ok(row.try_get(0)?)
    }

    async fn probe(&mut self, store: &Store) -> Result<(), StoreError> {
        const PROBE: &str = "is anybody there";
        store.say(PROBE).await?;
        loop {
            match self.listener.try_recv().await? {
                None => return Err(lost()),
                // Anyone's probe will do: it shows that this connection hears.
                Some(said) if said.payload() == PROBE => return Ok(()),
                Some(_) => {}
            }
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()))
}

impl fmt::Debug for ChangeChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeChannel").finish_non_exhaustive()
    }
}
