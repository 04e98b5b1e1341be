//! Who may call what: the option `access` of each RPC, read from the descriptors once. Nothing else decides.

use std::collections::HashMap;
use std::sync::OnceLock;

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use stagedoor_audit::AuditAction;
use stagedoor_proto::admin::v1;
use stagedoor_proto::dynamic;
use stagedoor_storage::admin_keys::AdminRole;

/// What an RPC is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The tenant that the request names.
    Tenant,
    /// The installation.
    Platform,
    /// The caller.
    Caller,
}

/// Who may call an RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The roles.
    pub roles: Vec<AdminRole>,
    /// What it is about.
    pub scope: Scope,
    /// Whether it changes anything.
    pub writes: bool,
    /// As what it is recorded, if not by its effect.
    pub recorded: Option<AuditAction>,
}

/// An RPC.
#[derive(Debug)]
pub struct Method {
    /// Service and RPC, such as `TenantService/GetTenant`; what its audit records are about.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Its request.
    pub input: MessageDescriptor,
    /// Its answer; of an RPC that streams, one of them.
    pub output: MessageDescriptor,
    /// The fields that a request must set.
    pub required: Vec<FieldDescriptor>,
}

/// Every RPC of the API.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    table().values()
}

/// The RPC of that name, such as `TenantService/GetTenant`.
///
/// # Panics
/// If the API has none: names are written beside the descriptors that they are looked up in.
pub fn method(name: &str) -> &'static Method {
    table().get(name).unwrap_or_else(|| panic!("the admin API has no RPC {name}"))
}

impl Access {
    /// Whether `role` may call it.
    pub fn allows(&self, role: AdminRole) -> bool {
        self.roles.contains(&role)
    }

    /// As what a call is recorded, by whether it has an effect.
    pub fn action(&self, has_effect: bool) -> AuditAction {
        let by_effect = if has_effect { AuditAction::AdminWrite } else { AuditAction::AdminRead };
        self.recorded.unwrap_or(by_effect)
    }
}

fn table() -> &'static HashMap<&'static str, Method> {
    static TABLE: OnceLock<HashMap<&'static str, Method>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let rpcs = dynamic::services().flat_map(|service| service.methods().collect::<Vec<_>>());
        rpcs.map(|rpc| {
            // As long as the program runs: there are so many RPCs and no more.
            let name: &'static str = format!("{}/{}", rpc.parent_service().name(), rpc.name()).leak();
            let stated =
                dynamic::access(&rpc).unwrap_or_else(|| panic!("{name} does not say who may call it"));
            let (input, output) = (rpc.input(), rpc.output());
            let required = input.fields().filter(|field| dynamic::field_behavior(field).required).collect();
            (name, Method { name, access: Access::read(name, &stated), input, output, required })
        })
        .collect()
    })
}

impl Access {
    fn read(name: &str, stated: &v1::Access) -> Self {
        let role = |role: v1::Role| match role {
            v1::Role::PlatformOperator => AdminRole::PlatformOperator,
            v1::Role::TenantAdmin => AdminRole::TenantAdmin,
            v1::Role::Auditor => AdminRole::Auditor,
            v1::Role::Unspecified => panic!("{name} names no role"),
        };
        let scope = match stated.scope() {
            v1::AccessScope::Tenant => Scope::Tenant,
            v1::AccessScope::Platform => Scope::Platform,
            v1::AccessScope::Self_ => Scope::Caller,
            v1::AccessScope::Unspecified => panic!("{name} does not say what it is about"),
        };
        let writes = match stated.effect() {
            v1::Effect::Write => true,
            v1::Effect::Read => false,
            v1::Effect::Unspecified => panic!("{name} does not say whether it changes anything"),
        };
        let recorded = match stated.recorded() {
            v1::Recorded::Unspecified => None,
            v1::Recorded::AuditRead => Some(AuditAction::AuditRead),
            v1::Recorded::AuditExport => Some(AuditAction::AuditExport),
        };
        Self { roles: stated.roles().map(role).collect(), scope, writes, recorded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_the_trail_is_recorded_as_that_and_nobody_else_is() {
        for method in methods() {
            let of_trail = method.name.starts_with("AuditService/");
            assert_eq!(method.access.recorded.is_some(), of_trail, "{}", method.name);
            assert!(!(of_trail && method.access.writes), "{} would be recorded as a read", method.name);
        }
        let action = |name: &str, has_effect| method(name).access.action(has_effect);
        assert_eq!(action("AuditService/ExportAudit", false), AuditAction::AuditExport);
        assert_eq!(action("AuditService/QueryAudit", false), AuditAction::AuditRead);
        assert_eq!(action("TenantService/SuspendTenant", true), AuditAction::AdminWrite);
        assert_eq!(action("TenantService/SuspendTenant", false), AuditAction::AdminRead, "only checked");
    }
}
