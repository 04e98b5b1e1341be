//! The admin API by its descriptors: its pool, its comments and options, and a gRPC codec for messages that are known at
//! run time only. What is made of the descriptors (command line, JSON front, documents) reads them here.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor,
    MessageDescriptor, MethodDescriptor, ReflectMessage, ServiceDescriptor, Value,
};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::admin::{DESCRIPTORS, v1};

/// The package of the admin API.
pub const PACKAGE: &str = "stagedoor.admin.v1";

/// Every file of the admin API and those that they import.
///
/// # Panics
/// Never: the descriptors were written by the build of this crate, whose tests read them.
pub fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(DESCRIPTORS).expect("the build wrote descriptors that fit together")
    });
    &POOL
}

/// The services of the admin API, by the names of their files; none of what they import.
pub fn services() -> impl Iterator<Item = ServiceDescriptor> {
    pool().services().filter(|service| service.package_name() == PACKAGE)
}

/// The path of an RPC in gRPC: `/package.Service/Method`.
pub fn grpc_path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// What may stand under a comment in a `.proto` file.
pub trait Documented {
    /// The file, and the path in it as `google.protobuf.SourceCodeInfo` counts.
    fn place(&self) -> (FileDescriptor, Vec<i32>);
}

macro_rules! documented {
    ($($descriptor:ty),*) => {$(
        impl Documented for $descriptor {
            fn place(&self) -> (FileDescriptor, Vec<i32>) {
                (self.parent_file(), self.path().to_vec())
            }
        }
    )*};
}
documented!(
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    ServiceDescriptor
);

/// The comment above a declaration, its lines joined to paragraphs; empty if there is none.
pub fn comments(declaration: &impl Documented) -> &'static str {
    static COMMENTS: LazyLock<HashMap<(String, Vec<i32>), String>> = LazyLock::new(all_comments);
    let (file, path) = declaration.place();
    COMMENTS.get(&(file.name().to_owned(), path)).map_or("", String::as_str)
}

fn all_comments() -> HashMap<(String, Vec<i32>), String> {
    let mut comments = HashMap::new();
    for file in pool().file_descriptor_protos() {
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            let text = paragraphs(location.leading_comments());
            if !text.is_empty() {
                comments.insert((file.name().to_owned(), location.path.clone()), text);
            }
        }
    }
    comments
}

fn paragraphs(comment: &str) -> String {
    let lines: Vec<&str> = comment.lines().map(str::trim).collect();
    let paragraphs: Vec<String> = lines
        .split(|line| line.is_empty())
        .filter(|lines| !lines.is_empty())
        .map(|lines| lines.join(" "))
        .collect();
    paragraphs.join("\n\n")
}

/// Who may call an RPC (`stagedoor.admin.v1.access`); `None` where the option is missing.
pub fn access(method: &MethodDescriptor) -> Option<v1::Access> {
    message_option(&method.options(), "stagedoor.admin.v1.access")?.transcode_to().ok()
}

/// How an RPC is reached over HTTP (`google.api.http`): method, path, and whether its fields come as a body.
pub fn http_route(method: &MethodDescriptor) -> Option<HttpRoute> {
    let rule = message_option(&method.options(), "google.api.http")?;
    let has_body = rule.get_field_by_name("body")?.as_str().is_some_and(|body| !body.is_empty());
    let pattern = rule.descriptor().oneofs().next()?.fields().find(|field| rule.has_field(field))?;
    let path = rule.get_field(&pattern).as_str()?.to_owned();
    Some(HttpRoute { method: pattern.name().to_ascii_uppercase(), path, has_body })
}

/// A way to an RPC over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// Such as `GET`.
    pub method: String,
    /// Such as `/v1/tenants/{tenant}`: braces name fields of the request.
    pub path: String,
    /// Whether what is not in the path is the body (`*`) rather than the query.
    pub has_body: bool,
}

/// What a field is for (`google.api.field_behavior`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a marker of its own in google.aip.dev/203")]
pub struct FieldBehavior {
    /// A request without it is refused.
    pub required: bool,
    /// Only answers hold it.
    pub output_only: bool,
    /// Only requests hold it: a secret that is never told.
    pub input_only: bool,
    /// Set when the thing is made, and never changed.
    pub immutable: bool,
}

