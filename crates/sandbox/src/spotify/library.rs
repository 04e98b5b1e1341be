//! What a person has saved: tracks, albums, artists and playlists of others; listed apart, changed together by URIs.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::caller::{Caller, is_id};
use super::catalogue::painter;
use super::paging::Window;
use super::render::{Painter, time};
use super::{Failure, catalogue, ok};
use crate::catalogue::Catalogue;
use crate::exchange::{Origin, Query};
use crate::library::{Kept, Shelf};
use crate::model::{Collected, Side};
use crate::playlist::Playlist;
use crate::sandbox::Sandbox;

const MOST_AT_ONCE: usize = 40;

pub(super) async fn tracks(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    saved(&sandbox, &caller, Shelf::Tracks, &origin, &query, |painter, id| {
        Some(("track", painter.track(painter.catalogue.track(id)?)))
    })
}

pub(super) async fn albums(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    saved(&sandbox, &caller, Shelf::Albums, &origin, &query, |painter, id| {
        let album = painter.catalogue.album(id)?;
        Some(("album", painter.album(album, catalogue::first_tracks(painter, album))))
    })
}

/// Artists, newest first, by cursor.
pub(super) async fn following(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let account = caller.account()?;
    caller.needs("user-follow-read")?;
    if query.get("type") != Some("artist") {
        return Err(Failure::bad("Invalid type"));
    }
    let Window { limit, .. } = Window::of(&query, 20, (1, 50), 0)?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let all = newest_first(&sandbox, &account.account_id, Shelf::Artists);
    let start = match query.get("after") {
        None => 0,
        Some(after) => all.iter().position(|kept| kept.id == after).map_or(all.len(), |at| at + 1),
    };
    let page = &all[start..(start + limit).min(all.len())];
    let url = |query: &str| format!("{}/me/following?{query}", painter.api);
    let mut artists = json!({
        "href": url(&query.with(&[])),
        "limit": limit,
        "total": all.len(),
        "cursors": {},
        "items": page
            .iter()
            .filter_map(|kept| painter.catalogue.artist(&kept.id))
            .map(|artist| painter.artist(artist))
            .collect::<Vec<_>>(),
    });
    if let Some(last) = page.last().filter(|_| start + limit < all.len()) {
        artists["cursors"] = json!({ "after": last.id });
        artists["next"] = json!(url(&query.with(&[("after", last.id.clone())])));
    }
    Ok(ok(StatusCode::OK, &json!({ "artists": artists })))
}

pub(super) async fn save(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let (account, named) = named(&sandbox, &caller, &query, Item::scopes_to_write)?;
    let now = sandbox.now();
    sandbox.write(|model| {
        let side = model.side_mut(Provider::Spotify);
        for item in named {
            match item {
                Item::Kept(shelf, id) => {
                    side.libraries.entry(account.clone()).or_default().put(shelf, &id, now);
                }
                Item::Playlist(id) => follow(side, &account, id, now),
            }
        }
    });
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn remove(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let (account, named) = named(&sandbox, &caller, &query, Item::scopes_to_write)?;
    sandbox.write(|model| {
        let side = model.side_mut(Provider::Spotify);
        for item in named {
            match item {
                Item::Kept(shelf, id) => {
                    side.libraries.entry(account.clone()).or_default().take(shelf, &id);
                }
                Item::Playlist(id) => {
                    if let Some(own) = side.playlists.get_mut(&id).filter(|own| own.owner == account) {
                        own.forsaken = true;
                    }
                    let collected = side.collections.entry(account.clone()).or_default();
                    collected.retain(|entry| entry.playlist_id != id);
                }
            }
        }
    });
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn contains(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let (account, named) = named(&sandbox, &caller, &query, Item::scopes_to_read)?;
    let held: Vec<bool> = sandbox.read(|model| {
        let side = model.side(Provider::Spotify);
        let holds = |item: &Item| match item {
            Item::Kept(shelf, id) => {
                side.libraries.get(&account).is_some_and(|library| library.holds(*shelf, id))
            }
            Item::Playlist(id) => side.playlist(id).is_some_and(|playlist| lists(side, playlist, &account)),
        };
        named.iter().map(holds).collect()
    });
    Ok(ok(StatusCode::OK, &json!(held)))
}

/// Whether a playlist is in the account's library: its own, one that it may write to, one that it follows.
pub(super) fn lists(side: &Side, playlist: &Playlist, account: &str) -> bool {
    if playlist.owner == account {
        return !playlist.forsaken;
    }
    playlist.is_open_to(Some(account)) || follows(side, playlist, account)
}

/// Whether the account follows someone else's playlist.
pub(super) fn follows(side: &Side, playlist: &Playlist, account: &str) -> bool {
    let collected = side.collections.get(account).into_iter().flatten();
    collected.into_iter().any(|entry| entry.playlist_id == playlist.id)
}

fn follow(side: &mut Side, account: &str, playlist_id: String, added_at: chrono::DateTime<chrono::Utc>) {
    if let Some(own) = side.playlists.get_mut(&playlist_id).filter(|own| own.owner == account) {
        own.forsaken = false;
        return;
    }
    let collected = side.collections.entry(account.to_owned()).or_default();
    if !collected.iter().any(|entry| entry.playlist_id == playlist_id) {
        collected.push(Collected { playlist_id, added_at });
    }
}

/// What a URI stands for.
enum Item {
    Kept(Shelf, String),
    Playlist(String),
}

impl Item {
    /// Any one of these is enough.
    fn scopes_to_write(&self) -> &'static [&'static str] {
        match self {
            Self::Kept(Shelf::Artists, _) => &["user-follow-modify"],
            Self::Kept(..) => &["user-library-modify"],
            Self::Playlist(_) => &["playlist-modify-public", "playlist-modify-private"],
        }
    }

    fn scopes_to_read(&self) -> &'static [&'static str] {
        match self {
            Self::Kept(Shelf::Artists, _) => &["user-follow-read"],
            Self::Kept(..) => &["user-library-read"],
            Self::Playlist(_) => &["playlist-read-private"],
        }
    }
}

