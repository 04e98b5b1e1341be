//! Who may call what. `access.txt` holds it for every RPC and changes only by someone's hand, because a wrong option is no
//! mistake to any test that reads the options themselves; beside it, rules that hold for whatever is added.

use std::collections::BTreeSet;

use prost_reflect::MethodDescriptor;
use stagedoor_proto::admin::v1::{Access, AccessScope, Effect, Role};
use stagedoor_proto::dynamic;

use super::{Committed, methods, name};

/// What RPCs are called that change nothing (google.aip.dev/130).
const READS: [&str; 5] = ["Get", "List", "Query", "Summarize", "Export"];
/// What RPCs are called whose request again must make nothing twice.
const MAKES: [&str; 3] = ["Create", "Begin", "Rotate"];
/// What RPCs are called that must not undo what their caller has not seen. Revoking ends a key whatever it is by then.
const CHANGES: [&str; 4] = ["Update", "Delete", "Suspend", "Resume"];

fn of(method: &MethodDescriptor) -> Access {
    dynamic::access(method).unwrap_or_else(|| panic!("{} does not say who may call it", name(method)))
}

fn is_one_of(method: &MethodDescriptor, verbs: &[&str]) -> bool {
    verbs.iter().any(|verb| method.name().starts_with(verb))
}

fn asks_for(method: &MethodDescriptor, field: &str) -> bool {
    method.input().get_field_by_name(field).is_some()
}

#[test]
fn who_may_call_what_is_what_was_reviewed() {
    let line = |method: MethodDescriptor| {
        let access = of(&method);
        let mut roles: Vec<_> = access.roles().map(|role| role.as_str_name().to_ascii_lowercase()).collect();
        roles.sort();
        let text = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_ascii_lowercase();
        let scope = text(access.scope().as_str_name(), "ACCESS_SCOPE_");
        let effect = text(access.effect().as_str_name(), "EFFECT_");
        format!("{} {effect} {scope}: {}", name(&method), roles.join(", ").replace("role_", ""))
    };
    let present: BTreeSet<String> = methods().map(line).collect();
    let committed = Committed::read("access.txt");
    if !committed.write(&present) {
        assert_eq!(committed.lines, present, "read proto/README.md, `Who may call what`");
    }
}

#[test]
fn auditors_change_nothing_and_see_what_admins_see() {
    for method in methods() {
        let access = of(&method);
        let reads = access.effect() == Effect::Read;
        assert_eq!(reads, is_one_of(&method, &READS), "{}: its name says something else", name(&method));
        assert_eq!(
            access.roles().any(|role| role == Role::Auditor),
            reads,
            "{}: auditors read, and nothing else",
            name(&method)
        );
    }
}

#[test]
fn tenant_admins_reach_nothing_of_the_installation_and_operators_everything() {
    for method in methods() {
        let (access, name) = (of(&method), name(&method));
        let may = |wanted: Role| access.roles().any(|role| role == wanted);
        assert!(may(Role::PlatformOperator), "{name}");
        assert!(!(may(Role::TenantAdmin) && access.scope() == AccessScope::Platform), "{name}");
        let route = dynamic::http_route(&method).unwrap_or_else(|| panic!("{name} has no path"));
        let of_tenant = access.scope() == AccessScope::Tenant;
        assert_eq!(route.path.starts_with("/v1/tenants/{tenant}"), of_tenant, "{name}: {}", route.path);
        let tenant = method.input().get_field_by_name("tenant");
        let required = tenant.is_some_and(|field| dynamic::field_behavior(&field).required);
        assert!(required || !of_tenant, "{name} is about a tenant that it need not name");
        assert_eq!(route.method == "GET", access.effect() == Effect::Read, "{name}");
    }
}

#[test]
fn every_request_has_the_fields_that_its_kind_has() {
    for method in methods() {
        let name = name(&method);
        let has = |field: &str| asks_for(&method, field);
        let writes = of(&method).effect() == Effect::Write;
        assert_eq!(has("validate_only"), writes, "{name}: whatever changes something can be tried");
        assert!(has("request_id") || !is_one_of(&method, &MAKES), "{name} may be sent twice");
        assert!(has("etag") || !is_one_of(&method, &CHANGES), "{name} may undo what was not seen");
        if is_one_of(&method, &["List", "Query", "Summarize"]) {
            let pages = has("page_size") && has("page_token");
            let goes_on = method.output().get_field_by_name("next_page_token").is_some();
            assert!(pages && goes_on, "{name} has no pages");
        }
    }
}
