//! `completion/complete`: what a person may mean while typing an argument. Playlists come from the same listing that
//! `playlists_list` answers with, its cache and audit record included.

use rmcp::model::{CompleteRequestParams, CompletionInfo, ErrorCode as RpcErrorCode, Reference};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use stagedoor_domain::{ErrorCode, ItemRef, Provider, PublicError, ScopeSet, ToolName, Toolset};
use stagedoor_tools::{Interaction, Outcome};

use super::prompts::{self, Kind};
use super::{MusicSurface, rendered_structure, resources, result};
use crate::mcp::surface::{Caller, Reply, RpcError};

/// How many playlists of an account are looked through: one page.
const PLAYLISTS: u32 = 50;

/// What is wanted.
enum Wanted {
    /// Playlists by what they are called, as people say it.
    PlaylistNames,
    /// Playlists by reference, as addresses want it.
    PlaylistReferences,
    Providers,
    Toolsets,
    /// Nothing that could be foreseen.
    Nothing,
}

#[derive(Deserialize)]
struct Listing {
    playlists: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "ref")]
    reference: String,
    name: String,
}

/// Why there are no playlists to choose from.
enum Refused {
    Failed(PublicError),
    ScopeNeeded(ScopeSet),
}

/// `completion/complete`.
pub(super) async fn complete(surface: &MusicSurface, caller: &Caller, params: Option<&RawValue>) -> Reply {
    let read = serde_json::from_str::<CompleteRequestParams>(params.map_or("{}", RawValue::get));
    let params = match read {
        Ok(params) => params,
        Err(error) => return invalid(format!("`params` is wrong: {error}.")),
    };
    let wanted = match wanted(caller, &params) {
        Ok(wanted) => wanted,
        Err(message) => return invalid(message),
    };
    let typed = params.argument.value.trim();
    let values = match wanted {
        Wanted::Nothing => Vec::new(),
        Wanted::Providers => beginning(typed, Provider::ALL.iter().map(|provider| provider.as_str())),
        Wanted::Toolsets => {
            let toolsets = caller.ctx.principal().toolsets;
            beginning(
                typed,
                Toolset::ALL.iter().filter(|set| toolsets.contains(**set)).map(|set| set.as_str()),
            )
        }
        Wanted::PlaylistNames | Wanted::PlaylistReferences => match playlists(surface, caller).await {
            Ok(playlists) => fitting(typed, playlists, matches!(wanted, Wanted::PlaylistReferences)),
            Err(Refused::ScopeNeeded(scopes)) => return Reply::ScopeNeeded(scopes),
            Err(Refused::Failed(error)) => {
                return Reply::Error(RpcError::new(RpcErrorCode::INTERNAL_ERROR, error));
            }
        },
    };
    let (total, most) = (values.len(), CompletionInfo::MAX_VALUES);
    let shown: Vec<String> = values.into_iter().take(most).collect();
    result(json!({ "completion": { "values": shown, "total": total, "hasMore": total > most } }))
}

fn wanted(caller: &Caller, params: &CompleteRequestParams) -> Result<Wanted, String> {
    let (principal, argument) = (caller.ctx.principal(), params.argument.name.as_str());
    match &params.r#ref {
        Reference::Prompt(prompt) => {
            let shown = |text: &str| text.chars().take(80).collect::<String>();
            let found = prompts::argument(principal, &prompt.name, argument).ok_or_else(|| {
                format!(
                    "There is no prompt {:?} with an argument {:?}.",
                    shown(&prompt.name),
                    shown(argument)
                )
            })?;
            Ok(match found.kind {
                Kind::Playlist => Wanted::PlaylistNames,
                Kind::Provider => Wanted::Providers,
                Kind::Text | Kind::Minutes => Wanted::Nothing,
            })
        }
        Reference::Resource(resource) => match resources::expression(principal, &resource.uri) {
            Some((name, true)) if name == argument => Ok(Wanted::PlaylistReferences),
            Some(("toolset", _)) if argument == "toolset" => Ok(Wanted::Toolsets),
            Some((name, false)) if name == argument => Ok(Wanted::Nothing),
            _ => Err("There is no such resource template with such a variable.".to_owned()),
        },
        _ => Err("`ref.type` must be ref/prompt or ref/resource.".to_owned()),
    }
}

