//! The items of a playlist: read by owner and collaborators only, written at most 100 at a time.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::caller::{Caller, Id, is_id};
use super::catalogue::painter;
use super::paging::Window;
use super::playlists::{json_body, visible, write_to};
use super::render::{Painter, snapshot_id, time};
use super::{Failure, fields, ok};
use crate::exchange::{Origin, Query};
use crate::model::Side;
use crate::playlist::{Entry, MAX_ENTRIES, Other, Playlist};
use crate::sandbox::Sandbox;

const MOST_AT_ONCE: usize = 100;

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let window = Window::of(&query, 20, (1, 50), usize::MAX)?;
    let account = caller.account()?;
    caller.needs("playlist-read-private")?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let found = sandbox.read(|model| {
        let playlist = visible(model, &id, &caller)?;
        if !playlist.is_open_to(Some(&account.account_id)) && !caller.is_extended() {
            return Err(Failure::forbidden("Forbidden"));
        }
        Ok(page(&painter, playlist, model.side(Provider::Spotify), window, &query))
    })?;
    Ok(ok(StatusCode::OK, &fields::only(found, query.get("fields"))?))
}

pub(super) async fn add(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    query: Query,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = optional_body(&body)?;
    let entries = entries_of(&sandbox, &caller, &uris(&query, &body)?.unwrap_or_default())?;
    if entries.is_empty() {
        return Err(Failure::bad("No uris provided"));
    }
    let position = match query.get("position") {
        Some(text) => Some(text.parse::<usize>().map_err(|_| Failure::bad("Invalid position"))?),
        None => index(&body, "position")?,
    };
    let snapshot = write_to(&sandbox, &caller, &id, |playlist| {
        let position = position.unwrap_or(playlist.entries.len());
        if position > playlist.entries.len() {
            return Err(Failure::bad("Index out of bounds"));
        }
        if playlist.entries.len() + entries.len() > MAX_ENTRIES {
            return Err(Failure::bad("Playlist size limit reached"));
        }
        playlist.entries.splice(position..position, entries);
        Ok(())
    })?;
    Ok(ok(StatusCode::CREATED, &json!({ "snapshot_id": snapshot })))
}

/// With `uris` the whole list is replaced, without them a range is moved.
pub(super) async fn replace_or_reorder(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    query: Query,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = optional_body(&body)?;
    let snapshot = if let Some(uris) = uris(&query, &body)? {
        let entries = entries_of(&sandbox, &caller, &uris)?;
        write_to(&sandbox, &caller, &id, |playlist| {
            check_snapshot(&body, playlist)?;
            playlist.entries = entries;
            Ok(())
        })?
    } else {
        let start = index(&body, "range_start")?.ok_or_else(|| Failure::bad("Missing range_start"))?;
        let before = index(&body, "insert_before")?.ok_or_else(|| Failure::bad("Missing insert_before"))?;
        let length = index(&body, "range_length")?.unwrap_or(1);
        write_to(&sandbox, &caller, &id, |playlist| {
            check_snapshot(&body, playlist)?;
            reorder(playlist, start, length, before)
        })?
    };
    Ok(ok(StatusCode::OK, &json!({ "snapshot_id": snapshot })))
}

/// Removes every occurrence of each URI.
pub(super) async fn remove(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = json_body(&body)?;
    let named = body["items"].as_array().ok_or_else(|| Failure::bad("No items provided"))?;
    if named.len() > MOST_AT_ONCE {
        return Err(Failure::bad("You can remove a maximum of 100 items per request."));
    }
    let mut gone = HashSet::new();
    for item in named {
        let uri = item["uri"].as_str().ok_or_else(|| Failure::bad("Missing field: uri"))?;
        gone.insert(episode_id(uri).map_or_else(|| track_id(uri), Ok)?.to_owned());
    }
    let snapshot = write_to(&sandbox, &caller, &id, |playlist| {
        check_snapshot(&body, playlist)?;
        playlist.entries.retain(|entry| entry.track_id.is_empty() || !gone.contains(&entry.track_id));
        Ok(())
    })?;
    Ok(ok(StatusCode::OK, &json!({ "snapshot_id": snapshot })))
}

/// A page of a playlist's items.
pub(super) fn page(
    painter: &Painter<'_>,
    playlist: &Playlist,
    side: &Side,
    window: Window,
    query: &Query,
) -> Value {
    let items = window.slice(&playlist.entries).iter().map(|entry| item(painter, entry, side)).collect();
    let url = format!("{}/playlists/{}/items", painter.api, playlist.id);
    window.page(&url, query, playlist.entries.len(), items)
}

fn item(painter: &Painter<'_>, entry: &Entry, side: &Side) -> Value {
    let adder = side.accounts.get(&entry.added_by).map_or("spotify", |account| &account.user_id);
    let mut item = json!({
        "added_at": time(entry.added_at),
        "added_by": painter.linked("user", adder),
        "is_local": matches!(entry.other, Some(Other::LocalFile { .. })),
    });
    // What is gone has no member at all, because the contract allows no null.
    if let Some(object) = painter.entry(entry) {
        item["item"] = object;
    }
    item
}

