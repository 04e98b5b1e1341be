//! Whether anything can be made in a tenant.

use stagedoor_domain::TenantStatus;

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::rooms::PLATFORM;

/// Fails in a tenant that is being deleted, or that is the installation itself.
pub(crate) fn living(call: &AdminCall) -> Result<(), AdminError> {
    let tenant = call.context().tenant();
    if tenant.slug.as_str() == PLATFORM {
        return Err(AdminError::not_in_state(
            "The tenant is the installation itself: it holds its audit trail and is never served.",
            "Name another tenant.",
        ));
    }
    match tenant.status {
        TenantStatus::Active | TenantStatus::Suspended => Ok(()),
        TenantStatus::Deleting | TenantStatus::Deleted => Err(AdminError::not_in_state(
            "The tenant is being deleted, or is deleted.",
            "Nothing can be made in it any more.",
        )),
    }
}
