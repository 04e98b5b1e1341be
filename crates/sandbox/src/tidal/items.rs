//! A playlist's items: added and removed at most 50 at a time, moved at most 20 at a time, told apart by item id.

use std::collections::HashSet;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::caller::{Caller, allow_filters, identifiers, payload};
use super::catalogue::{library, page_of};
use super::include::Kind;
use super::playlists::{done, write_to};
use super::relations::{Library, playlist_item};
use super::{Failure, document};
use crate::exchange::Query;
use crate::playlist::{Entry, MAX_ENTRIES, Other, Playlist, VIDEO};
use crate::sandbox::Sandbox;
use crate::text::fold;

const MOST_ADDED: usize = 50;
const MOST_REMOVED: usize = 50;
const MOST_MOVED: usize = 20;

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    allow_filters(&query, &["filter[query]"])?;
    sandbox.read(|model| {
        let library = library(&sandbox, model, &caller);
        let playlist = library.playlist(&id).ok_or_else(Failure::not_found)?;
        let mut entries: Vec<&Entry> = playlist.entries.iter().collect();
        if let Some(text) = query.get("filter[query]") {
            let wanted = fold(text);
            entries.retain(|entry| sort_text(library, entry, "title").contains(&wanted));
        }
        sort(library, &mut entries, query.get("sort").unwrap_or("itemIndex"))?;
        let all: Vec<_> = entries.into_iter().map(playlist_item).collect();
        page_of(library, Kind::Playlists, &id, "items", &all, &query)
    })
}

pub(super) async fn add(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = payload(&body)?;
    let named = identifiers(&body, MOST_ADDED, &["tracks", "videos"])?;
    let now = sandbox.now();
    let added_by = caller.account()?.account_id.clone();
    let (mut entries, mut skipped) = (Vec::new(), Vec::new());
    for (item, track_id) in named {
        let kind = item["type"].as_str().unwrap_or_default();
        let video = (kind == "videos" && track_id == VIDEO).then_some(Other::Video);
        let known = kind == "tracks" && sandbox.songs(Provider::Tidal).track(track_id).is_some();
        if known || video.is_some() {
            let item_id = sandbox.random_uuid();
            let entry = Entry::track(item_id, track_id, added_at(item, now)?, &added_by);
            entries.push(Entry { other: video, ..entry });
        } else {
            skipped.push(json!({ "id": track_id, "type": kind, "reason": "NOT_FOUND" }));
        }
    }
    let added: Vec<Value> = entries.iter().map(|entry| playlist_item(entry).to_json()).collect();
    write_to(&sandbox, &caller, &id, |playlist| {
        if playlist.entries.len() + entries.len() > MAX_ENTRIES {
            return Err(Failure::bad("The playlist is full"));
        }
        let position = position_before(playlist, &body)?.unwrap_or(playlist.entries.len());
        playlist.entries.splice(position..position, entries);
        Ok(())
    })?;
    let links = json!({ "self": format!("/playlists/{id}/relationships/items") });
    Ok(document(StatusCode::OK, &json!({ "data": added, "links": links, "meta": { "skipped": skipped } })))
}

pub(super) async fn remove(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = payload(&body)?;
    let gone = item_ids(&body, MOST_REMOVED)?;
    write_to(&sandbox, &caller, &id, |playlist| {
        check_all_held(playlist, &gone)?;
        playlist.entries.retain(|entry| !gone.contains(&entry.item_id.as_str()));
        Ok(())
    })?;
    Ok(done(&format!("/playlists/{id}/relationships/items")))
}

/// Moves items, in the order named, before `meta.positionBefore`, or to the end.
pub(super) async fn reorder(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = payload(&body)?;
    let named = item_ids(&body, MOST_MOVED)?;
    write_to(&sandbox, &caller, &id, |playlist| {
        check_all_held(playlist, &named)?;
        if body["meta"]["positionBefore"].as_str().is_some_and(|before| named.contains(&before)) {
            return Err(Failure::bad("meta.positionBefore must not be one of the items moved"));
        }
        let (mut moved, rest): (Vec<Entry>, Vec<Entry>) =
            playlist.entries.drain(..).partition(|entry| named.contains(&entry.item_id.as_str()));
        moved.sort_by_key(|entry| named.iter().position(|item_id| *item_id == entry.item_id));
        playlist.entries = rest;
        let position = position_before(playlist, &body)?.unwrap_or(playlist.entries.len());
        playlist.entries.splice(position..position, moved);
        Ok(())
    })?;
    Ok(done(&format!("/playlists/{id}/relationships/items")))
}

fn item_ids(body: &Value, most: usize) -> Result<Vec<&str>, Failure> {
    identifiers(body, most, &["tracks", "videos"])?
        .into_iter()
        .map(|(item, _)| {
            item["meta"]["itemId"].as_str().ok_or_else(|| Failure::bad("data.meta.itemId is required"))
        })
        .collect()
}

fn check_all_held(playlist: &Playlist, item_ids: &[&str]) -> Result<(), Failure> {
    let held: HashSet<&str> = playlist.entries.iter().map(|entry| entry.item_id.as_str()).collect();
    if item_ids.iter().all(|item_id| held.contains(item_id)) { Ok(()) } else { Err(Failure::not_found()) }
}

fn position_before(playlist: &Playlist, body: &Value) -> Result<Option<usize>, Failure> {
    match &body["meta"] {
        Value::Null => Ok(None),
        meta => {
            let before = meta["positionBefore"]
                .as_str()
                .ok_or_else(|| Failure::bad("meta.positionBefore is required"))?;
            let position = playlist.entries.iter().position(|entry| entry.item_id == before);
            position
                .map(Some)
                .ok_or_else(|| Failure::bad("meta.positionBefore is not an item of this playlist"))
        }
    }
}

pub(super) fn added_at(item: &Value, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    match item["meta"]["addedAt"].as_str() {
        None => Ok(now),
        Some(text) => DateTime::parse_from_rfc3339(text)
            .map(|time| time.to_utc())
            .map_err(|_| Failure::bad("data.meta.addedAt must be a date and time (RFC 3339)")),
    }
}

fn sort(library: Library<'_>, entries: &mut [&Entry], by: &str) -> Result<(), Failure> {
    let field = by.trim_start_matches('-');
    match field {
        "itemIndex" => {}
        "addedAt" => entries.sort_by_key(|entry| entry.added_at),
        "duration" => entries.sort_by_key(|entry| {
            library.catalogue.track(&entry.track_id).map_or(0, |track| track.duration_ms)
        }),
        "title" | "albums.title" | "artists.name" => {
            entries.sort_by_cached_key(|entry| sort_text(library, entry, field));
        }
        _ => return Err(Failure::parameter("sort", format!("Unknown sort: {by}"))),
    }
    if by.starts_with('-') {
        entries.reverse();
    }
    Ok(())
}

fn sort_text(library: Library<'_>, entry: &Entry, field: &str) -> String {
    let Some(track) = library.catalogue.track(&entry.track_id) else { return String::new() };
    fold(match field {
        "albums.title" => &library.catalogue.albums[track.album].title,
        "artists.name" => track.artists.first().map_or("", |at| &library.catalogue.artists[*at].name),
        _ => &track.title,
    })
}
