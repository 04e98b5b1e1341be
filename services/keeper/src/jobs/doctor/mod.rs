//! `doctor`: looks at everything that an installation needs and says what is wrong, before anyone else notices. Changes
//! nothing. Each check is in a file with its like; when a figure is bad is in `domain::health`.

mod backups;
mod clocks;
mod database;
mod disks;
mod finding;
mod keys;
mod redis;
mod replicas;
mod runs;

use std::sync::Arc;

use anyhow::anyhow;
use async_trait::async_trait;
use clap::Args;
use stagedoor_assembly::open_store;
use stagedoor_bootstrap::config::Config;
use stagedoor_crypto::{Peppers, SystemEntropy};
use stagedoor_domain::health::Verdict;
use stagedoor_domain::{Clock, Entropy, SystemClock};
use stagedoor_key_encryption::KeyRing;
use stagedoor_storage::{Purpose, Store};

pub use finding::{Check, Finding, Report};

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Its arguments: it has none.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Doctor {}

/// What is looked at. What did not open says why.
struct Rooms<'a> {
    config: &'a Config,
    store: Result<Store, String>,
    keys: Result<(Arc<KeyRing>, Arc<Peppers>), String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

#[async_trait(?Send)]
impl Job for Doctor {
    fn name(&self) -> &'static str {
        "doctor"
    }

    /// Warnings make it a run that was done partly; what fails makes it a run that failed.
    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let rooms = Rooms {
            config: &keeper.config,
            store: Ok(keeper.store.clone()),
            keys: Ok((Arc::clone(&keeper.keys), Arc::clone(&keeper.peppers))),
            clock: Arc::clone(&keeper.clock),
            entropy: Arc::clone(&keeper.entropy),
        };
        let report = rooms.examine().await;
        run.answer(report.to_string(), report.to_json());
        run.count("checks_made", report.0.len() as u64);
        let failing: Vec<_> = report
            .troubles()
            .iter()
            .filter(|finding| finding.verdict == Verdict::Failing)
            .map(|finding| finding.check.as_str())
            .collect();
        if !failing.is_empty() {
            run.count("checks_failing", failing.len() as u64);
            return Err(JobError::Other(anyhow!("failing: {}", failing.join(", "))));
        }
        for warning in report.troubles() {
            run.count("warnings", 1);
            run.failed(warning.check.as_str(), &warning.told);
        }
        Ok(())
    }
}

/// What can be looked at where no keeper opens, because it lacks the database or the keys.
pub async fn without_keeper(config: &Config) -> Report {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let store = open_store(config, Purpose::Keep).await;
    let keys = stagedoor_assembly::keys::open(&config.encryption, &clock, &*entropy).await;
    let rooms = Rooms {
        config,
        store: store.map_err(|error| format!("{error:#}")),
        keys: keys.map(|(keys, peppers)| (keys, Arc::new(peppers))).map_err(|error| format!("{error:#}")),
        clock,
        entropy,
    };
    rooms.examine().await
}

impl Rooms<'_> {
    async fn examine(&self) -> Report {
        let mut found = Vec::new();
        found.extend(self.storage().await);
        found.extend(self.schema().await);
        found.extend(self.space_and_tail().await);
        found.extend(self.partitions().await);
        found.extend(self.disks());
        found.extend(self.keys().await);
        found.extend(self.redis().await);
        found.extend(self.clocks().await);
        found.extend(self.replicas().await);
        found.extend(self.backups().await);
        found.extend(self.drill().await);
        found.extend(self.privacy().await);
        found.extend(self.runs().await);
        // Stable: findings of one check stay in the order in which they were made.
        found.sort_by_key(|finding| finding.check);
        Report(found)
    }

    /// The database, for checks that have nothing to say without it: that it is not there is said once.
    fn store(&self) -> Option<&Store> {
        self.store.as_ref().ok()
    }
}
