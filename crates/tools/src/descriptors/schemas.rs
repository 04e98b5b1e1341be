//! Input and output schema of each tool.

use serde_json::{Map, Value};
use stagedoor_domain::ToolName;
use stagedoor_domain::music::{Album, Item, SavedItem, Track};
use stagedoor_domain::playback::Played;

use crate::accounts::{AccountsOutput, NoArguments};
use crate::audit_query::{QueryArguments, QueryOutput};
use crate::consents::{ConsentOutput, ConsentsOutput, SetArguments as SetConsentArguments};
use crate::discovery::FromItemArguments;
use crate::history::{QueryArguments as HistoryArguments, QueryOutput as HistoryOutput, StatusOutput};
use crate::insights::{InsightsArguments, InsightsOutput};
use crate::items::{AlbumOutput, ArtistOutput, ItemArguments, TrackOutput};
use crate::jobs::JobOutput;
use crate::jobs::owned::{CancelArguments, GetArguments as GetJobArguments};
use crate::library::{ChangedOutput, ContainsOutput, ItemsArguments, ListArguments as LibraryArguments};
use crate::linking::output::LinkOutput;
use crate::linking::tool::LinkArguments;
use crate::linking::unlink::{UnlinkArguments, UnlinkOutput};
use crate::listening::{RecentArguments, TopArguments};
use crate::lists::ListPage;
use crate::mixes::{MixItemsArguments, MixesArguments, MixesOutput};
use crate::playback::{
    ControlArguments, ControlOutput, DevicesArguments, DevicesOutput, QueueArguments, QueueOutput,
    StateArguments, StateOutput,
};
use crate::playlists::EditOutput;
use crate::playlists::edits::{
    AddArguments, DedupeArguments, RemoveArguments, ReorderArguments, ReplaceArguments, UndoArguments,
    UpdateArguments,
};
use crate::playlists::history::{DiffArguments, DiffOutput, VersionsArguments, VersionsOutput};
use crate::playlists::long::DedupeOutput;
use crate::playlists::reads::{GetArguments, GetOutput, ListArguments, ListOutput};
use crate::playlists::whole::{CreateArguments, CreateOutput, DeleteArguments, DeleteOutput};
use crate::preferences::{PreferencesOutput, SetArguments};
use crate::privacy::tool::{RequestOutput, RequestsOutput};
use crate::profile::{ProfileArguments, ProfileOutput};
use crate::queues::{
    CommitArguments, CommitOutput, EditArguments as EditQueueArguments, EditOutput as EditQueueOutput,
    GetArguments as GetQueueArguments, GetOutput as GetQueueOutput,
};
use crate::resolve::{ResolveArguments, ResolveOutput};
use crate::schema;
use crate::search::{SearchArguments, SearchOutput};
use crate::search_all::{SearchAllArguments, SearchAllOutput};
use crate::transfer::TransferArguments;
use crate::usage::UsageOutput;

