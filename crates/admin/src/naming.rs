//! What a call is about, in the words of the audit trail: the ids among the fields of its request, what it changes, and the
//! id of what it made.

use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage, Value};

use crate::access::Method;
use crate::texts;

/// The fields by which objects are named, the most telling first.
const NAMES: [&str; 14] = [
    "key_id",
    "user_id",
    "account_id",
    "issuer_id",
    "issuer",
    "privacy_request_id",
    "provider",
    "tenant",
    "name",
    "principal",
    "action",
    "call_id",
    "from_day",
    "to_day",
];

/// The ids among them, by which what is made is known.
const IDS: [&str; 5] = ["key_id", "user_id", "account_id", "issuer_id", "privacy_request_id"];

/// What a request is about, such as `0198…` or `desk`, and of an update which fields it changes.
pub(crate) fn of_request(message: &DynamicMessage) -> String {
    let found: Vec<_> = NAMES
        .iter()
        .filter(|name| **name != "tenant")
        .filter_map(|name| shown(message, name))
        .take(2)
        .collect();
    let object =
        if found.is_empty() { shown(message, "tenant").unwrap_or_default() } else { found.join("/") };
    // Why it is done, where a request says that: whoever reads the trail wants to know.
    match shown(message, "reason").or_else(|| changed(message)) {
        Some(more) => format!("{object}: {more}"),
        None => object,
    }
}

/// What a request that was refused names, the tenant first: it need not be the one that records it.
pub(crate) fn of_refused(method: &Method, request: &impl Message) -> String {
    let Some(message) = read(&method.input, request) else { return String::new() };
    let (tenant, object) = (shown(&message, "tenant").unwrap_or_default(), of_request(&message));
    if tenant.is_empty() || object == tenant { object } else { format!("{tenant}/{object}") }
}

/// What a request was about, with the ids in `answer` that it did not name itself.
pub(crate) fn with_what_was_made(method: &Method, object: &str, answer: &impl Message) -> String {
    let Some(answer) = read(&method.output, answer) else { return object.to_owned() };
    let made = IDS.iter().filter_map(|name| shown(&answer, name)).find(|id| !object.contains(id.as_str()));
    match made {
        Some(id) if object.is_empty() => id,
        Some(id) => format!("{id}/{object}"),
        None => object.to_owned(),
    }
}

fn read(descriptor: &MessageDescriptor, message: &impl Message) -> Option<DynamicMessage> {
    DynamicMessage::decode(descriptor.clone(), &*message.encode_to_vec()).ok()
}

/// The text of that field, of the message or of one right inside it.
fn shown(message: &DynamicMessage, name: &str) -> Option<String> {
    let own = match message.get_field_by_name(name).as_deref() {
        Some(Value::String(text)) if !text.is_empty() => Some(texts::without_secrets(text)),
        Some(Value::EnumNumber(number)) if *number != 0 => {
            let kind = message.descriptor().get_field_by_name(name)?.kind();
            Some(kind.as_enum()?.get_value(*number)?.name().to_ascii_lowercase())
        }
        _ => None,
    };
    own.or_else(|| {
        message.fields().find_map(|(field, value)| match value {
            Value::Message(inner) if !field.is_map() => match inner.get_field_by_name(name).as_deref() {
                Some(Value::String(text)) if !text.is_empty() => Some(texts::without_secrets(text)),
                _ => None,
            },
            _ => None,
        })
    })
}

/// The fields that an update changes, by its mask or, without one, those that it sets.
fn changed(message: &DynamicMessage) -> Option<String> {
    let mask = message.descriptor().get_field_by_name("update_mask")?;
    let named: Vec<String> = match message.get_field(&mask).as_ref() {
        Value::Message(mask) => match mask.get_field_by_name("paths").as_deref() {
            Some(Value::List(paths)) => paths.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    if !named.is_empty() {
        return Some(named.join(", "));
    }
    let of_call = |name: &str| {
        matches!(name, "tenant" | "etag" | "validate_only" | "request_id" | "update_mask")
            || IDS.contains(&name)
    };
    let names = |message: &DynamicMessage| {
        let set = message.fields().map(|(field, _)| field.name().to_owned());
        set.filter(|name| !of_call(name)).collect::<Vec<_>>()
    };
    let inner = message.fields().find_map(|(field, value)| match value {
        Value::Message(inner) if field.name() != "update_mask" && !field.is_map() => Some(names(inner)),
        _ => None,
    });
    Some(inner.unwrap_or_else(|| names(message)).join(", ")).filter(|names| !names.is_empty())
}
