//! Watches the key-encryption keys while the gateway runs. Opening them is `stagedoor_assembly`'s.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_bootstrap::health::CheckHandle;
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::KekProvider;
use stagedoor_key_encryption::KeyRing;
use tokio_util::sync::CancellationToken;

/// Keeps the keys up to date and tells `check` how they are, until `until`. A gateway that has lost its keys still
/// answers from its cache, and all replicas lose them together: so the check informs and takes no replica out.
pub fn watch(keys: &Arc<KeyRing>, check: CheckHandle, until: &CancellationToken) {
    let (running, shutdown) = (Arc::clone(keys), until.clone());
    tasks::spawn("keys", async move { running.run(shutdown).await });
    let watched = Arc::clone(keys);
    let watching = async move {
        loop {
            match watched.problem() {
                None => check.pass(),
                Some(problem) => check.fail(problem),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tasks::spawn("keys check", until.clone().run_until_cancelled_owned(watching));
}