/// What a field is for.
pub fn field_behavior(field: &FieldDescriptor) -> FieldBehavior {
    let options = field.options();
    let mut behavior = FieldBehavior::default();
    let Some(extension) = pool().get_extension_by_name("google.api.field_behavior") else { return behavior };
    let values = options.get_extension(&extension);
    // The numbers of `google.api.FieldBehavior`.
    for value in values.as_list().unwrap_or_default().iter().filter_map(Value::as_enum_number) {
        match value {
            2 => behavior.required = true,
            3 => behavior.output_only = true,
            4 => behavior.input_only = true,
            5 => behavior.immutable = true,
            _ => {}
        }
    }
    behavior
}

/// The fields that a table shows of a message (`stagedoor.admin.v1.columns`), in their order; empty where none are named.
pub fn columns(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let Some(extension) = pool().get_extension_by_name("stagedoor.admin.v1.columns") else {
        return Vec::new();
    };
    let options = message.options();
    let names = options.get_extension(&extension);
    let names = names.as_str().unwrap_or_default();
    names.split(',').filter_map(|name| message.get_field_by_name(name.trim())).collect()
}

fn message_option(options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = pool().get_extension_by_name(name)?;
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}

/// A gRPC codec whose messages are described at run time. It is the caller's: it sends requests and reads answers.
#[derive(Debug, Clone)]
pub struct DynamicCodec {
    answer: MessageDescriptor,
}

impl DynamicCodec {
    /// For an RPC whose answers are these messages ([`MethodDescriptor::output`]).
    pub fn new(answer: MessageDescriptor) -> Self {
        Self { answer }
    }
}

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        DynamicDecoder { answer: self.answer.clone() }
    }
}

/// Writes messages.
#[derive(Debug, Clone, Copy)]
pub struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Self::Error> {
        item.encode(buffer)
            .map_err(|error| Status::internal(format!("a message could not be written: {error}")))
    }
}

/// Reads messages of one kind.
#[derive(Debug, Clone)]
pub struct DynamicDecoder {
    answer: MessageDescriptor,
}

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Self::Error> {
        DynamicMessage::decode(self.answer.clone(), buffer)
            .map(Some)
            .map_err(|error| Status::internal(format!("an answer could not be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods() -> impl Iterator<Item = MethodDescriptor> {
        services().flat_map(|service| service.methods().collect::<Vec<_>>())
    }

    #[test]
    fn every_rpc_says_who_may_call_it_and_how_and_what_for() {
        assert!(methods().count() > 40);
        for method in methods() {
            let name = method.full_name();
            let access = access(&method).unwrap_or_else(|| panic!("{name} has no access option"));
            assert!(
                !access.roles.is_empty() && access.scope != 0 && access.effect != 0,
                "{name}: {access:?}"
            );
            let route = http_route(&method).unwrap_or_else(|| panic!("{name} has no HTTP route"));
            assert!(route.path.starts_with("/v1/"), "{name}: {route:?}");
            assert!(!comments(&method).is_empty(), "{name} has no comment");
        }
    }

    #[test]
    fn every_message_and_field_has_a_comment() {
        for message in pool().all_messages().filter(|message| message.package_name() == PACKAGE) {
            if message.is_map_entry() {
                continue;
            }
            assert!(!comments(&message).is_empty(), "{} has no comment", message.full_name());
            for field in message.fields() {
                assert!(!comments(&field).is_empty(), "{} has no comment", field.full_name());
            }
        }
    }

    #[test]
    fn columns_are_fields_of_their_message() {
        let extension =
            pool().get_extension_by_name("stagedoor.admin.v1.columns").expect("the option is declared");
        for message in pool().all_messages() {
            let options = message.options();
            let named = options.get_extension(&extension).as_str().unwrap_or_default().to_owned();
            let count = named.split(',').filter(|name| !name.is_empty()).count();
            assert_eq!(columns(&message).len(), count, "{}: {named}", message.full_name());
        }
    }

    #[test]
    fn a_field_says_what_it_is_for() {
        let field = |message: &str, field: &str| {
            let message = pool().get_message_by_name(&format!("{PACKAGE}.{message}")).expect("the message");
            field_behavior(&message.get_field_by_name(field).expect("the field"))
        };
        assert!(field("CreateTenantRequest", "tenant").required);
        assert!(field("Tenant", "etag").output_only);
        assert!(field("Tenant", "tenant").immutable);
        assert!(field("CreateProviderAppRequest", "client_secret").input_only);
        assert_eq!(field("CreateTenantRequest", "name"), FieldBehavior::default());
    }

    #[test]
    fn comments_are_paragraphs() {
        assert_eq!(paragraphs(" One\n two.\n\n Three.\n"), "One two.\n\nThree.");
    }
}
