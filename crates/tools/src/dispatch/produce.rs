//! The table of the tools that answer at once: which use-case each one is.

use stagedoor_domain::{PublicError, TenantContext, ToolName};

use super::{Call, Dispatcher};
use crate::discovery::Way;
use crate::jobs::owned;
use crate::linking::unlink;
use crate::origin::Origin;
use crate::reuse::Produced;
use crate::{
    accounts, arguments, audit_query, consents, discovery, history, insights, items, library, listening,
    mixes, playback, playlists, preferences, profile, queues, resolve, search, search_all, usage,
};

impl Dispatcher {
    /// Runs a tool of the table: each reads its arguments and answers.
    pub(super) async fn produce(&self, ctx: &TenantContext, origin: &Origin, call: &Call<'_>) -> Produced {
        let (desk, given) = (&*self.desk, call.arguments);
        match call.tool {
            ToolName::Search => search::run(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::TrackGet => items::track(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::AlbumGet => items::album(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::ArtistGet => items::artist(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::Resolve => resolve::run(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::SearchAll => search_all::run(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::ArtistAlbums => {
                discovery::run(desk, ctx, origin, Way::Albums, arguments::read(given)?).await
            }
            ToolName::Similar => {
                discovery::run(desk, ctx, origin, Way::Similar, arguments::read(given)?).await
            }
            ToolName::Radio => discovery::run(desk, ctx, origin, Way::Radio, arguments::read(given)?).await,
            ToolName::MixesList => mixes::list(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::MixItems => mixes::items(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::LibraryList => library::list(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::LibraryContains => library::contains(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::LibrarySave => library::save(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::LibraryRemove => library::remove(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::TopItems => listening::top(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::RecentlyPlayed => listening::recent(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::HistoryStatus => Box::pin(history::status(desk, ctx, arguments::read(given)?)).await,
            ToolName::HistoryQuery => {
                Box::pin(history::query(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::Insights => Box::pin(insights::run(desk, ctx, origin, arguments::read(given)?)).await,
            ToolName::PlaybackState => playback::state(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::Devices => playback::devices(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::PlaybackControl => playback::control(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::QueueAdd => playback::queue_add(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::Profile => profile::get(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::PlaylistsList => {
                playlists::reads::list(desk, ctx, origin, arguments::read(given)?).await
            }
            ToolName::PlaylistGet => playlists::reads::get(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::PlaylistCreate => {
                Box::pin(playlists::whole::create(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistUpdate => {
                Box::pin(playlists::edits::update(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistDelete => {
                Box::pin(playlists::whole::delete(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistAdd => {
                Box::pin(playlists::edits::add(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistRemove => {
                Box::pin(playlists::edits::remove(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistReorder => {
                Box::pin(playlists::edits::reorder(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistReplace => {
                Box::pin(playlists::edits::replace(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistVersions => {
                Box::pin(playlists::history::versions(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistDiff => {
                Box::pin(playlists::history::diff(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistUndo => {
                Box::pin(playlists::edits::undo(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PlaylistDedupe => {
                Box::pin(playlists::edits::dedupe(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::AccountsList => Box::pin(accounts::list(desk, ctx, arguments::read(given)?)).await,
            ToolName::AccountUnlink => {
                Box::pin(unlink::run(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::JobGet => owned::get(desk, ctx, origin, arguments::read(given)?).await,
            ToolName::JobCancel => Box::pin(owned::cancel(desk, ctx, origin, arguments::read(given)?)).await,
            // They may ask or begin something instead of answering: `link`, `transfer`.
            ToolName::AccountLink | ToolName::PlaylistTransfer => Err(PublicError::internal()),
            ToolName::PreferencesGet => {
                Box::pin(preferences::get(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PreferencesSet => {
                Box::pin(preferences::set(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::SharedQueueGet => {
                Box::pin(queues::get(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::SharedQueueEdit => {
                Box::pin(queues::edit(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::SharedQueueCommit => {
                Box::pin(queues::commit(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::ConsentGet => Box::pin(consents::get(desk, ctx, arguments::read(given)?)).await,
            ToolName::ConsentSet => Box::pin(consents::set(desk, ctx, origin, arguments::read(given)?)).await,
            ToolName::ExportMyData => {
                Box::pin(self.privacy.export(ctx, origin, arguments::read(given)?)).await
            }
            ToolName::DeleteMyData => {
                Box::pin(self.privacy.delete(ctx, origin, arguments::read(given)?)).await
            }
            ToolName::PrivacyRequests => Box::pin(self.privacy.requests(ctx, arguments::read(given)?)).await,
            ToolName::AuditQuery => {
                Box::pin(audit_query::run(desk, ctx, origin, arguments::read(given)?)).await
            }
            ToolName::UsageStatus => usage::status(desk, ctx, origin, arguments::read(given)?).await,
        }
    }
}
