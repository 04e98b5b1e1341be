//! Makes an RPC's request of what the command line says: flags, a file, the context's tenant, the mask of what changes.

use std::io::Read;
use std::path::Path;

use clap::ArgMatches;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use serde_json::Value as Json;
use stagedoor_proto::dynamic;

use crate::catalogue::RpcCommand;
use crate::error::CtlError;
use crate::flags::{self, Flag};
use crate::rpc_arguments::{FROM_FILE, field_id, file_id};
use crate::surroundings::Surroundings;
use crate::values;

/// What stands in for flags that are not given.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    /// The context's tenant.
    pub(crate) tenant: Option<String>,
    /// `--dry-run`.
    pub(crate) dry_run: bool,
}

/// The request, complete.
pub(crate) fn build(
    rpc: &RpcCommand,
    matches: &ArgMatches,
    defaults: &Defaults,
    surroundings: &mut Surroundings,
) -> Result<DynamicMessage, CtlError> {
    let mut builder = Builder { rpc, request: DynamicMessage::new(rpc.method.input()), changed: Vec::new() };
    if matches.try_contains_id(FROM_FILE).unwrap_or(false) {
        let path = matches.get_one::<String>(FROM_FILE).expect("the flag has a value");
        builder.merge_file(read_structured(path, surroundings)?)?;
    }
    for flag in &rpc.flags {
        builder.set_flag(flag, matches, surroundings)?;
    }
    builder.fill_in(defaults, surroundings);
    builder.set_mask(matches)?;
    builder.check_required()?;
    Ok(builder.request)
}

struct Builder<'rpc> {
    rpc: &'rpc RpcCommand,
    request: DynamicMessage,
    /// Paths of a mask for what the command line or the file says.
    changed: Vec<String>,
}

impl Builder<'_> {
    /// The file holds the resource where the request carries one whole, else the request.
    fn merge_file(&mut self, json: Json) -> Result<(), CtlError> {
        let input = self.rpc.method.input();
        let wrong = |error: &dyn std::fmt::Display| CtlError::usage(format!("--{FROM_FILE}: {error}"));
        let Some(members) = json.as_object() else {
            return Err(wrong(&"it has to be an object: names with values"));
        };
        let Some(resource) = flags::resource(&input) else {
            let named: Vec<FieldDescriptor> = members.keys().filter_map(|name| field(&input, name)).collect();
            self.request = values::from_json(&input, json).map_err(|error| wrong(&error))?;
            self.changed.extend(
                named.iter().filter(|field| is_changeable(field)).map(|field| field.name().to_owned()),
            );
            return Ok(());
        };
        let kind = resource.kind();
        let message = kind.as_message().expect("a resource is a message");
        for member in members.keys().filter_map(|name| field(message, name)) {
            let behavior = dynamic::field_behavior(&member);
            if !behavior.output_only && !behavior.immutable {
                self.changed.push(member.name().to_owned());
            }
        }
        let mut value = values::from_json(message, json).map_err(|error| wrong(&error))?;
        self.take_etag(&value);
        for member in message.fields().filter(|member| dynamic::field_behavior(member).output_only) {
            value.clear_field(&member);
        }
        self.request.set_field(&resource, Value::Message(value));
        Ok(())
    }

    /// What was read, changed and is handed back now must not undo what somebody else changed meanwhile.
    fn take_etag(&mut self, resource: &DynamicMessage) {
        let etag = resource.get_field_by_name(flags::ETAG);
        if let Some(etag) = etag.filter(|etag| etag.as_str().is_some_and(|etag| !etag.is_empty()))
            && self.request_has(flags::ETAG)
        {
            self.request.set_field_by_name(flags::ETAG, etag.into_owned());
        }
    }

    fn set_flag(
        &mut self,
        flag: &Flag,
        matches: &ArgMatches,
        surroundings: &mut Surroundings,
    ) -> Result<(), CtlError> {
        let mut texts: Vec<String> =
            matches.get_many::<String>(&field_id(flag)).into_iter().flatten().cloned().collect();
        if flag.secret
            && let Some(path) = matches.get_one::<String>(&file_id(flag))
        {
            texts = vec![read_secret(path, surroundings)?];
        }
        if texts.is_empty() {
            return Ok(());
        }
        let now = surroundings.clock.now();
        let one = |text: &str| {
            values::parse(&flag.value_kind(), text, now)
                .map_err(|right| CtlError::usage(format!("--{}: {text:?} is not {right}", flag.name)))
        };
        let field = flag.field();
        let value = if field.is_map() {
            map_value(flag, &texts, one)?
        } else if field.is_list() {
            // `--scopes=` is the empty list.
            let texts = texts.iter().filter(|text| !text.is_empty());
            Value::List(texts.map(|text| one(text)).collect::<Result<_, _>>()?)
        } else {
            one(texts.last().expect("there is one"))?
        };
        set_at(&mut self.request, &flag.path, value);
        self.changed.extend(mask_path(flag));
        Ok(())
    }

    fn fill_in(&mut self, defaults: &Defaults, surroundings: &Surroundings) {
        if let Some(tenant) = &defaults.tenant
            && self.rpc.is_about_a_tenant()
            && !self.request.has_field_by_name(flags::TENANT)
        {
            self.request.set_field_by_name(flags::TENANT, Value::String(tenant.clone()));
        }
        if self.request_has(flags::REQUEST_ID) && !self.request.has_field_by_name(flags::REQUEST_ID) {
            let id = surroundings.random_uuid().to_string();
            self.request.set_field_by_name(flags::REQUEST_ID, Value::String(id));
        }
        if defaults.dry_run && self.request_has(flags::VALIDATE_ONLY) {
            self.request.set_field_by_name(flags::VALIDATE_ONLY, Value::Bool(true));
        }
    }

    fn set_mask(&mut self, matches: &ArgMatches) -> Result<(), CtlError> {
        let Some(field) = self.rpc.method.input().get_field_by_name(flags::UPDATE_MASK) else {
            return Ok(());
        };
        let named = matches.get_many::<String>(flags::UPDATE_MASK).into_iter().flatten();
        // Flags' names are taken as well: that is what the user has before their eyes.
        self.changed.extend(named.filter(|path| !path.is_empty()).map(|path| path.replace('-', "_")));
        self.changed.sort();
        self.changed.dedup();
        if self.changed.is_empty() {
            return Err(CtlError::usage("nothing to change: no flag says what; see --help"));
        }
        let Kind::Message(mask) = field.kind() else { return Ok(()) };
        let mut mask = DynamicMessage::new(mask);
        let paths = self.changed.iter().cloned().map(Value::String).collect();
        mask.set_field_by_name("paths", Value::List(paths));
        self.request.set_field(&field, Value::Message(mask));
        Ok(())
    }

    /// The command line was checked already; what a file or a context left out was not.
    fn check_required(&self) -> Result<(), CtlError> {
        let missing = |flag: &&Flag| flag.required && !self.request.has_field(flag.field());
        let Some(flag) = self.rpc.flags.iter().find(missing) else { return Ok(()) };
        if flag.name == flags::TENANT && self.rpc.is_about_a_tenant() {
            return Err(CtlError::usage(
                "which tenant? Give --tenant, set STAGEDOOR_TENANT, or `stagedoorctl context add … --tenant`",
            ));
        }
        Err(CtlError::usage(format!("--{} is needed: {}", flag.name, flag.comment())))
    }

    fn request_has(&self, field: &str) -> bool {
        self.rpc.method.input().get_field_by_name(field).is_some()
    }
}

