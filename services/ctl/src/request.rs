//! Makes an RPC's request of what the command line says: flags, a file, the context's tenant, the mask of what changes.

use clap::ArgMatches;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

use crate::catalogue::RpcCommand;
use crate::error::CtlError;
use crate::file_contents::{FileContents, is_changeable, is_identity};
use crate::flags::{self, Flag};
use crate::input_files::{read_secret, read_structured};
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
    let request = DynamicMessage::new(rpc.method.input());
    let mut builder = Builder { rpc, request, changed: Vec::new(), file: FileContents::default() };
    if matches.try_contains_id(FROM_FILE).unwrap_or(false) {
        let path = matches.get_one::<String>(FROM_FILE).expect("the flag has a value");
        builder.file = FileContents::merge(rpc, read_structured(path, surroundings)?, &mut builder.request)?;
    }
    for flag in &rpc.flags {
        builder.set_flag(flag, matches, surroundings)?;
    }
    builder.fill_in(defaults, surroundings)?;
    builder.set_mask(matches)?;
    builder.check_required()?;
    Ok(builder.request)
}

struct Builder<'rpc> {
    rpc: &'rpc RpcCommand,
    request: DynamicMessage,
    /// Paths of a mask for what the flags say.
    changed: Vec<String>,
    file: FileContents,
}

impl Builder<'_> {
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
            texts = vec![read_secret(&format!("--{}-file", flag.name), path, surroundings)?];
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
        if flag.path.len() == 1 && is_identity(self.rpc, field) {
            // What is set already is of the file.
            if self.request.has_field(field) && *self.request.get_field(field) != value {
                let member = field.json_name();
                return Err(CtlError::usage(format!(
                    "--{}: the file is about another one; to use it here, take {member} and etag out of it",
                    flag.name
                )));
            }
            self.file.tenant.take_if(|_| field.name() == flags::TENANT);
        }
        set_at(&mut self.request, &flag.path, value);
        self.changed.extend(mask_path(flag));
        Ok(())
    }

    fn fill_in(&mut self, defaults: &Defaults, surroundings: &Surroundings) -> Result<(), CtlError> {
        if let Some(tenant) = &defaults.tenant
            && self.rpc.is_about_a_tenant()
        {
            if let Some(of_file) = self.file.tenant.as_ref().filter(|of_file| *of_file != tenant) {
                return Err(CtlError::usage(format!(
                    "the file is about the tenant {of_file}, STAGEDOOR_TENANT or the context says {tenant}: give --tenant"
                )));
            }
            if !self.request.has_field_by_name(flags::TENANT) {
                self.request.set_field_by_name(flags::TENANT, Value::String(tenant.clone()));
            }
        }
        if self.request_has(flags::REQUEST_ID) && !self.request.has_field_by_name(flags::REQUEST_ID) {
            let id = surroundings.random_uuid().to_string();
            self.request.set_field_by_name(flags::REQUEST_ID, Value::String(id));
        }
        if defaults.dry_run && self.request_has(flags::VALIDATE_ONLY) {
            self.request.set_field_by_name(flags::VALIDATE_ONLY, Value::Bool(true));
        }
        Ok(())
    }

    fn set_mask(&mut self, matches: &ArgMatches) -> Result<(), CtlError> {
        let Some(field) = self.rpc.method.input().get_field_by_name(flags::UPDATE_MASK) else {
            return Ok(());
        };
        let named = matches.get_many::<String>(flags::UPDATE_MASK).into_iter().flatten();
        // Flags' names are taken as well: that is what the user has before their eyes.
        let named: Vec<_> =
            named.filter(|path| !path.is_empty()).map(|path| path.replace('-', "_")).collect();
        let of_file = std::mem::take(&mut self.file.changed);
        self.changed.extend(if named.is_empty() { of_file } else { named });
        self.changed.sort();
        self.changed.dedup();
        let all = self.changed.clone();
        let is_within = |path: &str, other: &String| {
            path.strip_prefix(&**other).is_some_and(|rest| rest.starts_with('.'))
        };
        self.changed.retain(|path| !all.iter().any(|other| is_within(path, other)));
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

/// How a mask names what a flag changes: within the resource, if the request carries one.
fn mask_path(flag: &Flag) -> Option<String> {
    match flag.path.as_slice() {
        [field] => is_changeable(field).then(|| field.name().to_owned()),
        [_, members @ ..] => Some(members.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")),
        [] => None,
    }
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