/// Input, output.
pub(super) fn of(name: ToolName) -> (Map<String, Value>, Map<String, Value>) {
    match name {
        ToolName::Search => (schema::of_input::<SearchArguments>(), schema::of_output::<SearchOutput>()),
        ToolName::TrackGet => (schema::of_input::<ItemArguments>(), schema::of_output::<TrackOutput>()),
        ToolName::AlbumGet => (schema::of_input::<ItemArguments>(), schema::of_output::<AlbumOutput>()),
        ToolName::ArtistGet => (schema::of_input::<ItemArguments>(), schema::of_output::<ArtistOutput>()),
        ToolName::Resolve => (schema::of_input::<ResolveArguments>(), schema::of_output::<ResolveOutput>()),
        ToolName::SearchAll => {
            (schema::of_input::<SearchAllArguments>(), schema::of_output::<SearchAllOutput>())
        }
        ToolName::ArtistAlbums => {
            (schema::of_input::<FromItemArguments>(), schema::of_output::<ListPage<Album>>())
        }
        ToolName::Similar => (schema::of_input::<FromItemArguments>(), schema::of_output::<ListPage<Item>>()),
        ToolName::Radio => (schema::of_input::<FromItemArguments>(), schema::of_output::<ListPage<Track>>()),
        ToolName::MixesList => (schema::of_input::<MixesArguments>(), schema::of_output::<MixesOutput>()),
        ToolName::MixItems => {
            (schema::of_input::<MixItemsArguments>(), schema::of_output::<ListPage<Track>>())
        }
        ToolName::LibraryList => {
            (schema::of_input::<LibraryArguments>(), schema::of_output::<ListPage<SavedItem>>())
        }
        ToolName::LibraryContains => {
            (schema::of_input::<ItemsArguments>(), schema::of_output::<ContainsOutput>())
        }
        ToolName::LibrarySave | ToolName::LibraryRemove => {
            (schema::of_input::<ItemsArguments>(), schema::of_output::<ChangedOutput>())
        }
        ToolName::TopItems => (schema::of_input::<TopArguments>(), schema::of_output::<ListPage<Item>>()),
        ToolName::RecentlyPlayed => {
            (schema::of_input::<RecentArguments>(), schema::of_output::<ListPage<Played>>())
        }
        ToolName::HistoryStatus => (schema::of_input::<NoArguments>(), schema::of_output::<StatusOutput>()),
        ToolName::HistoryQuery => {
            (schema::of_input::<HistoryArguments>(), schema::of_output::<HistoryOutput>())
        }
        ToolName::Insights => {
            (schema::of_input::<InsightsArguments>(), schema::of_output::<InsightsOutput>())
        }
        ToolName::PlaybackState => (schema::of_input::<StateArguments>(), schema::of_output::<StateOutput>()),
        ToolName::Devices => (schema::of_input::<DevicesArguments>(), schema::of_output::<DevicesOutput>()),
        ToolName::PlaybackControl => {
            (schema::of_input::<ControlArguments>(), schema::of_output::<ControlOutput>())
        }
        ToolName::QueueAdd => (schema::of_input::<QueueArguments>(), schema::of_output::<QueueOutput>()),
        ToolName::Profile => (schema::of_input::<ProfileArguments>(), schema::of_output::<ProfileOutput>()),
        ToolName::PlaylistsList => (schema::of_input::<ListArguments>(), schema::of_output::<ListOutput>()),
        ToolName::PlaylistGet => (schema::of_input::<GetArguments>(), schema::of_output::<GetOutput>()),
        ToolName::PlaylistCreate => {
            (schema::of_input::<CreateArguments>(), schema::of_output::<CreateOutput>())
        }
        ToolName::PlaylistAdd => (schema::of_input::<AddArguments>(), schema::of_output::<EditOutput>()),
        ToolName::PlaylistRemove => {
            (schema::of_input::<RemoveArguments>(), schema::of_output::<EditOutput>())
        }
        ToolName::PlaylistReorder => {
            (schema::of_input::<ReorderArguments>(), schema::of_output::<EditOutput>())
        }
        ToolName::PlaylistReplace => {
            (schema::of_input::<ReplaceArguments>(), schema::of_output::<EditOutput>())
        }
        ToolName::PlaylistDedupe => {
            (schema::of_input::<DedupeArguments>(), schema::of_output::<DedupeOutput>())
        }
        ToolName::PlaylistUndo => (schema::of_input::<UndoArguments>(), schema::of_output::<EditOutput>()),
        ToolName::PlaylistUpdate => {
            (schema::of_input::<UpdateArguments>(), schema::of_output::<EditOutput>())
        }
        ToolName::PlaylistDelete => {
            (schema::of_input::<DeleteArguments>(), schema::of_output::<DeleteOutput>())
        }
        ToolName::PlaylistVersions => {
            (schema::of_input::<VersionsArguments>(), schema::of_output::<VersionsOutput>())
        }
        ToolName::PlaylistDiff => (schema::of_input::<DiffArguments>(), schema::of_output::<DiffOutput>()),
        ToolName::AccountsList => (schema::of_input::<NoArguments>(), schema::of_output::<AccountsOutput>()),
        ToolName::AccountLink => (schema::of_input::<LinkArguments>(), schema::of_output::<LinkOutput>()),
        ToolName::AccountUnlink => {
            (schema::of_input::<UnlinkArguments>(), schema::of_output::<UnlinkOutput>())
        }
        ToolName::SharedQueueGet => {
            (schema::of_input::<GetQueueArguments>(), schema::of_output::<GetQueueOutput>())
        }
        ToolName::SharedQueueEdit => {
            (schema::of_input::<EditQueueArguments>(), schema::of_output::<EditQueueOutput>())
        }
        ToolName::SharedQueueCommit => {
            (schema::of_input::<CommitArguments>(), schema::of_output::<CommitOutput>())
        }
        ToolName::PreferencesGet => {
            (schema::of_input::<NoArguments>(), schema::of_output::<PreferencesOutput>())
        }
        ToolName::PreferencesSet => {
            (schema::of_patch::<SetArguments>(), schema::of_output::<PreferencesOutput>())
        }
        ToolName::PlaylistTransfer => {
            (schema::of_input::<TransferArguments>(), schema::of_output::<JobOutput>())
        }
        ToolName::JobGet => (schema::of_input::<GetJobArguments>(), schema::of_output::<JobOutput>()),
        ToolName::JobCancel => (schema::of_input::<CancelArguments>(), schema::of_output::<JobOutput>()),
        ToolName::ConsentGet => (schema::of_input::<NoArguments>(), schema::of_output::<ConsentsOutput>()),
        ToolName::ConsentSet => {
            (schema::of_input::<SetConsentArguments>(), schema::of_output::<ConsentOutput>())
        }
        ToolName::ExportMyData | ToolName::DeleteMyData => {
            (schema::of_input::<NoArguments>(), schema::of_output::<RequestOutput>())
        }
        ToolName::PrivacyRequests => {
            (schema::of_input::<NoArguments>(), schema::of_output::<RequestsOutput>())
        }
        ToolName::AuditQuery => (schema::of_input::<QueryArguments>(), schema::of_output::<QueryOutput>()),
        ToolName::UsageStatus => (schema::of_input::<NoArguments>(), schema::of_output::<UsageOutput>()),
    }
}
