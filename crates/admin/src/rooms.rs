//! What the use cases work with.

use std::sync::Arc;

use stagedoor_audit::{AuditLog, Checkpointer};
use stagedoor_crypto::Peppers;
use stagedoor_domain::{
    Clock, Entropy, Provider, RetentionSettings, Tenant, TenantId, TenantSettings, TenantSlug, TenantStatus,
};
use stagedoor_storage::{KeyVault, StoreError, tenant_records};
use stagedoor_tools::Dispatcher;
use url::Url;

use crate::tenancy;

/// The reserved tenant whose audit trail holds what is about no tenant. It is never served.
pub const PLATFORM: &str = "platform";

/// The rooms.
#[derive(Debug)]
pub struct AdminRooms {
    /// Keys and database, as provisioning's role.
    pub provisioning: Arc<KeyVault>,
    /// Keys and database, as the gateway's role.
    pub vault: Arc<KeyVault>,
    /// What digests of keys are made with.
    pub peppers: Arc<Peppers>,
    /// The audit trail.
    pub audit: AuditLog,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The address that agents and people use.
    pub public_url: Url,
    /// The tenant of [`PLATFORM`].
    pub platform: Arc<Tenant>,
    /// Who signs how far chains of the trail are.
    pub checkpointer: Checkpointer,
    /// What links accounts, and ends links.
    pub dispatcher: Arc<Dispatcher>,
    /// What holds for tenants that say nothing else.
    pub installation: Installation,
    /// Whether issuers may be at addresses of plain `http`.
    pub plain_http_issuers: bool,
}

/// What the installation's configuration says of every tenant that says nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Installation {
    /// How long what is kept.
    pub retention: RetentionSettings,
    /// Bytes of a day's audit records at which reads are refused; 0 for no limit.
    pub max_log_size_bytes: u64,
}

impl AdminRooms {
    /// The tenant of [`PLATFORM`]; made if it is not there.
    ///
    /// # Panics
    /// Never: its name is a constant of the right form.
    pub async fn platform(provisioning: &KeyVault) -> Result<Arc<Tenant>, StoreError> {
        let slug: TenantSlug = PLATFORM.parse().expect("a constant name");
        let store = provisioning.store();
        if let Some(tenant) = store.find_tenant(&slug).await? {
            return Ok(Arc::new(tenant));
        }
        let id = TenantId::generate(provisioning.clock(), provisioning.entropy());
        let settings = TenantSettings::default();
        let tenant = Arc::new(Tenant { id, slug: slug.clone(), status: TenantStatus::Suspended, settings });
        let context = tenancy::of_the_platform(&tenant, provisioning.clock(), provisioning.entropy());
        let insert =
            async |tx: &mut _| tenant_records::insert(tx, &tenant, "The installation itself", PLATFORM).await;
        match store.with_tenant(&context, insert).await {
            Ok(()) => Ok(tenant),
            // Another replica was quicker.
            Err(StoreError::AlreadyExists(_)) => {
                Ok(Arc::new(store.find_tenant(&slug).await?.ok_or(StoreError::Missing("tenant"))?))
            }
            Err(error) => Err(error),
        }
    }

    /// Where a provider sends people back to who link an account.
    pub fn redirect_uri(&self, tenant: &TenantSlug, provider: Provider) -> String {
        format!("{}/t/{tenant}/connect/callback/{provider}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Where a tenant's agents connect.
    pub fn endpoint(&self, tenant: &TenantSlug) -> String {
        format!("{}/t/{tenant}/mcp", self.public_url.as_str().trim_end_matches('/'))
    }
}
