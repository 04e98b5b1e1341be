//! The only place that makes contexts for admins. Whoever calls has looked at role and tenant.

use std::sync::Arc;

use stagedoor_domain::{CallId, Clock, Entropy, Tenant, TenantContext};

use crate::caller::AdminCaller;

/// A call of `caller` in `tenant`.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
pub(crate) fn establish(caller: &AdminCaller, tenant: Arc<Tenant>, call: CallId) -> TenantContext {
    TenantContext::for_admin(tenant, caller.kind.clone(), call)
}

/// The making of the platform's own tenant.
#[expect(clippy::disallowed_methods, reason = "a named job: the admin API makes the tenant of its own trail")]
pub(crate) fn of_the_platform(
    tenant: &Arc<Tenant>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> TenantContext {
    TenantContext::for_job(Arc::clone(tenant), "admin_api", CallId::generate(clock, entropy))
}
