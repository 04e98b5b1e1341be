//! What commands and flags are called, by the names in the contract: `AgentKeyService.RotateAgentKey` is
//! `agent-keys rotate`, `expire_time` is `--expire-time`, `KEY_STATE_ACTIVE` is `active`.

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, MethodDescriptor, ServiceDescriptor};

/// `agent-keys` of `AgentKeyService`: in the plural where its RPCs list such things.
pub(crate) fn group(service: &ServiceDescriptor) -> String {
    let base = base(service);
    let plural = format!("{base}s");
    let counted = service.methods().any(|method| method.name().ends_with(&plural));
    kebab(if counted { &plural } else { base })
}

/// `rotate` of `RotateAgentKey` in the group `agent-keys`. What the group says already is left out, unless that would
/// leave a word that means something else.
pub(crate) fn verb(method: &MethodDescriptor) -> String {
    let service = method.parent_service();
    let rpc = words(method.name());
    let (noun, is_thing) = noun(service);
    let rest = (0..noun.len()).find_map(|from| without(&rpc, &noun[from..]).map(|rest| (from, rest)));
    let verb = match rest {
        Some((_, [verb])) => vec![verb.clone()],
        Some((0, rest)) if is_thing => rest.to_vec(),
        _ => rpc.clone(),
    };
    // `admin-keys create-tenant` would read as if it made a tenant.
    match verb.as_slice() {
        [verb, of] if of == "tenant" => format!("{verb}-for-tenant"),
        verb => verb.join("-"),
    }
}

/// `expire-time` of `expire_time`.
pub(crate) fn flag(field: &str) -> String {
    field.replace('_', "-")
}

/// `platform-operator` of `ROLE_PLATFORM_OPERATOR` in the enum `Role`.
pub(crate) fn enum_value(value: &EnumValueDescriptor) -> String {
    let prefix = format!("{}_", words(value.parent_enum().name()).join("_").to_ascii_uppercase());
    let name = value.name();
    name.strip_prefix(&prefix).unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

/// The values that can be asked for: all but the one that means that nothing was.
pub(crate) fn enum_values(of: &EnumDescriptor) -> Vec<EnumValueDescriptor> {
    of.values().filter(|value| value.number() != 0).collect()
}

/// What the RPCs of a service are about, as words, and whether there is a message for such a thing.
fn noun(service: &ServiceDescriptor) -> (Vec<String>, bool) {
    let base = base(service);
    let request = format!("{base}Request");
    let pool = service.parent_pool();
    let is_message = |name: &str| {
        let full = format!("{}.{name}", service.package_name());
        pool.get_message_by_name(&full).is_some()
    };
    let made = |name: &str| service.methods().any(|method| method.name() == format!("Create{name}"));
    if is_message(&request) && made(&request) {
        (words(&request), true)
    } else {
        (words(base), is_message(base))
    }
}

fn base(service: &ServiceDescriptor) -> &str {
    service.name().strip_suffix("Service").unwrap_or(service.name())
}

/// What is before `end`, be that in the singular or in the plural; `None` if it is not the end or nothing is before it.
fn without<'rpc>(rpc: &'rpc [String], end: &[String]) -> Option<&'rpc [String]> {
    let before = rpc.len().checked_sub(end.len())?;
    let (rest, tail) = rpc.split_at(before);
    let same = tail.iter().zip(end).all(|(word, end)| word == end || word.strip_suffix('s') == Some(end));
    (same && !rest.is_empty()).then_some(rest)
}

fn kebab(name: &str) -> String {
    words(name).join("-")
}

/// `["agent", "key"]` of `AgentKey`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() || words.is_empty() {
            words.push(String::new());
        }
        let word = words.last_mut().expect("one was pushed for the first letter");
        word.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stagedoor_proto::dynamic;

    use super::*;

    fn commands() -> Vec<String> {
        dynamic::services()
            .flat_map(|service| {
                let group = group(&service);
                service.methods().map(move |method| format!("{group} {}", verb(&method))).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn every_rpc_has_a_command_of_its_own() {
        let commands = commands();
        let distinct: BTreeSet<&String> = commands.iter().collect();
        assert_eq!(distinct.len(), commands.len(), "{commands:#?}");
    }

    #[test]
    fn commands_read_well() {
        let commands = commands();
        for command in [
            "tenants create",
            "tenants suspend",
            "users update",
            "provider-apps delete",
            "linked-accounts list",
            "linked-accounts begin-link",
            "linked-accounts unlink",
            "agent-keys rotate",
            "admin-keys create",
            "admin-keys create-for-tenant",
            "issuers get",
            "settings update",
            "audit query",
            "audit export",
            "audit list-chains",
            "usage query",
            "usage summarize",
            "keys list-data-keys",
            "keys list-replicas",
            "keeper list-runs",
            "privacy create",
            "privacy list-open",
            "caller get",
        ] {
            assert!(commands.iter().any(|known| known == command), "no {command} in {commands:#?}");
        }
    }

    #[test]
    fn enum_values_are_short() {
        let role = dynamic::pool().get_enum_by_name("stagedoor.admin.v1.Role").expect("the enum");
        let names: Vec<String> = enum_values(&role).iter().map(enum_value).collect();
        assert_eq!(names, ["platform-operator", "tenant-admin", "auditor"]);
    }

    #[test]
    fn words_begin_with_capitals() {
        assert_eq!(words("ListOpenPrivacyRequests"), ["list", "open", "privacy", "requests"]);
        assert_eq!(flag("jwks_uri"), "jwks-uri");
    }
}