/// The person's playlists at every service that answers; a failure only if none does.
async fn playlists(surface: &MusicSurface, caller: &Caller) -> Result<Vec<Listed>, Refused> {
    let accounts = surface.dispatcher.working_accounts(&caller.ctx).await.map_err(Refused::Failed)?;
    let (mut found, mut failure) = (Vec::new(), None);
    let mut answered = accounts.is_empty();
    for account in accounts {
        let arguments = json!({ "account": account, "limit": PLAYLISTS });
        match surface.ask(caller, ToolName::PlaylistsList, &arguments, Interaction::default()).await {
            Outcome::Answered { body, .. } => {
                let listing = rendered_structure::<Listing>(&body);
                found.extend(listing.ok_or_else(|| Refused::Failed(PublicError::internal()))?.playlists);
                answered = true;
            }
            Outcome::ScopeNeeded(scopes) => return Err(Refused::ScopeNeeded(scopes)),
            Outcome::Failed(error) => failure = Some(error),
            // A listing asks nothing and is no job.
            Outcome::InputRequired { .. } | Outcome::Started { .. } => {
                failure = Some(PublicError::internal());
            }
        }
    }
    match failure {
        Some(error) if !answered => Err(Refused::Failed(error)),
        _ => Ok(found),
    }
}

/// Those whose name has what was typed, those that begin with it first; by reference if that is what is being typed.
fn fitting(typed: &str, mut playlists: Vec<Listed>, as_references: bool) -> Vec<String> {
    let typed = typed.to_lowercase();
    let by_reference = !typed.is_empty()
        && Provider::ALL.iter().any(|provider| {
            let prefix = format!("{provider}:");
            typed.starts_with(&prefix) || (as_references && prefix.starts_with(&typed))
        });
    if by_reference {
        playlists.retain(|listed| listed.reference.to_lowercase().starts_with(&typed));
    } else {
        playlists.retain(|listed| listed.name.to_lowercase().contains(&typed));
        playlists.sort_by_key(|listed| !listed.name.to_lowercase().starts_with(&typed));
    }
    let mut values: Vec<String> = Vec::with_capacity(playlists.len());
    for listed in playlists {
        let value = if as_references || by_reference { listed.reference } else { listed.name };
        // Playlists of one name are one suggestion, and a name that would read as a reference is none.
        if !values.contains(&value) && (as_references || by_reference || value.parse::<ItemRef>().is_err()) {
            values.push(value);
        }
    }
    values
}

fn beginning(typed: &str, values: impl Iterator<Item = &'static str>) -> Vec<String> {
    let typed = typed.to_ascii_lowercase();
    values.filter(|value| value.starts_with(&typed)).map(str::to_owned).collect()
}

fn invalid(message: String) -> Reply {
    let public = PublicError::new(ErrorCode::InvalidArguments, message)
        .hint("prompts/list and resources/templates/list show what can be completed.");
    Reply::Error(RpcError::new(RpcErrorCode::INVALID_PARAMS, public))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Vec<Listed> {
        [("spotify:playlist:1", "Late Jazz"), ("tidal:playlist:2", "Jazz"), ("tidal:playlist:3", "Jazz")]
            .map(|(reference, name)| Listed { reference: reference.to_owned(), name: name.to_owned() })
            .into()
    }

    #[test]
    fn names_complete_to_names_and_addresses_to_references() {
        assert_eq!(fitting("jA", listed(), false), ["Jazz", "Late Jazz"]);
        assert_eq!(
            fitting("jazz", listed(), true),
            ["tidal:playlist:2", "tidal:playlist:3", "spotify:playlist:1"]
        );
        assert_eq!(fitting("tidal:p", listed(), false), ["tidal:playlist:2", "tidal:playlist:3"]);
        assert_eq!(fitting("spot", listed(), true), ["spotify:playlist:1"]);
        assert_eq!(fitting("", listed(), false).len(), 2);
        assert!(fitting("rock", listed(), false).is_empty());
    }
}
