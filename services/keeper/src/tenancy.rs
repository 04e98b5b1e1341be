//! Where a job gets the context of a tenant.

use std::sync::Arc;

use stagedoor_domain::{CallId, Clock, Entropy, Principal, PrincipalKind, Tenant, TenantContext, UserId};

/// The context of the job `job` in a tenant.
#[expect(clippy::disallowed_methods, reason = "the keeper's jobs are named jobs")]
pub(crate) fn establish(
    tenant: Arc<Tenant>,
    job: &'static str,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> TenantContext {
    TenantContext::for_job(tenant, job, CallId::generate(clock, entropy))
}

/// The context of the same job for what concerns one person.
#[expect(clippy::disallowed_methods, reason = "the keeper's jobs are named jobs")]
pub(crate) fn establish_for(
    context: &TenantContext,
    person: UserId,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> TenantContext {
    let job = match context.principal().kind {
        PrincipalKind::Job(job) => job,
        _ => "keeper",
    };
    let principal = Principal { user: Some(person), ..context.principal().clone() };
    let tenant = Arc::new(context.tenant().clone());
    TenantContext::for_job_of(tenant, job, &principal, CallId::generate(clock, entropy))
}
