//! `playlists_list` and `playlist_get`: a person's own playlists, and one playlist's items. What is seen of a playlist is
//! remembered beside.

use std::sync::atomic::{AtomicBool, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stagedoor_cache::{DataScope, PlaylistSlot};
use stagedoor_domain::music::{Playlist, PlaylistItem};
use stagedoor_domain::{EntityKind, ErrorCode, Provider, PublicError, TenantContext, ToolName};

use super::memory::Subject;
use super::notice;
use crate::arguments::bounded;
use crate::cursor;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::passing::InPassing;
use crate::reuse::{Afterwards, Answer, Produced, Question, personal_key};

/// Whose playlists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListArguments {
    provider: Option<Provider>,
    account: Option<String>,
    /// 1-50, default 20.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Which playlist, and which part of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetArguments {
    #[serde(rename = "ref")]
    reference: String,
    account: Option<String>,
    /// 1-100, default 50.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A page of playlists.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListOutput {
    provider: Provider,
    playlists: Vec<Playlist>,
    /// Hand this in as `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// How many there are in all, where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u32>,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

/// A playlist and a page of its items.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GetOutput {
    playlist: Playlist,
    items: Vec<PlaylistItem>,
    /// Hand this in as `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

impl InPassing for ListOutput {}
impl InPassing for GetOutput {}

/// What an answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    account: String,
    id: Option<&'a str>,
    limit: u32,
    page: Option<&'a str>,
}

pub(crate) async fn list(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ListArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 20, 50)?;
    let account = desk.account(ctx, origin, arguments.provider, arguments.account.as_deref()).await?;
    let binding = account.id.to_string();
    let page = match &arguments.cursor {
        Some(sealed) => {
            Some(cursor::open(desk, ctx, origin, (ToolName::PlaylistsList, &binding), sealed).await?)
        }
        None => None,
    };
    let page = page.as_deref();
    let parameters = Parameters { account: binding.clone(), id: None, limit, page };
    let key = &personal_key(ctx, (ToolName::PlaylistsList, DataScope::Playlists), &account, &parameters)?;
    let question = Question { tool: ToolName::PlaylistsList, key, country: None };
    desk.cached(ctx, origin, question, || async {
        let found = desk
            .personal(ctx, origin, &account, |music, access| async move {
                music.playlists(ctx, &access.borrow(), limit, page).await
            })
            .await?;
        let next_cursor = match &found.next {
            Some(next) => Some(cursor::seal(desk, ctx, ToolName::PlaylistsList, &binding, next).await?),
            None => None,
        };
        Ok(ListOutput {
            provider: account.provider,
            playlists: found.items,
            next_cursor,
            total: found.total,
            cached_at: desk.now_text(),
        })
    })
    .await
}

pub(crate) async fn get(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: GetArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 50, 100)?;
    let field = ("ref", arguments.reference.as_str(), EntityKind::Playlist);
    let (playlist, account) = desk.item_and_account(ctx, origin, field, arguments.account.as_deref()).await?;
    let playlist = &playlist;
    let of = Subject { account: &account, playlist };
    let binding = format!("{} {playlist}", account.id);
    let page = match &arguments.cursor {
        Some(sealed) => {
            Some(cursor::open(desk, ctx, origin, (ToolName::PlaylistGet, &binding), sealed).await?)
        }
        None => None,
    };
    let page = page.as_deref();
    let parameters = Parameters { account: account.id.to_string(), id: Some(playlist.id()), limit, page };
    let scope = DataScope::Playlist(PlaylistSlot::of(playlist.id()));
    let key = &personal_key(ctx, (ToolName::PlaylistGet, scope), &account, &parameters)?;
    let question = Question { tool: ToolName::PlaylistGet, key, country: None };
    let outdated = &AtomicBool::new(false);
    let answer = desk
        .cached(ctx, origin, question, || async {
            let since = desk.clock.now();
            let (found, items) = desk
                .personal(ctx, origin, &account, |music, access| async move {
                    music.playlist(ctx, &access.borrow(), playlist, limit, page).await
                })
                .await?;
            if !origin.expects(found.version.as_deref()) {
                return Err(not_yet(playlist.provider()));
            }
            if page.is_none() && items.next.is_none() {
                notice::whole(desk, ctx, of, (&found, &items.items), since);
            } else if notice::outdated(desk, ctx, of, &found).await {
                outdated.store(true, Ordering::Relaxed);
            }
            let next_cursor = match &items.next {
                Some(next) => Some(cursor::seal(desk, ctx, ToolName::PlaylistGet, &binding, next).await?),
                None => None,
            };
            Ok(GetOutput { playlist: found, items: items.items, next_cursor, cached_at: desk.now_text() })
        })
        .await?;
    // A look at its versions stores what has changed elsewhere.
    let afterwards = outdated.load(Ordering::Relaxed).then(|| {
        Box::new(Afterwards {
            tool: ToolName::PlaylistVersions,
            provider: account.provider,
            arguments: json!({ "ref": playlist, "account": account.id.to_string() }),
            version: Box::default(),
        })
    });
    Ok(Answer { afterwards, ..answer })
}

/// A service that does not show a write yet gives nothing that is worth keeping. Nobody waits for it.
fn not_yet(provider: Provider) -> PublicError {
    let message = format!("{} does not show the playlist as it was just written.", provider.title());
    PublicError::new(ErrorCode::ProviderUnavailable, message)
}
