//! What a file of `--from-file` says: the object that a request carries whole, else the request. Of an update it may also be
//! the object as `get` prints it; with its etag, it stands for all of the object.

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, Value};
use serde_json::{Map, Value as Json};
use stagedoor_proto::dynamic;

use crate::catalogue::RpcCommand;
use crate::error::CtlError;
use crate::rpc_arguments::FROM_FILE;
use crate::{flags, values};

/// A file, read for one RPC.
#[derive(Debug, Default)]
pub(crate) struct FileContents {
    /// What of the mask the file decides, as long as no flag does.
    pub(crate) changed: Vec<String>,
    /// The tenant that the file is about, if it says so.
    pub(crate) tenant: Option<String>,
}

impl FileContents {
    /// Puts what the file says into `request`, which is empty.
    pub(crate) fn merge(
        rpc: &RpcCommand,
        json: Json,
        request: &mut DynamicMessage,
    ) -> Result<Self, CtlError> {
        let Json::Object(members) = json else {
            return Err(wrong("it has to be an object: names with values"));
        };
        let changed = match flags::resource(&rpc.method.input()) {
            Some(resource) => merge_resource(rpc, &resource, members, request)?,
            None => merge_request(rpc, members, request)?,
        };
        let tenant = request.get_field_by_name(flags::TENANT);
        let tenant = tenant.and_then(|tenant| tenant.as_str().map(str::to_owned));
        Ok(Self { changed, tenant: tenant.filter(|tenant| !tenant.is_empty()) })
    }
}

/// Whether a flat request's field is what it changes, rather than which thing, or how.
pub(crate) fn is_changeable(field: &FieldDescriptor) -> bool {
    let others = [flags::ETAG, flags::UPDATE_MASK, flags::VALIDATE_ONLY, flags::REQUEST_ID];
    !dynamic::field_behavior(field).required && !others.contains(&field.name())
}

/// Whether a field of the request says which thing is meant. On that, a file and a flag cannot disagree.
pub(crate) fn is_identity(rpc: &RpcCommand, field: &FieldDescriptor) -> bool {
    if !rpc.updates() {
        return field.name() == flags::TENANT && rpc.is_about_a_tenant();
    }
    dynamic::field_behavior(field).required && flags::resource(&rpc.method.input()).as_ref() != Some(field)
}

fn merge_resource(
    rpc: &RpcCommand,
    resource: &FieldDescriptor,
    members: Map<String, Json>,
    request: &mut DynamicMessage,
) -> Result<Vec<String>, CtlError> {
    let kind = resource.kind();
    let message = kind.as_message().expect("a resource is a message");
    let is_changeable = |member: &FieldDescriptor| {
        let behavior = dynamic::field_behavior(member);
        !behavior.output_only && !behavior.immutable
    };
    let named: Vec<_> = members.keys().filter_map(|name| values::field(message, name)).collect();
    let mut value = values::from_json(message, &Json::Object(members)).map_err(wrong)?;
    for field in rpc.method.input().fields().filter(|field| is_identity(rpc, field)) {
        take(&value, field.name(), request);
    }
    // What was read, changed and is handed back now must not undo what somebody else changed meanwhile.
    let is_whole = rpc.updates() && take(&value, flags::ETAG, request);
    for member in message.fields().filter(|member| dynamic::field_behavior(member).output_only) {
        value.clear_field(&member);
    }
    request.set_field(resource, Value::Message(value));
    let changed = if is_whole { message.fields().collect() } else { named };
    Ok(names(changed.iter().filter(|member| is_changeable(member))))
}

fn merge_request(
    rpc: &RpcCommand,
    members: Map<String, Json>,
    request: &mut DynamicMessage,
) -> Result<Vec<String>, CtlError> {
    let input = rpc.method.input();
    // What an update answers with is what `get` prints.
    let object = rpc.updates().then(|| rpc.method.output());
    let has = |message: &MessageDescriptor, name: &str| values::field(message, name).is_some();
    // Members that are shown and cannot be changed go no further than to be read.
    let is_only_shown =
        |name: &str| object.as_ref().is_some_and(|object| !has(&input, name) && has(object, name));
    let (shown, said): (Map<_, _>, Map<_, _>) =
        members.into_iter().partition(|(name, _)| is_only_shown(name));
    if let Some(object) = &object {
        values::from_json(object, &Json::Object(shown)).map_err(wrong)?;
    }
    let named: Vec<_> = said.keys().filter_map(|name| values::field(&input, name)).collect();
    *request = values::from_json(&input, &Json::Object(said)).map_err(wrong)?;
    let of_mask = mask_of(request);
    if !of_mask.is_empty() {
        return Ok(of_mask);
    }
    let is_whole = |object: &MessageDescriptor| {
        let etag = request.get_field_by_name(flags::ETAG);
        // A secret is in no answer, so that a file without it does not mean that it should go.
        let shown = input.fields().filter(|field| object.get_field_by_name(field.name()).is_some());
        etag.is_some_and(|etag| etag.as_str() != Some("")).then(|| shown.chain(named.clone()).collect())
    };
    let changed: Vec<FieldDescriptor> = object.as_ref().and_then(is_whole).unwrap_or_else(|| named.clone());
    Ok(names(changed.iter().filter(|field| is_changeable(field))))
}

/// Puts a member of the object into the request, where both have it and it is set.
fn take(object: &DynamicMessage, name: &str, request: &mut DynamicMessage) -> bool {
    let Some(field) = request.descriptor().get_field_by_name(name) else { return false };
    if !object.has_field_by_name(name) {
        return false;
    }
    if let Some(value) = object.get_field_by_name(name) {
        request.set_field(&field, value.into_owned());
    }
    true
}

/// The mask that a file has itself, where the file is a request.
fn mask_of(request: &DynamicMessage) -> Vec<String> {
    let mask = request.get_field_by_name(flags::UPDATE_MASK);
    let paths =
        mask.as_ref().and_then(|mask| mask.as_message()).and_then(|mask| mask.get_field_by_name("paths"));
    let paths = paths.as_ref().and_then(|paths| paths.as_list()).unwrap_or_default();
    paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect()
}

fn names<'f>(fields: impl Iterator<Item = &'f FieldDescriptor>) -> Vec<String> {
    fields.map(|field| field.name().to_owned()).collect()
}

fn wrong(error: impl std::fmt::Display) -> CtlError {
    CtlError::usage(format!("--{FROM_FILE}: {error}"))
}
