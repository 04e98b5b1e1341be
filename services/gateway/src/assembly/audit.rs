//! The audit trail and its checkpoints, as their section of the configuration wants them.

use std::sync::Arc;

use stagedoor_assembly::checkpoint_archive;
use stagedoor_audit::{AuditLog, AuditOptions, AuditWorker, Checkpointer};
use stagedoor_bootstrap::config::Config;
use stagedoor_storage::KeyVault;

pub(super) fn log(config: &Config, vault: &Arc<KeyVault>) -> (AuditLog, AuditWorker) {
    if !config.audit.enabled {
        tracing::warn!("audit.enabled is false: no call is recorded");
    }
    let options = AuditOptions {
        enabled: config.audit.enabled,
        flush_interval: config.audit.flush_interval(),
        queue_capacity: config.audit.queue_capacity,
        max_log_size: config.audit.max_log_size_bytes,
        ..AuditOptions::default()
    };
    AuditLog::new(Arc::clone(vault), options)
}

pub(super) fn checkpointer(config: &Config, vault: &Arc<KeyVault>) -> anyhow::Result<Checkpointer> {
    let archive = checkpoint_archive(config)?;
    if archive.is_none() {
        tracing::info!(
            "audit.checkpoint_url is not set: checkpoints are kept in the database only, where whoever can change the \
             trail can remove them too"
        );
    }
    Ok(Checkpointer::new(Arc::clone(vault), archive, config.audit.checkpoint_interval()))
}
