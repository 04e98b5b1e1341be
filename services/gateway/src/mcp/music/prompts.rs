//! Prompts: what a person picks from a menu, and the words that an agent is then given. Their texts are in `words`. A
//! prompt is there for those who are shown the tools that it names.

use rmcp::model::{ErrorCode as RpcErrorCode, JsonObject};
use serde_json::{Value, json};
use stagedoor_domain::text::clean;
use stagedoor_domain::{EntityKind, ErrorCode, ItemRef, Principal, Provider, PublicError, ToolName};

use super::words;
use super::{MusicSurface, result};
use crate::mcp::surface::{Caller, Reply, RpcError};

/// The longest argument, in characters.
const LONGEST: usize = 200;

/// The longest playlist that can be asked for: a day.
const MOST_MINUTES: u32 = 24 * 60;

/// A prompt.
pub(super) struct Prompt {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    arguments: &'static [Argument],
    /// The tools without which it makes no sense.
    needs: &'static [ToolName],
    words: fn(&Given, &Principal) -> String,
}

/// An argument of a prompt.
pub(super) struct Argument {
    pub(super) name: &'static str,
    description: &'static str,
    required: bool,
    pub(super) kind: Kind,
}

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any words.
    Text,
    /// A playlist, by name or reference.
    Playlist,
    /// A music service.
    Provider,
    /// A length in minutes.
    Minutes,
}

/// Arguments that were checked.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<(&'static str, String)>);

impl Given {
    /// An argument's text.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, text)| text.as_str())
    }
}

const PLAYLIST: Argument = Argument {
    name: "playlist",
    description: "Its name, or its reference such as spotify:playlist:ID.",
    required: true,
    kind: Kind::Playlist,
};

pub(super) const PROMPTS: [Prompt; 4] = [
    Prompt {
        name: "build_playlist",
        title: "Build a playlist for an occasion",
        description: "Plan, check and fill a new playlist for an evening, a run, a drive.",
        arguments: &[
            Argument {
                name: "occasion",
                description: "What it is for, and what it should feel like.",
                required: true,
                kind: Kind::Text,
            },
            Argument {
                name: "minutes",
                description: "About how long, in minutes.",
                required: false,
                kind: Kind::Minutes,
            },
            Argument {
                name: "provider",
                description: "spotify or tidal; may be left out if only one is linked.",
                required: false,
                kind: Kind::Provider,
            },
        ],
        needs: &[ToolName::Search, ToolName::PlaylistCreate, ToolName::PlaylistAdd],
        words: words::build_playlist,
    },
    Prompt {
        name: "tidy_playlist",
        title: "Tidy a playlist",
        description: "Find repeats, dead entries and a bad order, and put them right after asking.",
        arguments: &[PLAYLIST],
        needs: &[ToolName::PlaylistGet, ToolName::PlaylistDedupe, ToolName::PlaylistRemove],
        words: words::tidy_playlist,
    },
    Prompt {
        name: "what_changed",
        title: "What changed in my playlists",
        description: "Tell what was added, removed and moved lately, and by whom as far as is known.",
        arguments: &[],
        needs: &[ToolName::PlaylistsList, ToolName::PlaylistVersions, ToolName::PlaylistDiff],
        words: words::what_changed,
    },
    Prompt {
        name: "move_playlist",
        title: "Move a playlist to another service",
        description: "Bring a playlist to another service, deciding doubtful tracks together.",
        arguments: &[
            PLAYLIST,
            Argument {
                name: "to",
                description: "The service it goes to: spotify or tidal.",
                required: true,
                kind: Kind::Provider,
            },
        ],
        needs: &[ToolName::PlaylistTransfer],
        words: words::move_playlist,
    },
];

impl Prompt {
    fn is_shown(&self, principal: &Principal) -> bool {
        self.needs.iter().all(|tool| principal.sees(*tool))
    }

    fn described(&self) -> Value {
        let arguments: Vec<Value> = self
            .arguments
            .iter()
            .map(|argument| {
                json!({ "name": argument.name, "description": argument.description,
                        "required": argument.required })
            })
            .collect();
        json!({
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "arguments": arguments,
        })
    }
}

/// `prompts/list`.
pub(super) fn list(caller: &Caller) -> Reply {
    let principal = caller.ctx.principal();
    let shown: Vec<Value> =
        PROMPTS.iter().filter(|prompt| prompt.is_shown(principal)).map(Prompt::described).collect();
    result(json!({ "prompts": shown }))
}

/// `prompts/get`.
pub(super) async fn get(
    surface: &MusicSurface,
    caller: &Caller,
    name: Option<&str>,
    arguments: Option<&Value>,
) -> Reply {
    let principal = caller.ctx.principal();
    let name = name.unwrap_or_default();
    let Some(prompt) = named(principal, name) else {
        return surface.refused(caller, unknown(name)).await;
    };
    let none = JsonObject::new();
    let checked = match arguments {
        None => given(prompt, &none),
        Some(Value::Object(arguments)) => given(prompt, arguments),
        Some(_) => Err("`arguments` must be an object.".to_owned()),
    };
    match checked {
        Ok(given) => {
            let text = (prompt.words)(&given, principal);
            let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
            result(json!({ "description": prompt.description, "messages": [message] }))
        }
        Err(message) => {
            let public = PublicError::new(ErrorCode::InvalidArguments, message)
                .hint("Correct the argument and ask for the prompt again.");
            Reply::Error(RpcError::new(RpcErrorCode::INVALID_PARAMS, public))
        }
    }
}

