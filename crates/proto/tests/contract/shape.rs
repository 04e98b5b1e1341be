//! What v1 looks like to whoever was built against it: paths, names, numbers, types. `v1.txt` only grows: what stands there
//! stays, and what is new is written down, so that from then on it stays too (buf's category WIRE_JSON, and names besides).

use std::collections::BTreeSet;

use prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};
use stagedoor_proto::dynamic::{self, PACKAGE};

use super::{Committed, methods, name};

#[test]
fn nothing_of_v1_goes_or_changes() {
    let present = lines();
    let committed = Committed::read("v1.txt");
    let gone = committed.missing_in(&present);
    assert!(gone.is_empty(), "callers rely on what is no longer there (proto/README.md): {gone:#?}");
    if !committed.write(&present) {
        let new: Vec<_> = present.difference(&committed.lines).collect();
        assert!(new.is_empty(), "what is new has to be written down (proto/README.md): {new:#?}");
    }
}

#[test]
fn a_field_that_goes_is_noticed_and_one_that_comes_is_not_in_the_way() {
    let present = lines();
    let Some(some) = present.first().cloned() else { panic!("the contract is empty") };
    let mut later = present.clone();
    later.insert("field Tenant.colour = 99 string".to_owned());
    let committed = Committed { file: "v1.txt", lines: present };
    assert!(committed.missing_in(&later).is_empty());
    later.remove(&some);
    assert_eq!(committed.missing_in(&later), [&some]);
}

fn lines() -> BTreeSet<String> {
    let pool = dynamic::pool();
    let of_package = |package: &str| package == PACKAGE;
    let messages = pool.all_messages().filter(|message| of_package(message.package_name()));
    let fields = messages
        .filter(|message| !message.is_map_entry())
        .flat_map(|message| message.fields().map(|field| field_line(&message, &field)).collect::<Vec<_>>());
    let enums = pool.all_enums().filter(|of| of_package(of.package_name()));
    let values = enums.flat_map(|of| value_lines(&of));
    methods().map(|method| rpc_line(&method)).chain(fields).chain(values).collect()
}

fn rpc_line(method: &MethodDescriptor) -> String {
    let stream = if method.is_server_streaming() { "stream " } else { "" };
    let (input, output) = (method.input(), method.output());
    let route = dynamic::http_route(method).unwrap_or_else(|| panic!("{} has no path", name(method)));
    let body = if route.has_body { " with a body" } else { "" };
    let (asked, answered) = (input.name(), output.name());
    format!("rpc {}({asked}): {stream}{answered} by {} {}{body}", name(method), route.method, route.path)
}

fn field_line(message: &MessageDescriptor, field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        _ if field.is_map() => "",
        Cardinality::Repeated => "repeated ",
        _ if field.containing_oneof().is_some() => "optional ",
        _ => "",
    };
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            format!("map of {} to {}", type_of(&key), type_of(&value))
        }
        kind => type_of(&kind),
    };
    // A field that callers had to leave out or set, and now must not or must, breaks them as well.
    let behavior = dynamic::field_behavior(field);
    let markers = [
        (behavior.required, " required"),
        (behavior.output_only, " output_only"),
        (behavior.input_only, " input_only"),
        (behavior.immutable, " immutable"),
    ];
    let markers: String = markers.iter().filter(|(is_so, _)| *is_so).map(|(_, marker)| *marker).collect();
    format!(
        "field {}.{} = {} {label}{kind}{markers}",
        short(message.full_name()),
        field.name(),
        field.number()
    )
}

fn value_lines(of: &EnumDescriptor) -> Vec<String> {
    of.values()
        .map(|value| format!("value {}.{} = {}", short(of.full_name()), value.name(), value.number()))
        .collect()
}

fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => short(message.full_name()).to_owned(),
        Kind::Enum(of) => short(of.full_name()).to_owned(),
        kind => format!("{kind:?}").to_lowercase(),
    }
}

/// A name within the package, or in full.
fn short(name: &str) -> &str {
    name.strip_prefix(PACKAGE).map_or(name, |rest| rest.trim_start_matches('.'))
}
