//! The reference of the admin API as a page: services, RPCs, messages and enums of the contract with their comments.

use std::collections::BTreeSet;
use std::fmt::Write;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use stagedoor_proto::admin::v1::{AccessScope, Effect, Role};
use stagedoor_proto::dynamic;

use crate::catalogue::{Catalogue, Group};
use crate::{names, values};

const OPENING: &str = "\
# The admin API

<!-- Written by `just reference`: do not edit by hand. -->

One API, three ways in, all on the admin port: gRPC (the package `stagedoor.admin.v1`, with reflection and health), JSON over HTTP (the
method and path beside each RPC; `/openapi.json` describes it), and [`stagedoorctl`](stagedoorctl.md) (the command beside each RPC).

- **Signing in**: `Authorization: Bearer` with an admin key (`sd_admin_…`) or a JWT of an issuer that the installation trusts for
  this; over mutual TLS if the installation asks for it. Each RPC says which roles may call it. A tenant admin, and an auditor bound to a
  tenant, see their own tenant only: others look missing.
- **Names**: tenants go by their names in URLs, people and all else by ids.
- **Lists** answer a page of `page_size` (50 if it is not set, 500 at most) and `next_page_token`, which the next request gives back as
  `page_token`.
- **Creates**, and whatever else makes something, take a `request_id`, a UUID of the caller's choice: the same request again within a
  day makes nothing twice.
- **Updates** change what `update_mask` names, or what the request sets where there is no mask. With `etag`, an update that would
  undo someone else's is refused: `ABORTED` with `ETAG_MISMATCH`, over HTTP 412 (`If-Match` says the same as the field).
