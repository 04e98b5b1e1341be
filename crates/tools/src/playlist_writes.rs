//! `playlist_create` and `playlist_add`. What they owe the cache is in `Desk::write`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stagedoor_cache::{DataScope, PlaylistSlot};
use stagedoor_domain::music::Playlist;
use stagedoor_domain::{EntityKind, ItemRef, Provider, PublicError, TenantContext, ToolName};
use stagedoor_providers::NewPlaylist;

use crate::accounts::Account;
use crate::arguments::{invalid, item, text};
use crate::desk::Desk;
use crate::origin::Origin;
use crate::reuse::{Afterwards, Answer, Produced};

/// The most tracks of one `playlist_add`; a longer list is several calls.
const MAX_TRACKS: usize = 500;

/// The playlist to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateArguments {
    /// Its name, at most 100 characters.
    name: String,
    /// Its description, at most 300 characters.
    description: Option<String>,
    /// Whether anyone may find it; false if left out. Tidal has no private playlists: there, false is unlisted.
    public: Option<bool>,
    /// Which service; may be left out if only one account is linked.
    provider: Option<Provider>,
    /// Which linked account, by the `id` that `accounts_list` shows; needed only if a service has several.
    account: Option<String>,
}

/// What to add where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddArguments {
    /// The playlist: `spotify:playlist:ID`, `tidal:playlist:ID`, or its link.
    #[serde(rename = "ref")]
    reference: String,
    /// The tracks, in order: references or links of the same service, 1-500.
    tracks: Vec<String>,
    /// Where to insert, from 0; at the end if left out.
    position: Option<u32>,
    /// Which linked account to write through; needed only if a service has several.
    account: Option<String>,
}

/// The playlist that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CreateOutput {
    playlist: Playlist,
}

/// What was added.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AddOutput {
    /// The playlist.
    #[serde(rename = "ref")]
    reference: ItemRef,
    /// How many tracks are in now that were not before.
    added: usize,
    /// What the provider left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<SkippedTrack>,
    /// The playlist's new version, where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

/// A track that the provider left out.
#[derive(Debug, Serialize, JsonSchema)]
struct SkippedTrack {
    #[serde(rename = "ref")]
    reference: ItemRef,
    /// Why, in the provider's word.
    reason: String,
}

pub(crate) async fn create(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: CreateArguments,
) -> Produced {
    let name = text("name", &arguments.name, 100)?;
    let description = match &arguments.description {
        Some(description) if !description.trim().is_empty() => Some(text("description", description, 300)?),
        _ => None,
    };
    let account = desk.account(ctx, origin, arguments.provider, arguments.account.as_deref()).await?;
    let playlist = NewPlaylist { name, description, public: arguments.public.unwrap_or(false) };
    let written = desk
        .write(ctx, origin, (&account, DataScope::Playlists), |music, access| async move {
            music.create_playlist(ctx, &access.borrow(), &playlist, &ctx.call().to_string()).await
        })
        .await?;
    desk.fresh(&CreateOutput { playlist: written })
}

pub(crate) async fn add(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: AddArguments,
) -> Produced {
    let playlist = item("ref", &arguments.reference, EntityKind::Playlist)?;
    let (playlist, position) = (&playlist, arguments.position);
    let tracks = &*tracks(&arguments.tracks, playlist.provider())?;
    let account: Account =
        desk.account(ctx, origin, Some(playlist.provider()), arguments.account.as_deref()).await?;
    let scope = DataScope::Playlist(PlaylistSlot::of(playlist.id()));
    let written = desk
        .write(ctx, origin, (&account, scope), |music, access| async move {
            let key = ctx.call().to_string();
            music.add_to_playlist(ctx, &access.borrow(), playlist, tracks, position, &key).await
        })
        .await?;
    let skipped = written
        .skipped
        .into_iter()
        .map(|skipped| SkippedTrack { reference: skipped.item, reason: skipped.reason })
        .collect();
    let output = AddOutput {
        reference: playlist.clone(),
        added: written.added.len(),
        skipped,
        version: written.version,
    };
    let answer = desk.fresh(&output)?;
    // Whoever has added something mostly looks at what came of it. Without a version nobody can tell whether a service
    // shows it already.
    let afterwards = output.version.map(|version| {
        Box::new(Afterwards {
            tool: ToolName::PlaylistGet,
            provider: playlist.provider(),
            arguments: match &arguments.account {
                Some(account) => json!({ "ref": playlist, "account": account }),
                None => json!({ "ref": playlist }),
            },
            version: version.into(),
        })
    });
    Ok(Answer { afterwards, ..answer })
}

fn tracks(given: &[String], provider: Provider) -> Result<Vec<ItemRef>, PublicError> {
    if given.is_empty() || given.len() > MAX_TRACKS {
        return Err(invalid(format!(
            "`tracks` has {} entries, but must have 1 to {MAX_TRACKS}.",
            given.len()
        )));
    }
    let read = |(index, text): (usize, &String)| {
        let field = format!("tracks[{index}]");
        let track = item(&field, text, EntityKind::Track)?;
        if track.provider() == provider {
            return Ok(track);
        }
        Err(invalid(format!(
            "`{field}` is {track}, but the playlist is at {}; find the track there first, by its ISRC with resolve.",
            provider.title()
        )))
    };
    given.iter().enumerate().map(read).collect()
}
