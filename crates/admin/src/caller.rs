//! Who calls the admin API. Made by whoever checked the credentials.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_domain::{PrincipalKind, TenantId, TenantSlug};
use stagedoor_storage::admin_keys::AdminRole;

/// The tenant that a caller is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its id.
    pub id: TenantId,
    /// Its name in URLs.
    pub slug: TenantSlug,
}

/// A caller whose credentials are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminCaller {
    /// How it proved itself.
    pub kind: PrincipalKind,
    /// What it may do.
    pub role: AdminRole,
    /// The only tenant that it may know of.
    pub bound_to: Option<Bound>,
    /// The networks that its key may call from; empty means any.
    pub allowed_networks: Vec<IpNet>,
    /// When its key ends.
    pub expires_at: Option<DateTime<Utc>>,
}

impl AdminCaller {
    /// As the audit trail names it.
    pub fn label(&self) -> String {
        self.kind.label()
    }

    /// Whether it may know of the tenant of that name.
    pub fn may_know(&self, tenant: &str) -> bool {
        self.bound_to.as_ref().is_none_or(|bound| bound.slug.as_str() == tenant)
    }
}
