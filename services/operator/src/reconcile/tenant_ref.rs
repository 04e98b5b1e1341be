//! From an object to its tenant: only a `Tenant` of the same namespace that owns a tenant of the installation will do.

use kube::runtime::reflector::ObjectRef;

use crate::context::Context;
use crate::kind::ReconcileError;
use crate::resources::{DeletionPolicy, TenantRef};

/// A tenant that objects may be made in.
pub(super) struct OwnedTenant {
    /// Its name in URLs.
    pub(super) slug: String,
    /// What becomes of it.
    pub(super) deletion_policy: DeletionPolicy,
}

/// The tenant that `named` stands for.
pub(super) fn find(
    context: &Context,
    namespace: &str,
    named: &TenantRef,
) -> Result<OwnedTenant, ReconcileError> {
    let name = &named.name;
    let tenant = context.stores.tenants.get(&ObjectRef::new(name).within(namespace)).ok_or_else(|| {
        ReconcileError::waiting(
            "TenantMissing",
            format!("spec.tenantRef: there is no Tenant {name:?} in namespace {namespace:?}; make it, or name another."),
        )
    })?;
    if tenant.metadata.deletion_timestamp.is_some() {
        return Err(ReconcileError::waiting(
            "TenantDeleting",
            format!("spec.tenantRef: the Tenant {name:?} is being deleted."),
        ));
    }
    let mine = &context.config.installation;
    if tenant.installation().is_some_and(|of| of != mine) {
        return Err(ReconcileError::waiting(
            "TenantElsewhere",
            format!(
                "spec.tenantRef: the Tenant {name:?} is another installation's by now; delete this object and make it anew."
            ),
        ));
    }
    let owns = tenant.status.as_ref().is_some_and(|status| status.tenant_id.is_some());
    let owns = owns && tenant.installation().is_some();
    if !owns {
        return Err(ReconcileError::waiting(
            "TenantNotReady",
            format!(
                "spec.tenantRef: the Tenant {name:?} is not there in the installation yet; its conditions say why."
            ),
        ));
    }
    Ok(OwnedTenant { slug: tenant.slug(), deletion_policy: tenant.spec.deletion_policy })
}

/// Whether the tenant that `named` stands for is another installation's: what names it follows it.
pub(super) fn is_elsewhere(context: &Context, namespace: &str, named: &TenantRef) -> bool {
    let tenant = context.stores.tenants.get(&ObjectRef::new(&named.name).within(namespace));
    tenant.is_some_and(|tenant| tenant.installation().is_some_and(|of| of != context.config.installation))
}

/// What becomes of the tenant that `named` stands for, if its object is there.
pub(super) fn deletion_policy(
    context: &Context,
    namespace: &str,
    named: &TenantRef,
) -> Option<DeletionPolicy> {
    let tenant = context.stores.tenants.get(&ObjectRef::new(&named.name).within(namespace));
    let tenant = tenant.filter(|tenant| tenant.installation() == Some(&context.config.installation));
    tenant.map(|tenant| tenant.spec.deletion_policy)
}