/// The account, and what the query names; the scopes are checked, and that everything is there.
fn named(
    sandbox: &Sandbox,
    caller: &Caller,
    query: &Query,
    scopes: fn(&Item) -> &'static [&'static str],
) -> Result<(String, Vec<Item>), Failure> {
    let account = caller.account()?.account_id.clone();
    let uris = query.list("uris");
    if uris.is_empty() {
        return Err(Failure::bad("Missing required parameter: uris"));
    }
    if uris.len() > MOST_AT_ONCE {
        return Err(Failure::bad("Too many uris requested"));
    }
    let songs = sandbox.songs(Provider::Spotify);
    let mut named = Vec::with_capacity(uris.len());
    for uri in uris {
        let item = item(sandbox, songs, uri)?;
        if !scopes(&item).iter().any(|scope| caller.0.has_scope(scope)) {
            return Err(Failure::missing_scope());
        }
        named.push(item);
    }
    Ok((account, named))
}

fn item(sandbox: &Sandbox, songs: &Catalogue, uri: &str) -> Result<Item, Failure> {
    let mut parts = uri.splitn(3, ':');
    let (Some("spotify"), Some(kind), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Failure::bad(format!("Invalid uri: {uri}")));
    };
    if !is_id(id) {
        return Err(Failure::bad(format!("Invalid uri: {uri}")));
    }
    let known = match kind {
        "track" => songs.track(id).is_some(),
        "album" => songs.album(id).is_some(),
        "artist" => songs.artist(id).is_some(),
        "playlist" => sandbox.read(|model| model.side(Provider::Spotify).playlist(id).is_some()),
        _ => return Err(Failure::bad(format!("Unsupported uri: {uri}"))),
    };
    if !known {
        return Err(Failure::not_found("Resource not found"));
    }
    let id = id.to_owned();
    Ok(match kind {
        "track" => Item::Kept(Shelf::Tracks, id),
        "album" => Item::Kept(Shelf::Albums, id),
        "artist" => Item::Kept(Shelf::Artists, id),
        _ => Item::Playlist(id),
    })
}

fn saved(
    sandbox: &Sandbox,
    caller: &Caller,
    shelf: Shelf,
    origin: &Origin,
    query: &Query,
    paint: impl Fn(&Painter<'_>, &str) -> Option<(&'static str, Value)>,
) -> Result<Response, Failure> {
    let account = caller.account()?;
    caller.needs("user-library-read")?;
    let window = Window::of(query, 20, (1, 50), usize::MAX)?;
    let painter = painter(sandbox, caller, origin, query);
    let all = newest_first(sandbox, &account.account_id, shelf);
    let items = window
        .slice(&all)
        .iter()
        .filter_map(|kept| {
            let (name, object) = paint(&painter, &kept.id)?;
            Some(json!({ "added_at": time(kept.added_at), name: object }))
        })
        .collect();
    let name = if shelf == Shelf::Albums { "albums" } else { "tracks" };
    Ok(ok(StatusCode::OK, &window.page(&format!("{}/me/{name}", painter.api), query, all.len(), items)))
}

fn newest_first(sandbox: &Sandbox, account: &str, shelf: Shelf) -> Vec<Kept> {
    sandbox.read(|model| {
        let library = model.side(Provider::Spotify).libraries.get(account);
        library.map_or(&[][..], |library| library.shelf(shelf)).iter().rev().cloned().collect()
    })
}
