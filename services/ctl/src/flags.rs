//! Which flags an RPC's request has: one for each field that can be set, those of the resource in it included, without
//! what the program fills in itself.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use stagedoor_proto::dynamic::{self, FieldBehavior};

use crate::{names, values};

/// Fields of requests that have no flag of their own: what pages, and what every write has.
pub(crate) const VALIDATE_ONLY: &str = "validate_only";
pub(crate) const UPDATE_MASK: &str = "update_mask";
pub(crate) const REQUEST_ID: &str = "request_id";
pub(crate) const PAGE_SIZE: &str = "page_size";
pub(crate) const PAGE_TOKEN: &str = "page_token";
pub(crate) const ETAG: &str = "etag";
pub(crate) const TENANT: &str = "tenant";

/// A flag that sets one field.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// Such as `jwks-uri`.
    pub(crate) name: String,
    /// From the request to the field.
    pub(crate) path: Vec<FieldDescriptor>,
    /// A request without it is refused.
    pub(crate) required: bool,
    /// It is a secret.
    pub(crate) secret: bool,
}

impl Flag {
    /// The field that it sets.
    pub(crate) fn field(&self) -> &FieldDescriptor {
        self.path.last().expect("a flag sets a field")
    }

    /// The field's comment.
    pub(crate) fn comment(&self) -> &'static str {
        dynamic::comments(self.field())
    }

    /// As a field mask and a field violation name it: `issuer.jwks_uri`.
    pub(crate) fn dotted(&self) -> String {
        self.path.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")
    }

    /// What one of its values is: of a map, what its values are.
    pub(crate) fn value_kind(&self) -> Kind {
        match self.field().kind() {
            Kind::Message(entry) if self.field().is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        }
    }
}

/// The flags of a request, in the order of its fields.
pub(crate) fn of_request(request: &MessageDescriptor) -> Vec<Flag> {
    let resource = resource(request);
    let mut flags = Vec::new();
    for field in request.fields() {
        if [VALIDATE_ONLY, UPDATE_MASK].contains(&field.name()) {
            continue;
        }
        if resource.as_ref() == Some(&field) {
            of_resource(&field, request, &mut flags);
        } else {
            let required = dynamic::field_behavior(&field).required;
            flags.push(flag(names::flag(field.name()), vec![field], required));
        }
    }
    flags
}

/// The one thing that a request carries whole, whose members are flags themselves: `issuer` of `CreateIssuerRequest`.
pub(crate) fn resource(request: &MessageDescriptor) -> Option<FieldDescriptor> {
    let mut found = request.fields().filter(|field| members(field).is_some());
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn of_resource(resource: &FieldDescriptor, request: &MessageDescriptor, flags: &mut Vec<Flag>) {
    let is_update = request.get_field_by_name(UPDATE_MASK).is_some();
    for member in members(resource).into_iter().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let behavior = dynamic::field_behavior(&member);
        if behavior.output_only || (behavior.immutable && is_update) {
            continue;
        }
        let taken = request.get_field_by_name(member.name()).is_some_and(|field| field != *resource);
        let prefix = if taken { format!("{}.", names::flag(resource.name())) } else { String::new() };
        let name = format!("{prefix}{}", names::flag(member.name()));
        let path = vec![resource.clone(), member.clone()];
        let scalars = members(&member).filter(|message| message.fields().all(|field| is_scalar(&field)));
        match scalars {
            Some(message) => flags.extend(message.fields().map(|field| {
                let name = format!("{name}.{}", names::flag(field.name()));
                flag(name, [path.clone(), vec![field]].concat(), false)
            })),
            None => flags.push(flag(name, path, false)),
        }
    }
}

fn flag(name: String, path: Vec<FieldDescriptor>, required: bool) -> Flag {
    let secret = path.last().is_some_and(|field| {
        matches!(dynamic::field_behavior(field), FieldBehavior { input_only: true, .. })
    });
    Flag { name, path, required, secret }
}

/// The message of a field that has members of its own: neither a map nor a list, neither a time nor the like.
fn members(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let kind = field.kind();
    let message = kind.as_message().filter(|message| !values::is_plain(message))?;
    (!field.is_map() && !field.is_list()).then(|| message.clone())
}

fn is_scalar(field: &FieldDescriptor) -> bool {
    !field.is_list() && !field.is_map() && members(field).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(request: &str) -> Vec<String> {
        let message = dynamic::pool().get_message_by_name(&format!("stagedoor.admin.v1.{request}")).unwrap();
        of_request(&message).into_iter().map(|flag| flag.name).collect()
    }

    #[test]
    fn fields_are_flags_but_for_what_is_filled_in() {
        assert_eq!(names_of("UpdateTenantRequest"), ["tenant", "name", "plan", "etag"]);
    }

    #[test]
    fn members_of_the_resource_are_flags_themselves() {
        let flags = names_of("CreateIssuerRequest");
        for flag in ["tenant", "issuer", "jwks-uri", "scope-map", "user-provisioning", "request-id"] {
            assert!(flags.iter().any(|name| name == flag), "no {flag} in {flags:?}");
        }
        assert!(!flags.iter().any(|name| name.contains("etag") || name == "create-time"), "{flags:?}");
    }

    #[test]
    fn an_update_offers_nothing_that_never_changes() {
        let flags = names_of("UpdateIssuerRequest");
        assert!(flags.contains(&"jwks-uri".to_owned()) && !flags.contains(&"issuer".to_owned()), "{flags:?}");
    }

    #[test]
    fn scalar_members_one_below_are_dotted() {
        let flags = names_of("UpdateSettingsRequest");
        for flag in [
            "limits",
            "penalties",
            "devices.new-device",
            "audit.max-log-size-bytes",
            "privacy.policy-url",
            "preferences",
        ] {
            assert!(flags.iter().any(|name| name == flag), "no {flag} in {flags:?}");
        }
    }

    #[test]
    fn a_secret_is_known_as_one() {
        let message =
            dynamic::pool().get_message_by_name("stagedoor.admin.v1.CreateProviderAppRequest").unwrap();
        let secrets: Vec<String> =
            of_request(&message).into_iter().filter(|flag| flag.secret).map(|flag| flag.name).collect();
        assert_eq!(secrets, ["client-secret"]);
    }
}