fn reorder(playlist: &mut Playlist, start: usize, length: usize, before: usize) -> Result<(), Failure> {
    let total = playlist.entries.len();
    if start >= total || length == 0 || start + length > total || before > total {
        return Err(Failure::bad("Index out of bounds"));
    }
    let moved: Vec<Entry> = playlist.entries.drain(start..start + length).collect();
    // `insert_before` counts positions as they were before the move.
    let target = if before > start { before.saturating_sub(length).max(start) } else { before };
    playlist.entries.splice(target..target, moved);
    Ok(())
}

fn entries_of(sandbox: &Sandbox, caller: &Caller, uris: &[String]) -> Result<Vec<Entry>, Failure> {
    if uris.len() > MOST_AT_ONCE {
        return Err(Failure::bad("You can add a maximum of 100 tracks per request."));
    }
    let added_by = caller.account()?.account_id.clone();
    let added_at = sandbox.now();
    uris.iter()
        .map(|uri| {
            let unknown = || Failure::not_found("Payload contains a non-existing ID");
            let (id, other) = match episode_id(uri) {
                Some(id) => (id, Some(Other::Episode { title: episode(sandbox, id).ok_or_else(unknown)? })),
                None => (track_id(uri)?, None),
            };
            if other.is_none() && sandbox.songs(Provider::Spotify).track(id).is_none() {
                return Err(unknown());
            }
            let entry = Entry::track(sandbox.random_uuid(), id, added_at, &added_by);
            Ok(Entry { other, ..entry })
        })
        .collect()
}

fn episode(sandbox: &Sandbox, id: &str) -> Option<String> {
    sandbox.read(|model| model.side(Provider::Spotify).episodes.get(id).cloned())
}

fn episode_id(uri: &str) -> Option<&str> {
    uri.strip_prefix("spotify:episode:").filter(|id| is_id(id))
}

fn track_id(uri: &str) -> Result<&str, Failure> {
    uri.strip_prefix("spotify:track:")
        .filter(|id| is_id(id))
        .ok_or_else(|| Failure::bad(format!("Invalid track uri: {uri}")))
}

/// The URIs in the query or, failing that, in the body; `None` where neither has the field.
fn uris(query: &Query, body: &Value) -> Result<Option<Vec<String>>, Failure> {
    if query.get("uris").is_some() {
        return Ok(Some(query.list("uris").into_iter().map(str::to_owned).collect()));
    }
    let Some(listed) = body.get("uris") else { return Ok(None) };
    let strings = listed.as_array().and_then(|listed| {
        listed.iter().map(|uri| uri.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
    });
    strings.map(Some).ok_or_else(|| Failure::bad("Invalid value for field: uris"))
}

fn index(body: &Value, name: &str) -> Result<Option<usize>, Failure> {
    match body.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .map(Some)
            .ok_or_else(|| Failure::bad(format!("Invalid value for field: {name}"))),
    }
}

fn optional_body(body: &[u8]) -> Result<Value, Failure> {
    if body.is_empty() { Ok(json!({})) } else { json_body(body) }
}

/// A snapshot id must be the newest of this playlist. The service itself would bring an older one up to date where it
/// can; here whoever sends one has lost sight of a write, and is told.
fn check_snapshot(body: &Value, playlist: &Playlist) -> Result<(), Failure> {
    match body.get("snapshot_id") {
        Some(snapshot) if snapshot.as_str() != Some(&snapshot_id(playlist)) => {
            Err(Failure::bad("Invalid snapshot id"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::reorder;
    use crate::playlist::{Entry, Playlist};

    #[test]
    fn a_range_lands_before_the_position_named() {
        let moved = |start, length, before| {
            let mut playlist = Playlist::new("p".into(), "a".into(), "n".into(), DateTime::UNIX_EPOCH);
            playlist.entries = "abcdef".chars().map(entry).collect();
            reorder(&mut playlist, start, length, before).map(|()| letters(&playlist))
        };
        assert_eq!(moved(0, 2, 4).unwrap(), "cdabef");
        assert_eq!(moved(4, 2, 1).unwrap(), "aefbcd");
        assert_eq!(moved(0, 1, 6).unwrap(), "bcdefa");
        assert_eq!(moved(1, 3, 2).unwrap(), "abcdef");
        assert!(moved(5, 2, 0).is_err());
    }

    fn entry(letter: char) -> Entry {
        let track_id = letter.to_string();
        Entry::track(String::new(), &track_id, DateTime::UNIX_EPOCH, "")
    }

    fn letters(playlist: &Playlist) -> String {
        playlist.entries.iter().map(|entry| entry.track_id.as_str()).collect()
    }
}