- **Writes** take `validate_only`: everything is checked, nothing is done.
- **Deadlines**: `grpc-timeout` counts, up to `admin.request_deadline_ms`; what takes longer ends with `DEADLINE_EXCEEDED`, 504 over HTTP.
- **Errors** are gRPC statuses with `google.rpc.ErrorInfo` (`domain` is `stagedoor`; `reason` is a code of
  [errors.md](errors.md#the-admin-api), which has all of them with their statuses, in capitals), `BadRequest` with a violation for each wrong field, `ResourceInfo` and `RetryInfo` where they apply; over HTTP they
  are `application/problem+json` (RFC 9457) with the same `code`, `detail` and `hint`, and `details.fields` for wrong fields.
- **Every call is recorded**, in the audit trail of its tenant or in that of the installation; a write before it has an effect.
- **JSON** has camelCase names; 64-bit integers are strings, times RFC 3339, durations seconds (`\"5400s\"`), enums by their names.
";

/// The page.
pub(crate) fn markdown() -> String {
    let catalogue = Catalogue::load();
    let mut page = OPENING.to_owned();
    let mut told = Told::default();
    page.push_str("\n## Services\n\n");
    for group in &catalogue.groups {
        let name = group.service.name();
        let _ = writeln!(page, "- [{name}](#{}): {}", name.to_lowercase(), dynamic::comments(&group.service));
    }
    for group in &catalogue.groups {
        service(&mut page, group, &mut told);
    }
    page.push_str("\n## Messages\n");
    while let Some(message) = told.next_message() {
        section(&mut page, &message, &mut told);
    }
    page.push_str("\n## Enums\n");
    for name in &told.enums {
        if let Some(of) = dynamic::pool().get_enum_by_name(name) {
            enumeration(&mut page, &of);
        }
    }
    page
}

/// Messages and enums that were mentioned, so that each is told of once and nothing else is.
#[derive(Default)]
struct Told {
    waiting: BTreeSet<String>,
    done: BTreeSet<String>,
    enums: BTreeSet<String>,
}

impl Told {
    fn mention(&mut self, message: &MessageDescriptor) {
        if !self.done.contains(message.full_name()) {
            self.waiting.insert(message.full_name().to_owned());
        }
    }

    fn next_message(&mut self) -> Option<MessageDescriptor> {
        let name = self.waiting.pop_first()?;
        self.done.insert(name.clone());
        dynamic::pool().get_message_by_name(&name)
    }
}

fn service(page: &mut String, group: &Group, told: &mut Told) {
    let _ = writeln!(page, "\n## {}\n\n{}", group.service.name(), dynamic::comments(&group.service));
    for command in &group.commands {
        let method = &command.method;
        let _ = writeln!(page, "\n### {}\n\n{}\n", method.name(), dynamic::comments(method));
        if let Some(route) = dynamic::http_route(method) {
            let _ = writeln!(page, "- `{} {}`", route.method, route.path);
        }
        let _ = writeln!(page, "- `stagedoorctl {} {}`", group.name, command.verb);
        let _ = writeln!(page, "- {}", who(method));
        request(page, &method.input(), told);
        told.mention(&method.output());
        let stream = if method.is_server_streaming() { "a stream of " } else { "" };
        let _ = writeln!(page, "\nAnswer: {stream}{}.", link(&method.output()));
    }
}

fn who(method: &MethodDescriptor) -> String {
    let Some(access) = dynamic::access(method) else { return "nobody".to_owned() };
    let roles: Vec<&str> = access
        .roles()
        .map(|role| match role {
            Role::PlatformOperator => "platform operator",
            Role::TenantAdmin => "tenant admin",
            Role::Auditor => "auditor",
            Role::Unspecified => "nobody",
        })
        .collect();
    let scope = match access.scope() {
        AccessScope::Tenant => "one tenant",
        AccessScope::Platform => "the installation",
        AccessScope::Self_ | AccessScope::Unspecified => "the caller itself",
    };
    let effect = if access.effect() == Effect::Write { "writes" } else { "reads" };
    format!("{effect}; about {scope}; for: {}", roles.join(", "))
}

fn request(page: &mut String, message: &MessageDescriptor, told: &mut Told) {
    if message.fields().len() == 0 {
        page.push_str("\nThe request has no fields.\n");
        return;
    }
    fields(page, message, told);
}

fn section(page: &mut String, message: &MessageDescriptor, told: &mut Told) {
    let _ = writeln!(page, "\n### {}\n\n{}", message.name(), dynamic::comments(message));
    if message.fields().len() > 0 {
        fields(page, message, told);
    }
}

fn fields(page: &mut String, message: &MessageDescriptor, told: &mut Told) {
    page.push_str("\n| field | type | |\n| --- | --- | --- |\n");
    for field in message.fields() {
        let comment = dynamic::comments(&field).replace("\n\n", "<br>").replace('|', "\\|");
        let behavior = dynamic::field_behavior(&field);
        let markers = [
            (behavior.required, "**Required.** "),
            (behavior.output_only, "*In answers only.* "),
            (behavior.input_only, "*Never in answers.* "),
            (behavior.immutable, "*Never changes.* "),
        ];
        let markers: String = markers.iter().filter(|(is_so, _)| *is_so).map(|(_, marker)| *marker).collect();
        let _ = writeln!(page, "| `{}` | {} | {markers}{comment} |", field.name(), type_of(&field, told));
    }
}

fn type_of(field: &FieldDescriptor, told: &mut Told) -> String {
    let kind = field.kind();
    if let Some(entry) = kind.as_message().filter(|_| field.is_map()) {
        let value = kind_name(&entry.map_entry_value_field().kind(), told);
        return format!("map of {} to {value}", kind_name(&entry.map_entry_key_field().kind(), told));
    }
    let name = kind_name(&kind, told);
    if field.is_list() { format!("list of {name}") } else { name }
}

fn kind_name(kind: &Kind, told: &mut Told) -> String {
    match kind {
        Kind::Message(message) if values::is_plain(message) => match message.full_name() {
            values::TIMESTAMP => "time".to_owned(),
            values::DURATION => "duration".to_owned(),
            values::FIELD_MASK => "field mask".to_owned(),
            _ => message.name().to_owned(),
        },
        Kind::Message(message) => {
            told.mention(message);
            link(message)
        }
        Kind::Enum(of) => {
            told.enums.insert(of.full_name().to_owned());
            format!("[{0}](#{1})", of.name(), of.name().to_lowercase())
        }
        kind => format!("{kind:?}").to_lowercase(),
    }
}

fn link(message: &MessageDescriptor) -> String {
    format!("[{0}](#{1})", message.name(), message.name().to_lowercase())
}

fn enumeration(page: &mut String, of: &EnumDescriptor) {
    let _ = writeln!(page, "\n### {}\n\n{}\n", of.name(), dynamic::comments(of));
    page.push_str("| value | in `stagedoorctl` | |\n| --- | --- | --- |\n");
    for value in names::enum_values(of) {
        let comment = dynamic::comments(&value);
        let _ = writeln!(page, "| `{}` | `{}` | {comment} |", value.name(), names::enum_value(&value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin-api.md");

    #[test]
    fn the_committed_page_is_what_the_contract_says() {
        let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(committed == markdown(), "docs/admin-api.md is old: `just reference` writes it anew");
    }

    #[test]
    fn every_link_leads_somewhere() {
        let page = markdown();
        let headings: BTreeSet<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")))
            .map(str::to_lowercase)
            .collect();
        for target in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(headings.contains(target), "nothing is called {target}");
        }
    }
}
