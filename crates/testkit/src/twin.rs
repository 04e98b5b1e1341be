//! Music services and a vault that give out the same ids as every other twin of the same seed, so that two tenants can
//! have people, accounts and playlists of equal ids.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::DateTime;
use stagedoor_domain::{Clock, Entropy};
use stagedoor_sandbox::{Sandbox, SandboxConfig};
use stagedoor_storage::{KeyVault, Purpose};
use tokio_util::sync::DropGuard;

use crate::clock::FrozenClock;
use crate::entropy::SeededEntropy;
use crate::stage::{Stage, record, serve, vault};

/// The moment that all ids are of.
const MOMENT: i64 = 1_790_000_000;

/// Music services and a vault whose ids follow from a seed and the order of calls.
#[derive(Debug)]
pub struct Twin {
    vault: Arc<KeyVault>,
    sandbox: Sandbox,
    address: SocketAddr,
    _stop: DropGuard,
}

impl Stage {
    /// A twin; two of one seed give the same ids to the same calls in the same order.
    ///
    /// # Panics
    /// If it cannot be set.
    pub async fn twin(&self, seed: u64) -> Twin {
        match self.try_twin(seed).await {
            Ok(twin) => twin,
            Err(error) => panic!("the twin could not be set: {error:#}"),
        }
    }

    async fn try_twin(&self, seed: u64) -> anyhow::Result<Twin> {
        let moment = DateTime::from_timestamp(MOMENT, 0).unwrap_or_default();
        let clock: Arc<dyn Clock> = Arc::new(FrozenClock::at(moment));
        let ids: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let vault = vault(self.postgres(), ("stagedoor_admin", Purpose::Provision), &clock, &ids).await?;
        let sandbox = Sandbox::new(SandboxConfig {
            clock: Arc::clone(self.clock()),
            entropy: Arc::new(SeededEntropy::new(seed)),
            record: record(),
            ..SandboxConfig::default()
        });
        let (address, stop) = serve(&sandbox).await?;
        Ok(Twin { vault, sandbox, address, _stop: stop })
    }
}

impl Twin {
    /// Its music services.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Where they listen.
    pub fn sandbox_address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn admin(&self) -> &KeyVault {
        &self.vault
    }
}