/// Whether a flat request's field is what it changes, rather than which thing, or how.
fn is_changeable(field: &FieldDescriptor) -> bool {
    let others = [flags::ETAG, flags::UPDATE_MASK, flags::VALIDATE_ONLY, flags::REQUEST_ID];
    !dynamic::field_behavior(field).required && !others.contains(&field.name())
}

/// How a mask names what a flag changes: within the resource, if the request carries one.
fn mask_path(flag: &Flag) -> Option<String> {
    match flag.path.as_slice() {
        [field] => is_changeable(field).then(|| field.name().to_owned()),
        [_, members @ ..] => Some(members.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")),
        [] => None,
    }
}

fn field(message: &prost_reflect::MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

fn set_at(message: &mut DynamicMessage, path: &[FieldDescriptor], value: Value) {
    match path {
        [] => {}
        [field] => message.set_field(field, value),
        [field, rest @ ..] => {
            if let Some(inner) = message.get_field_mut(field).as_message_mut() {
                set_at(inner, rest, value);
            }
        }
    }
}

fn map_value(
    flag: &Flag,
    texts: &[String],
    one: impl Fn(&str) -> Result<Value, CtlError>,
) -> Result<Value, CtlError> {
    let wrong = |what: String| CtlError::usage(format!("--{}: {what}", flag.name));
    let kind = flag.field().kind();
    let entry = kind.as_message().expect("a map's kind is its entry");
    let pairs = texts.iter().map(|text| {
        let (key, value) =
            text.split_once('=').ok_or_else(|| wrong(format!("{text:?} is not NAME=VALUE")))?;
        let key = values::parse_key(&entry.map_entry_key_field().kind(), key).map_err(wrong)?;
        Ok((key, one(value)?))
    });
    Ok(Value::Map(pairs.collect::<Result<_, CtlError>>()?))
}

fn read_structured(path: &str, surroundings: &mut Surroundings) -> Result<Json, CtlError> {
    let text = read_text(path, surroundings)?;
    let is_json = Path::new(path).extension().is_some_and(|extension| extension == "json");
    let read = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())
    };
    read.map_err(|error| CtlError::usage(format!("--{FROM_FILE}: {path} cannot be read: {error}")))
}

/// A secret from a file, without the line's end that editors put there.
pub(crate) fn read_secret(path: &str, surroundings: &mut Surroundings) -> Result<String, CtlError> {
    let text = read_text(path, surroundings)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(CtlError::usage(format!("{path} is empty")));
    }
    Ok(secret.to_owned())
}

fn read_text(path: &str, surroundings: &mut Surroundings) -> Result<String, CtlError> {
    if path != "-" {
        return std::fs::read_to_string(path).map_err(CtlError::file(path));
    }
    let mut text = String::new();
    surroundings.input.read_to_string(&mut text).map_err(CtlError::Stream)?;
    Ok(text)
}
