//! `CallerService`.

use stagedoor_proto::admin::v1::{Caller, GetCallerRequest, Role};
use stagedoor_storage::admin_keys::AdminRole;

use crate::call::AdminCall;
use crate::error::AdminError;

/// Tells who calls.
#[expect(clippy::unused_async, reason = "as every other RPC")]
pub async fn get_caller(call: &AdminCall, _: GetCallerRequest) -> Result<Caller, AdminError> {
    let caller = call.caller();
    let tenant = caller.bound_to.as_ref().map(|bound| bound.slug.to_string());
    Ok(Caller {
        principal: caller.label(),
        role: role(caller.role).into(),
        tenant: tenant.unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

pub(crate) fn role(role: AdminRole) -> Role {
    match role {
        AdminRole::PlatformOperator => Role::PlatformOperator,
        AdminRole::TenantAdmin => Role::TenantAdmin,
        AdminRole::Auditor => Role::Auditor,
    }
}
