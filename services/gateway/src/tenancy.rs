//! `Principal` + path → `TenantContext`: the one place where a request gets its context, an agent's call as well as a
//! person's visit to a page, or a job of the gateway's own.

use std::sync::Arc;

use stagedoor_domain::{CallId, Clock, Entropy, Principal, Tenant, TenantContext};

use stagedoor_storage::link_attempts::LinkSignIn;
use stagedoor_storage::privacy_requests::PrivacySignIn;

use crate::authn::SignIn;
use crate::narrowing::Narrowing;

/// The context of one request of an authenticated caller, with no more rights than the request asks for.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
pub fn establish(
    sign_in: SignIn,
    narrowing: Narrowing,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> TenantContext {
    let call = CallId::generate(clock, entropy);
    TenantContext::for_request(sign_in.tenant, narrowing.of(sign_in.principal), call)
}

/// The context of a job of the gateway's own inside one tenant.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
pub fn establish_job(
    tenant: Arc<Tenant>,
    job: &'static str,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> TenantContext {
    TenantContext::for_job(tenant, job, CallId::generate(clock, entropy))
}

/// What jobs that people began are called in audit records.
pub const JOB: &str = "agent_job";

/// The context of a job that works on behalf of a person, with the rights of the principal that began it.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
pub fn establish_job_of(
    tenant: Arc<Tenant>,
    begun_by: &Principal,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> TenantContext {
    TenantContext::for_job_of(tenant, JOB, begun_by, CallId::generate(clock, entropy))
}

/// The context of one visit to the pages of a link: whoever holds the link's address may finish or decline it.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
pub fn establish_link_page(sign_in: LinkSignIn, clock: &dyn Clock, entropy: &dyn Entropy) -> TenantContext {
    let call = CallId::generate(clock, entropy);
    TenantContext::for_link_page(Arc::new(sign_in.tenant), sign_in.attempt, sign_in.user, call)
}

/// The context of one visit to the page of a privacy request: whoever holds its address may answer it.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
pub fn establish_privacy_page(
    sign_in: PrivacySignIn,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> TenantContext {
    let call = CallId::generate(clock, entropy);
    TenantContext::for_privacy_page(Arc::new(sign_in.tenant), sign_in.request, sign_in.user, call)
}
