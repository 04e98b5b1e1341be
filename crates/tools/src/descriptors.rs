//! What agents are told about each tool: title, description, schemas, hints. The texts are for a model that
//! has to choose and to act; each token of them is paid by every agent.

use serde_json::{Map, Value};
use stagedoor_domain::ToolName;

use crate::accounts::{AccountsOutput, NoArguments};
use crate::items::{AlbumOutput, ArtistOutput, ItemArguments, TrackOutput};
use crate::linking::output::LinkOutput;
use crate::linking::tool::LinkArguments;
use crate::linking::unlink::{UnlinkArguments, UnlinkOutput};
use crate::playlist_reads::{GetArguments, GetOutput, ListArguments, ListOutput};
use crate::playlist_writes::{AddArguments, AddOutput, CreateArguments, CreateOutput};
use crate::preferences::{PreferencesOutput, SetArguments};
use crate::resolve::{ResolveArguments, ResolveOutput};
use crate::schema;
use crate::search::{SearchArguments, SearchOutput};
use crate::usage::UsageOutput;

/// One tool as agents see it.
#[derive(Debug, Clone)]
pub struct Descriptor {
    /// Its name.
    pub name: ToolName,
    /// A few words for people.
    pub title: &'static str,
    /// What it does and when to use it, for a model.
    pub description: &'static str,
    /// JSON Schema (2020-12) of the arguments.
    pub input_schema: Map<String, Value>,
    /// JSON Schema (2020-12) of the structured answer.
    pub output_schema: Map<String, Value>,
    /// Whether the same call twice does no more than once.
    pub idempotent: bool,
    /// Whether it reaches beyond Stagedoor.
    pub open_world: bool,
}

/// Every tool, in the order in which lists show them.
pub fn all() -> Vec<Descriptor> {
    ToolName::ALL.iter().copied().map(descriptor).collect()
}

fn descriptor(name: ToolName) -> Descriptor {
    let (title, description) = texts(name);
    let (input_schema, output_schema) = schemas(name);
    Descriptor {
        name,
        title,
        description,
        input_schema,
        output_schema,
        idempotent: !name.writes() || name == ToolName::PreferencesSet,
        open_world: !matches!(
            name,
            ToolName::AccountsList
                | ToolName::PreferencesGet
                | ToolName::PreferencesSet
                | ToolName::UsageStatus
        ),
    }
}

fn texts(name: ToolName) -> (&'static str, &'static str) {
    match name {
        ToolName::Search => (
            "Search music",
            "Find tracks, albums, artists or playlists by text at one service. Returns references (`ref`) that the \
             other tools take.",
        ),
        ToolName::TrackGet => ("Get track", "Show one track: artists, album, ISRC, length."),
        ToolName::AlbumGet => ("Get album", "Show one album with its first tracks."),
        ToolName::ArtistGet => ("Get artist", "Show one artist."),
        ToolName::Resolve => (
            "Resolve code or link",
            "Turn an ISRC, a UPC or a pasted link into items. Use it to find the same recording at another service.",
        ),
        ToolName::PlaylistsList => ("List playlists", "List the playlists of the person you act for."),
        ToolName::PlaylistGet => ("Get playlist", "Show a playlist and its items, page by page."),
        ToolName::PlaylistCreate => (
            "Create playlist",
            "Make an empty playlist for the person you act for. Each call makes another one. Fill it with playlist_add.",
        ),
        ToolName::PlaylistAdd => (
            "Add to playlist",
            "Add tracks to a playlist, at its end or at a position. Each call adds them again; tell the person if \
             some were skipped.",
        ),
        ToolName::AccountsList => (
            "List linked accounts",
            "Show which music accounts the person has linked, and whether they work.",
        ),
        ToolName::AccountLink => (
            "Link account",
            "Link a music account of the person, or link one again whose access ended. Answers with a page (`url`) that \
             the person has to open; show it to them as it is. Ask how it went by calling again with `link`.",
        ),
        ToolName::AccountUnlink => (
            "Unlink account",
            "End the access to a linked account for good and delete what is stored of it. Only when the person asks.",
        ),
        ToolName::PreferencesGet => (
            "Get preferences",
            "Show what the person prefers, such as whether answers may come from the cache.",
        ),
        ToolName::PreferencesSet => (
            "Set preferences",
            "Change what the person prefers, only when they ask. Members that are left out stay as they are; null \
             restores a default.",
        ),
        ToolName::UsageStatus => (
            "Show usage",
            "Show what this key may do, how many calls are left, what was refused, and what the cache saved. Costs one \
             call itself.",
        ),
    }
}

fn schemas(name: ToolName) -> (Map<String, Value>, Map<String, Value>) {
    match name {
        ToolName::Search => (schema::of_input::<SearchArguments>(), schema::of_output::<SearchOutput>()),
        ToolName::TrackGet => (schema::of_input::<ItemArguments>(), schema::of_output::<TrackOutput>()),
        ToolName::AlbumGet => (schema::of_input::<ItemArguments>(), schema::of_output::<AlbumOutput>()),
        ToolName::ArtistGet => (schema::of_input::<ItemArguments>(), schema::of_output::<ArtistOutput>()),
        ToolName::Resolve => (schema::of_input::<ResolveArguments>(), schema::of_output::<ResolveOutput>()),
        ToolName::PlaylistsList => (schema::of_input::<ListArguments>(), schema::of_output::<ListOutput>()),
        ToolName::PlaylistGet => (schema::of_input::<GetArguments>(), schema::of_output::<GetOutput>()),
        ToolName::PlaylistCreate => {
            (schema::of_input::<CreateArguments>(), schema::of_output::<CreateOutput>())
        }
        ToolName::PlaylistAdd => (schema::of_input::<AddArguments>(), schema::of_output::<AddOutput>()),
        ToolName::AccountsList => (schema::of_input::<NoArguments>(), schema::of_output::<AccountsOutput>()),
        ToolName::AccountLink => (schema::of_input::<LinkArguments>(), schema::of_output::<LinkOutput>()),
        ToolName::AccountUnlink => {
            (schema::of_input::<UnlinkArguments>(), schema::of_output::<UnlinkOutput>())
        }
        ToolName::PreferencesGet => {
            (schema::of_input::<NoArguments>(), schema::of_output::<PreferencesOutput>())
        }
        ToolName::PreferencesSet => {
            (schema::of_patch::<SetArguments>(), schema::of_output::<PreferencesOutput>())
        }
        ToolName::UsageStatus => (schema::of_input::<NoArguments>(), schema::of_output::<UsageOutput>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_an_object_without_noise() {
        for tool in all() {
            for schema in [&tool.input_schema, &tool.output_schema] {
                let text = Value::Object(schema.clone()).to_string();
                assert_eq!(schema["type"], "object", "{}", tool.name);
                assert!(!text.contains("\"format\""), "{}: {text}", tool.name);
            }
            let nulls =
                |schema: &Map<String, Value>| Value::Object(schema.clone()).to_string().contains("null");
            assert!(!nulls(&tool.output_schema), "{}", tool.name);
            // In a merge patch, null is a value of its own.
            assert_eq!(nulls(&tool.input_schema), tool.name == ToolName::PreferencesSet, "{}", tool.name);
        }
    }
}
