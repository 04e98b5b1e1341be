//! Input and output schema of each tool.

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

/// Input, output.
pub(super) fn of(name: ToolName) -> (Map<String, Value>, Map<String, Value>) {
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
        // TEMPORARY while the catalogue grows.
        _ => (schema::of_input::<NoArguments>(), schema::of_output::<UsageOutput>()),
    }
}
