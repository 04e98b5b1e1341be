//! The keeper of a stage: in this process, by the stage's clock, and as the real program.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_crypto::SystemEntropy;
use stagedoor_keeper::jobs::Job;
use stagedoor_keeper::{Ended, Keeper, RunOptions};

use crate::command::{Command, Finished};
use crate::process::settings;
use crate::stage::{DATABASE, Stage};

const POLL: Duration = Duration::from_millis(20);

impl Stage {
    /// A keeper's configuration on this stage: a gateway's, and the connections of keeper, backup and owner.
    pub fn keeper_config(&self) -> Config {
        let mut config = self.config();
        let url = |role: &str| Some(SecretUrl::new(self.postgres().url_for(DATABASE, role)));
        config.storage.keeper_database_url = url("stagedoor_keeper");
        config.storage.backup_database_url = url("stagedoor_backup");
        config.storage.owner_database_url = url("postgres");
        config
    }

    /// A keeper in this process, by the stage's clock.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn keeper(&self) -> Keeper {
        self.keeper_with(self.keeper_config()).await
    }

    /// The same with another configuration.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn keeper_with(&self, config: Config) -> Keeper {
        match Box::pin(Keeper::open_with(config, Arc::clone(self.clock()), Arc::new(SystemEntropy))).await {
            Ok(keeper) => keeper,
            Err(error) => panic!("the keeper could not be opened: {error:#}"),
        }
    }

    /// Runs a job to its end on a keeper of its own.
    ///
    /// # Panics
    /// If the run's frame fails; what goes wrong with the job is in what it ended with.
    pub async fn keep(&self, job: &dyn Job) -> Ended {
        self.keep_with(job, RunOptions::default()).await
    }

    /// The same with options, such as a dry run.
    ///
    /// # Panics
    /// If the run's frame fails.
    pub async fn keep_with(&self, job: &dyn Job, options: RunOptions) -> Ended {
        Box::pin(self.keep_by(self.keeper_config(), job, options)).await
    }

    /// The same with another configuration.
    ///
    /// # Panics
    /// If the run's frame fails.
    pub fn keep_by(&self, config: Config, job: &dyn Job, options: RunOptions) -> impl Future<Output = Ended> {
        Box::pin(async move {
            let keeper = self.keeper_with(config).await;
            let ended = keeper.execute(job, options).await.expect("the run is on record");
            keeper.finish().await.expect("everything is on record");
            ended
        })
    }

    /// Begins `stagedoor-keeper ARGUMENTS` with this stage's configuration, and further settings on top of it.
    ///
    /// # Panics
    /// If the program was not built.
    pub fn begin_keeper(&self, arguments: &[&str], variables: &[(&str, String)]) -> Command {
        let config = self.keeper_config();
        let url =
            |url: &Option<SecretUrl>| url.as_ref().map(|url| url.expose().to_owned()).unwrap_or_default();
        let own = [
            ("STAGEDOOR_STORAGE__KEEPER_DATABASE_URL", url(&config.storage.keeper_database_url)),
            ("STAGEDOOR_STORAGE__BACKUP_DATABASE_URL", url(&config.storage.backup_database_url)),
            ("STAGEDOOR_STORAGE__OWNER_DATABASE_URL", url(&config.storage.owner_database_url)),
        ];
        let mut all = settings(self, Command::NOWHERE, Command::NOWHERE);
        all.extend(own);
        all.extend(variables.iter().map(|(name, value)| (*name, value.clone())));
        Command::start(self, "stagedoor-keeper", arguments, &all)
    }

    /// Kills a keeper as a crash would, and waits until the server has noticed: until then the lock of its job is held, and
    /// the next keeper would leave the work to it. Whoever was faster has ended with a code.
    pub async fn kill_keeper(&self, keeper: Command) -> Finished {
        keeper.signal(Signal::KILL);
        let finished = keeper.finished().await;
        // Only keepers take locks with two keys.
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2";
        while self.sql(held).await != "0" {
            tokio::time::sleep(POLL).await;
        }
        finished
    }

    /// Runs `stagedoor-keeper ARGUMENTS` with this stage's configuration to its end.
    pub async fn run_keeper(&self, arguments: &[&str]) -> Finished {
        self.begin_keeper(arguments, &[]).finished().await
    }
}
