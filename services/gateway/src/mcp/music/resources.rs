//! Resources: what clients attach without a call of the model. Each is read by the tool that answers it, with that
//! tool's limits, scopes, cache and audit record, and is there for those who are shown the tool.

use std::fmt::Write;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rmcp::model::{ErrorCode as RpcErrorCode, JsonObject};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stagedoor_domain::{ErrorCode, Principal, PublicError, SharedQueueId, ToolName, Toolset};
use stagedoor_tools::{Interaction, Outcome};
use uuid::Uuid;

use super::{MusicSurface, WARNINGS_META, rendered_text, result};
use crate::mcp::surface::{Caller, Reply, RpcError};

const SCHEME: &str = "stagedoor://";
const JSON: &str = "application/json";

/// A resource, or all that fit a template with one expression at its end.
struct Entry {
    /// What follows the scheme, up to the expression of a template.
    path: &'static str,
    /// The template's expression (RFC 6570).
    expression: Option<&'static str>,
    reads: Source,
    title: &'static str,
    description: &'static str,
}

/// What answers a resource.
#[derive(Clone, Copy)]
enum Source {
    /// A tool, asked for what the address names, by the argument that is called like the expression.
    Tool(ToolName),
    /// The list of tools.
    Toolset,
}

const ENTRIES: [Entry; 6] = [
    Entry {
        path: "accounts",
        expression: None,
        reads: Source::Tool(ToolName::AccountsList),
        title: "Linked accounts",
        description: "Which music accounts the person has linked, and whether they work.",
    },
    Entry {
        path: "usage",
        expression: None,
        reads: Source::Tool(ToolName::UsageStatus),
        title: "Usage",
        description: "What this key may do, how many calls are left, what the cache saved.",
    },
    Entry {
        path: "playlist/",
        expression: Some("ref"),
        reads: Source::Tool(ToolName::PlaylistGet),
        title: "Playlist",
        description: "A playlist and its first items, by reference such as spotify:playlist:ID.",
    },
    Entry {
        path: "track/",
        expression: Some("ref"),
        reads: Source::Tool(ToolName::TrackGet),
        title: "Track",
        description: "One track, by reference such as tidal:track:ID.",
    },
    Entry {
        path: "queue/",
        expression: Some("queue"),
        reads: Source::Tool(ToolName::SharedQueueGet),
        title: "Shared queue",
        description: "A queue that people share, and its first items. Can be listened to.",
    },
    Entry {
        path: "toolset/",
        expression: Some("toolset"),
        reads: Source::Toolset,
        title: "Toolset",
        description: "Which tools a toolset has for this key, such as playlists or playback.",
    },
];

/// What an address names.
struct Target<'a> {
    entry: &'static Entry,
    /// The expression's value, percent-decoded.
    value: Option<std::borrow::Cow<'a, str>>,
}

impl Entry {
    fn is_shown(&self, principal: &Principal) -> bool {
        match self.reads {
            Source::Tool(tool) => principal.sees(tool),
            Source::Toolset => !principal.toolsets.is_empty(),
        }
    }

    /// Its address or template.
    fn address(&self) -> String {
        match self.expression {
            None => format!("{SCHEME}{}", self.path),
            Some(expression) => format!("{SCHEME}{}{{{expression}}}", self.path),
        }
    }

    fn described(&self, address: &str) -> Value {
        json!({
            address: self.address(),
            "name": self.path.trim_end_matches('/'),
            "title": self.title,
            "description": self.description,
            "mimeType": JSON,
        })
    }
}

/// `resources/list`.
pub(super) fn list(caller: &Caller) -> Reply {
    result(json!({ "resources": shown(caller, false, "uri") }))
}

/// `resources/templates/list`.
pub(super) fn templates(caller: &Caller) -> Reply {
    result(json!({ "resourceTemplates": shown(caller, true, "uriTemplate") }))
}

fn shown(caller: &Caller, templates: bool, address: &str) -> Vec<Value> {
    let principal = caller.ctx.principal();
    let of_kind = ENTRIES.iter().filter(|entry| entry.expression.is_some() == templates);
    of_kind.filter(|entry| entry.is_shown(principal)).map(|entry| entry.described(address)).collect()
}

