//! Tells the other services that this replica is there, and which keys it holds: the rotation of keys waits for what is
//! said here. In the background only, never while a request waits.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::host::host_name;
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{KekProvider, Peppers};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, Entropy};
use stagedoor_key_encryption::KeyRing;
use stagedoor_storage::replicas::ReplicaReport;
use stagedoor_storage::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::vital_signs::VitalSigns;

/// How often it is said: several times before the others take this replica for dead.
const EVERY: Duration = Duration::from_secs(5);
/// Beats between two looks at the database's size.
const BEATS_BETWEEN_SIZES: u64 = 12;

/// One replica's heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    store: Store,
    keys: Arc<KeyRing>,
    peppers: Arc<Peppers>,
    clock: Arc<dyn Clock>,
    id: Uuid,
    host: String,
    opened_key: Duration,
    configuration_digest: [u8; 32],
    signs: Arc<VitalSigns>,
}

impl Heartbeat {
    /// The heartbeat of a process that begins now.
    pub fn new(
        config: &Config,
        store: Store,
        keys: Arc<KeyRing>,
        peppers: Arc<Peppers>,
        signs: Arc<VitalSigns>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Self {
        let id = stagedoor_domain::ids::uuid_v7(clock.as_ref(), entropy);
        let configuration_digest = sha256(&[config.in_common().as_bytes()]);
        let opened_key = config.encryption.opened_key();
        Self { store, keys, peppers, clock, id, host: host_name(), opened_key, configuration_digest, signs }
    }

    /// Says that this replica is there until `until`, and then that it is not any more.
    pub async fn run(self, until: CancellationToken) {
        let (mut failing, mut beats) = (false, 0);
        while let Some(outcome) = until.run_until_cancelled(Box::pin(self.beat(beats))).await {
            beats += 1;
            match &outcome {
                Ok(()) if failing => tracing::info!("the other services know of this replica again"),
                Err(error) if !failing => {
                    tracing::warn!(error = %Chain(error), "the other services do not know of this replica for now");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
            if until.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                break;
            }
        }
        if let Err(error) = self.store.remove_replica(self.id).await {
            tracing::debug!(error = %Chain(&error), "this replica's end was not told; it is noticed all the same");
        }
    }

    async fn beat(&self, before: u64) -> Result<(), StoreError> {
        // What is said is waited for: it should be what is there.
        self.keys.reload().await;
        let asked = self.clock.now();
        let theirs = self.store.database_time().await?;
        let clock_skew = skew(asked, theirs, self.clock.now());
        let report = ReplicaReport {
            id: self.id,
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key_encryption_keys: self.keys.ids(),
            wraps_with: self.keys.active_id(),
            pepper_versions: self.peppers.versions().collect(),
            opened_key: self.opened_key,
            configuration_digest: self.configuration_digest,
            clock_skew,
        };
        self.store.report_replica(&report).await?;
        self.signs.note_skew(clock_skew);
        if before.is_multiple_of(BEATS_BETWEEN_SIZES) {
            self.signs.note_size(self.store.database_bytes().await?);
        }
        Ok(())
    }
}

/// How far our clock, which showed `asked` before and `answered` after, is before theirs: nothing while theirs is between.
fn skew(asked: DateTime<Utc>, theirs: DateTime<Utc>, answered: DateTime<Utc>) -> TimeDelta {
    if theirs < asked {
        asked - theirs
    } else if theirs > answered {
        answered - theirs
    } else {
        TimeDelta::zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_there_and_back_is_no_skew() {
        let at = |milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap();
        assert_eq!(skew(at(100), at(150), at(200)), TimeDelta::zero());
        assert_eq!(skew(at(100), at(40), at(200)), TimeDelta::milliseconds(60));
        assert_eq!(skew(at(100), at(900), at(200)), TimeDelta::milliseconds(-700));
    }
}
