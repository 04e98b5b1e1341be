//! Key-encryption keys in files: a mounted Secret's folder with several versions, or one file. Read again every few
//! seconds, and at once when a wrap names a key that is not there yet.

mod files;
mod held;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use stagedoor_crypto::envelope::key_id;
use stagedoor_crypto::{DataKey, KekError, KekProvider, KeyEncryptionKey, Wrap};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, Entropy, TenantId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use files::{KeyFilesError, KeySource};
pub(crate) use files::{list, read_file};
pub use state::{KeyState, KeyVersion, key_versions, wrapping};

use held::{Change, HeldKeys};

/// How often the files are read again.
const POLL: Duration = Duration::from_secs(10);
/// How often at most unknown ids make the files be read at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The keys of a folder or a file.
pub struct DirectoryKeys {
    source: KeySource,
    settle: Duration,
    clock: Arc<dyn Clock>,
    held: Mutex<HeldKeys>,
    /// Why the files were not taken when they were last read.
    refused: Mutex<Option<String>>,
    /// When an unknown id last made the files be read.
    asked: tokio::sync::Mutex<Option<Duration>>,
}

impl DirectoryKeys {
    /// The keys that are there now; all active ones of them may wrap. One that appears later wraps once it has been there for
    /// `settle`, so that every replica can unwrap it by then. Reads files: for the start only.
    pub fn open(source: KeySource, settle: Duration, clock: Arc<dyn Clock>) -> Result<Self, KeyFilesError> {
        let mut held = HeldKeys::default();
        held.update(source.read()?, Duration::ZERO);
        Ok(Self {
            source,
            settle,
            clock,
            held: Mutex::new(held),
            refused: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        })
    }

    /// Reads the files again every ten seconds until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let polling = async {
            loop {
                tokio::time::sleep(POLL).await;
                self.reload().await;
            }
        };
        shutdown.run_until_cancelled(polling).await;
    }

    /// Reads the files again. What changed is logged; files that are damaged change nothing.
    pub async fn reload(&self) {
        let source = self.source.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || source.read()).await else { return };
        match read {
            Ok(found) => self.take(found),
            Err(KeyFilesError::Missing(_)) => self.take(BTreeMap::new()),
            Err(error) => self.refuse(Chain(&error).to_string()),
        }
    }

    fn take(&self, found: BTreeMap<u32, KeyVersion>) {
        let changes = self.held().update(found, self.clock.elapsed() + self.settle);
        for change in changes {
            match change {
                Change::Vanished { .. } => {
                    tracing::error!(source = %self.source, "key-encryption key: {change}");
                }
                Change::Appeared { state: KeyState::Active, .. } => {
                    let seconds = self.settle.as_secs();
                    tracing::info!(source = %self.source, settles_in = seconds, "key-encryption key: {change}");
                }
                _ => tracing::info!(source = %self.source, "key-encryption key: {change}"),
            }
        }
        if self.refused().take().is_some() {
            tracing::info!(source = %self.source, "the key files are readable again");
        }
    }

    fn refuse(&self, problem: String) {
        let mut refused = self.refused();
        if refused.as_ref() != Some(&problem) {
            tracing::error!(source = %self.source, problem, "key files not taken; the keys held before stay in use");
            *refused = Some(problem);
        }
    }

    async fn find(&self, id: Uuid) -> Option<Arc<KeyEncryptionKey>> {
        if let Some(key) = self.held().find(id) {
            return Some(key);
        }
        let mut asked = self.asked.lock().await;
        // Another call may have read them while this one waited.
        let found = self.held().find(id);
        let now = self.clock.elapsed();
        if found.is_some() || asked.is_some_and(|asked| now.saturating_sub(asked) < AT_ONCE) {
            return found;
        }
        *asked = Some(now);
        self.reload().await;
        self.held().find(id)
    }

    fn active(&self) -> Option<Arc<KeyEncryptionKey>> {
        self.held().active(self.clock.elapsed()).cloned()
    }

    fn held(&self) -> MutexGuard<'_, HeldKeys> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KekProvider for DirectoryKeys {
    async fn wrap(
        &self,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Result<Wrap, KekError> {
        let none = || KekError::unreachable(format!("{} holds no key that may wrap now", self.source));
        Ok(self.active().ok_or_else(none)?.wrap(tenant, key, revision, entropy))
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError> {
        let wanted = key_id(wrapped)?;
        let key = self.find(wanted).await.ok_or(KekError::UnknownKey(wanted))?;
        key.unwrap(tenant, id, revision, wrapped)
    }

    fn active_id(&self) -> Option<Uuid> {
        self.active().map(|key| key.id())
    }

    fn ids(&self) -> Vec<Uuid> {
        self.held().ids()
    }

    fn problem(&self) -> Option<String> {
        if let Some(refused) = &*self.refused() {
            return Some(format!("key files not taken: {refused}"));
        }
        let vanished = self.held().vanished();
        if vanished.is_empty() {
            return None;
        }
        let versions: Vec<_> = vanished.iter().map(u32::to_string).collect();
        Some(format!(
            "{}: gone: version {}; what was wrapped under it does not open after the next start",
            self.source,
            versions.join(", ")
        ))
    }
}

impl fmt::Debug for DirectoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryKeys")
            .field("source", &self.source)
            .field("held", &*self.held())
            .finish_non_exhaustive()
    }
}