/// The argument of a prompt that the key is shown, for completion.
pub(super) fn argument(principal: &Principal, prompt: &str, name: &str) -> Option<&'static Argument> {
    named(principal, prompt)?.arguments.iter().find(|argument| argument.name == name)
}

/// The name itself, if there is a prompt of that name.
pub(in crate::mcp) fn known_name(name: &str) -> Option<&'static str> {
    PROMPTS.iter().map(|prompt| prompt.name).find(|known| *known == name)
}

fn named(principal: &Principal, name: &str) -> Option<&'static Prompt> {
    PROMPTS.iter().find(|prompt| prompt.name == name && prompt.is_shown(principal))
}

fn given(prompt: &Prompt, arguments: &JsonObject) -> Result<Given, String> {
    if let Some(name) =
        arguments.keys().find(|name| prompt.arguments.iter().all(|known| known.name != **name))
    {
        let known: Vec<&str> = prompt.arguments.iter().map(|argument| argument.name).collect();
        let known = if known.is_empty() {
            "it takes none".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        let shown = clean(name, 40);
        return Err(format!("{:?} has no argument {shown:?}; {known}.", prompt.name));
    }
    let mut given = Given::default();
    for argument in prompt.arguments {
        let value = match arguments.get(argument.name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.trim().to_owned(),
            // Prompt arguments are texts, but a number is understood as one.
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(format!("`{}` must be a text.", argument.name)),
        };
        if !value.is_empty() {
            given.0.push((argument.name, checked(argument, &value)?));
        } else if argument.required {
            return Err(format!("`{}` is missing: {}", argument.name, argument.description));
        }
    }
    Ok(given)
}

fn checked(argument: &Argument, value: &str) -> Result<String, String> {
    let name = argument.name;
    match argument.kind {
        Kind::Text => worded(name, value),
        Kind::Playlist => match value.parse::<ItemRef>() {
            Ok(item) => item
                .of_kind(EntityKind::Playlist)
                .map(|item| item.to_string())
                .map_err(|error| format!("`{name}`: {error}.")),
            Err(_) => worded(name, value),
        },
        Kind::Provider => {
            let provider = value.to_ascii_lowercase().parse::<Provider>();
            provider.map(|provider| provider.to_string()).map_err(|error| format!("`{name}`: {error}."))
        }
        Kind::Minutes => match value.parse::<u32>() {
            Ok(minutes) if (1..=MOST_MINUTES).contains(&minutes) => Ok(minutes.to_string()),
            _ => Err(format!("`{name}` must be a whole number from 1 to {MOST_MINUTES}.")),
        },
    }
}

fn worded(name: &str, value: &str) -> Result<String, String> {
    let length = value.chars().count();
    if length > LONGEST {
        return Err(format!("`{name}` has {length} characters, but at most {LONGEST} are allowed."));
    }
    let cleaned = clean(value, LONGEST);
    if cleaned.is_empty() { Err(format!("`{name}` shows nothing.")) } else { Ok(cleaned) }
}

fn unknown(name: &str) -> RpcError {
    let public = if name.is_empty() {
        PublicError::new(ErrorCode::InvalidArguments, "`params.name` is missing.")
    } else {
        let shown: String = name.chars().take(80).collect();
        PublicError::new(ErrorCode::UnknownPrompt, format!("There is no prompt {shown:?} for this key."))
    };
    RpcError::new(RpcErrorCode::INVALID_PARAMS, public.hint("prompts/list shows which there are."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(name: &str) -> &'static Prompt {
        PROMPTS.iter().find(|prompt| prompt.name == name).unwrap()
    }

    fn refused(name: &str, arguments: &Value) -> String {
        given(prompt(name), arguments.as_object().unwrap()).unwrap_err()
    }

    #[test]
    fn arguments_are_checked_and_say_what_is_wrong() {
        assert!(refused("build_playlist", &json!({})).starts_with("`occasion` is missing"));
        assert!(refused("build_playlist", &json!({ "occasion": " \u{202e} " })).contains("shows nothing"));
        assert!(
            refused("build_playlist", &json!({ "occasion": "a".repeat(201) })).contains("201 characters")
        );
        assert!(
            refused("build_playlist", &json!({ "occasion": "run", "minutes": "-3" })).contains("1 to 1440")
        );
        assert!(refused("build_playlist", &json!({ "occasion": ["run"] })).contains("must be a text"));
        assert!(
            refused("move_playlist", &json!({ "playlist": "Mix", "to": "deezer" }))
                .contains("spotify, tidal")
        );
        assert!(
            refused("tidy_playlist", &json!({ "playlist": "spotify:track:1" })).contains("points at a track")
        );
        assert_eq!(
            refused("what_changed", &json!({ "since": "x" })),
            "\"what_changed\" has no argument \"since\"; it takes none."
        );
    }

    #[test]
    fn arguments_are_taken_as_people_type_them() {
        let arguments = json!({ "occasion": " long drive ", "minutes": 90, "provider": "Tidal" });
        let given = given(prompt("build_playlist"), arguments.as_object().unwrap()).unwrap();
        assert_eq!((given.get("occasion"), given.get("minutes")), (Some("long drive"), Some("90")));
        assert_eq!((given.get("provider"), given.get("to")), (Some("tidal"), None));
    }
}
