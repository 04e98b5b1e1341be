//! The admin API of a gateway, where the configuration wants one.

use std::sync::Arc;

use anyhow::Context;
use stagedoor_admin::{AdminRooms, Installation};
use stagedoor_assembly::open_store;
use stagedoor_audit::Checkpointer;
use stagedoor_bootstrap::config::Config;
use stagedoor_crypto::{KekProvider, Peppers};
use stagedoor_key_encryption::KeyRing;
use stagedoor_storage::{KeyVault, Purpose};

use crate::admin::AdminApi;
use crate::oauth::AdminTokens;
use crate::state::AppState;

/// The API that `config` wants.
pub(super) async fn open(
    config: &Config,
    state: &Arc<AppState>,
    vault: &Arc<KeyVault>,
    keys: &Arc<KeyRing>,
    (peppers, checkpointer): (&Arc<Peppers>, &Checkpointer),
) -> anyhow::Result<Option<Arc<AdminApi>>> {
    if config.admin.listen.is_none() {
        return Ok(None);
    }
    let mut of_admin = config.clone();
    of_admin.storage.max_connections = config.admin.database_connections;
    let store = open_store(&of_admin, Purpose::Provision).await?;
    let keys: Arc<dyn KekProvider> = Arc::<KeyRing>::clone(keys);
    let provisioning = KeyVault::new(store, keys, Arc::clone(&state.clock), Arc::clone(&state.entropy))
        .with_memory(config.encryption.opened_key());
    let provisioning = Arc::new(provisioning);
    let platform = AdminRooms::platform(&provisioning).await.context("the platform's own tenant")?;
    let rooms = AdminRooms {
        provisioning,
        vault: Arc::clone(vault),
        peppers: Arc::clone(peppers),
        audit: state.audit.clone(),
        clock: Arc::clone(&state.clock),
        entropy: Arc::clone(&state.entropy),
        public_url: config.server.public_url.clone(),
        platform,
        checkpointer: checkpointer.clone(),
        dispatcher: Arc::clone(&state.dispatcher),
        installation: Installation {
            retention: config.retention.settings(),
            max_log_size_bytes: config.audit.max_log_size_bytes,
        },
        plain_http_issuers: config.oauth.allow_http,
    };
    let tokens = AdminTokens::new(config, &state.clock, state.background.clone())?;
    Ok(Some(AdminApi::new(Arc::clone(state), rooms, config.admin.clone(), tokens)?))
}
