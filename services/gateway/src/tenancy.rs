//! `Principal` + path → `TenantContext`: the one place where a request gets its context.

use std::sync::Arc;

use stagedoor_domain::{CallId, Clock, Entropy, TenantContext};

use crate::authn::SignIn;

/// The context of one request of an authenticated caller.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
pub fn establish(sign_in: &SignIn, clock: &dyn Clock, entropy: &dyn Entropy) -> TenantContext {
    let call = CallId::generate(clock, entropy);
    TenantContext::for_request(Arc::clone(&sign_in.tenant), Arc::clone(&sign_in.principal), call)
}