/// The tool that reads the resource, if it is one that a tool reads.
pub(in crate::mcp) fn tool(uri: &str) -> Option<ToolName> {
    match target(uri)?.entry.reads {
        Source::Tool(tool) => Some(tool),
        Source::Toolset => None,
    }
}

/// The expression of a template and whether it is a playlist's, for completion; `None` if the key is shown no such
/// template.
pub(super) fn expression(principal: &Principal, template: &str) -> Option<(&'static str, bool)> {
    let entry = ENTRIES.iter().find(|entry| entry.address() == template && entry.is_shown(principal))?;
    Some((entry.expression?, matches!(entry.reads, Source::Tool(ToolName::PlaylistGet))))
}

/// The queue that an address names, if this caller may read queues at all. Who is in it shows later.
pub(super) fn watched_queue(caller: &Caller, uri: &str) -> Option<SharedQueueId> {
    let principal = caller.ctx.principal();
    let Target { entry, value } = target(uri)?;
    let tool = ToolName::SharedQueueGet;
    let may = principal.sees(tool) && tool.scope().is_none_or(|scope| principal.scopes.contains(scope));
    let is_queue = matches!(entry.reads, Source::Tool(ToolName::SharedQueueGet));
    value.filter(|_| may && is_queue)?.parse::<Uuid>().ok().map(SharedQueueId)
}

/// `resources/read`.
pub(super) async fn read(surface: &MusicSurface, caller: &Caller, uri: Option<&str>) -> Reply {
    let Some(uri) = uri else {
        let public = PublicError::new(ErrorCode::InvalidArguments, "`params.uri` is missing.");
        return Reply::Error(RpcError::new(RpcErrorCode::INVALID_PARAMS, public));
    };
    let target = target(uri).filter(|target| target.entry.is_shown(caller.ctx.principal()));
    let Some(Target { entry, value }) = target else {
        return surface.refused(caller, unknown(caller, uri)).await;
    };
    match entry.reads {
        Source::Toolset => match value.as_deref().unwrap_or_default().parse() {
            Ok(toolset) if caller.ctx.principal().toolsets.contains(toolset) => {
                toolset_of(surface, caller, uri, toolset)
            }
            _ => surface.refused(caller, unknown(caller, uri)).await,
        },
        Source::Tool(tool) => {
            let arguments = match (entry.expression, value) {
                (Some(argument), Some(value)) => json!({ argument: value }),
                _ => json!({}),
            };
            match surface.ask(caller, tool, &arguments, Interaction::default()).await {
                Outcome::Answered { body, warnings, .. } => {
                    contents(surface, caller, (uri, tool), &body, warnings).await
                }
                Outcome::Failed(error) => Reply::Error(failed(caller, uri, error)),
                Outcome::ScopeNeeded(scopes) => Reply::ScopeNeeded(scopes),
                // No reading tool asks anything or goes on as a job.
                Outcome::InputRequired { .. } | Outcome::Started { .. } => {
                    Reply::Error(failed(caller, uri, PublicError::internal()))
                }
            }
        }
    }
}

/// An answer of a tool as the contents of a resource; its text is taken over as it is.
async fn contents(
    surface: &MusicSurface,
    caller: &Caller,
    (uri, tool): (&str, ToolName),
    body: &Bytes,
    warnings: Vec<String>,
) -> Reply {
    let Some(text) = rendered_text(body) else {
        return Reply::Error(failed(caller, uri, PublicError::internal()));
    };
    let uri = Value::from(uri);
    let mut members =
        format!("\"contents\":[{{\"uri\":{uri},\"mimeType\":\"{JSON}\",\"text\":{}}}]", text.get());
    if caller.revision.is_modern() {
        let life = match fetched_at(text) {
            Some(since) => surface.dispatcher.life_left(&caller.ctx, tool, since).await,
            None => std::time::Duration::ZERO,
        };
        // Writing to a text does not fail.
        let _ = write!(members, ",\"ttlMs\":{},\"cacheScope\":\"private\"", life.as_millis());
    }
    if warnings.is_empty() {
        return Reply::Members(members.into());
    }
    Reply::MembersWithMeta(
        members.into(),
        JsonObject::from_iter([(WARNINGS_META.to_owned(), json!(warnings))]),
    )
}

/// When a music service gave the answer; `None` if none did.
fn fetched_at(text: &RawValue) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Dated {
        cached_at: Option<DateTime<Utc>>,
    }
    let text: String = serde_json::from_str(text.get()).ok()?;
    serde_json::from_str::<Dated>(&text).ok()?.cached_at
}

fn toolset_of(surface: &MusicSurface, caller: &Caller, uri: &str, toolset: Toolset) -> Reply {
    let tools = surface.listing.of_toolset(caller.ctx.principal(), toolset);
    let text = json!({ "toolset": toolset, "tools": tools }).to_string();
    result(json!({ "contents": [{ "uri": uri, "mimeType": JSON, "text": text }] }))
}

fn target(uri: &str) -> Option<Target<'_>> {
    let path = uri.strip_prefix(SCHEME)?;
    ENTRIES.iter().find_map(|entry| {
        if entry.expression.is_none() {
            return (path == entry.path).then_some(Target { entry, value: None });
        }
        let value = path.strip_prefix(entry.path).filter(|value| !value.is_empty())?;
        Some(Target { entry, value: Some(decoded(value)?) })
    })
}

/// Percent-decoded (RFC 3986 §2.1): the expansion of `{ref}` writes a colon as `%3A`. `None` if it cannot be.
fn decoded(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().map(Into::into)
}

fn unknown(caller: &Caller, uri: &str) -> RpcError {
    let shown: String = uri.chars().take(120).collect();
    let public =
        PublicError::new(ErrorCode::UnknownResource, format!("There is no resource {shown:?} for this key."))
            .hint("resources/list and resources/templates/list show which there are.");
    RpcError::new(not_found(caller), public).with_data(json!({ "uri": shown }))
}

/// A tool's failure as that of a read.
fn failed(caller: &Caller, uri: &str, error: PublicError) -> RpcError {
    let code = match error.code {
        ErrorCode::ItemNotFound | ErrorCode::QueueUnknown => not_found(caller),
        ErrorCode::InvalidArguments => RpcErrorCode::INVALID_PARAMS,
        _ => RpcErrorCode::INTERNAL_ERROR,
    };
    RpcError::new(code, error).with_data(json!({ "uri": uri }))
}

/// 2026-07-28 moved the code of a resource that is not there (SEP-2164).
fn not_found(caller: &Caller) -> RpcErrorCode {
    if caller.revision.is_modern() { RpcErrorCode::INVALID_PARAMS } else { RpcErrorCode::RESOURCE_NOT_FOUND }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uri: &str) -> Option<(&'static str, Option<String>)> {
        target(uri).map(|target| (target.entry.path, target.value.map(Into::into)))
    }

    #[test]
    fn addresses_are_read_as_templates_write_them() {
        let reference = || Some("spotify:playlist:4".to_owned());
        assert_eq!(found("stagedoor://usage"), Some(("usage", None)));
        assert_eq!(found("stagedoor://playlist/spotify:playlist:4"), Some(("playlist/", reference())));
        assert_eq!(found("stagedoor://playlist/spotify%3Aplaylist%3a4"), Some(("playlist/", reference())));
        for wrong in [
            "stagedoor://usage/",
            "stagedoor://",
            "stagedoor://playlist",
            "stagedoor://playlist/",
            "usage",
            "stagedoor://playlist/%",
            "stagedoor://playlist/%3",
            "stagedoor://playlist/%zz",
            "stagedoor://playlist/%ff",
            "stagedoor://playlist/%+1",
            "https://usage",
        ] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_read_is_read_by_tools_that_change_nothing() {
        for entry in &ENTRIES {
            if let Source::Tool(tool) = entry.reads {
                assert!(!tool.writes(), "{tool}");
            }
            assert_eq!(entry.expression.is_some(), entry.path.ends_with('/'), "{}", entry.path);
        }
    }
}
