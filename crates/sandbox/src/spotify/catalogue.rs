//! Tracks, albums and artists by id.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use stagedoor_domain::Provider;

use super::caller::{Caller, Id};
use super::paging::Window;
use super::render::{Painter, album_type};
use super::{Failure, ok};
use crate::catalogue::Album;
use crate::exchange::{Origin, Query};
use crate::sandbox::Sandbox;

pub(super) async fn track(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let painter = painter(&sandbox, &caller, &origin, &query);
    let track = painter.catalogue.track(&id).ok_or_else(|| Failure::not_found("Resource not found"))?;
    Ok(ok(StatusCode::OK, &painter.track(track)))
}

pub(super) async fn album(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let painter = painter(&sandbox, &caller, &origin, &query);
    let album = painter.catalogue.album(&id).ok_or_else(|| Failure::not_found("Resource not found"))?;
    Ok(ok(StatusCode::OK, &painter.album(album, first_tracks(&painter, album))))
}

pub(super) async fn album_tracks(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let window = Window::of(&query, 20, (1, 50), usize::MAX)?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let album = painter.catalogue.album(&id).ok_or_else(|| Failure::not_found("Resource not found"))?;
    Ok(ok(StatusCode::OK, &tracks_page(&painter, album, window, &query)))
}

pub(super) async fn artist(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let painter = painter(&sandbox, &caller, &origin, &query);
    let artist = painter.catalogue.artist(&id).ok_or_else(|| Failure::not_found("Resource not found"))?;
    Ok(ok(StatusCode::OK, &painter.artist(artist)))
}

pub(super) async fn artist_albums(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let (usual, most) = if caller.is_extended() { (20, 50) } else { (5, 10) };
    let window = Window::of(&query, usual, (0, most), usize::MAX)?;
    let groups = query.list("include_groups");
    if groups.iter().any(|group| !["album", "single", "compilation", "appears_on"].contains(group)) {
        return Err(Failure::bad("Invalid include_groups"));
    }
    let painter = painter(&sandbox, &caller, &origin, &query);
    let artist = painter.catalogue.artist(&id).ok_or_else(|| Failure::not_found("Resource not found"))?;
    let albums: Vec<&Album> = artist
        .albums
        .iter()
        .map(|at| &painter.catalogue.albums[*at])
        .filter(|album| groups.is_empty() || groups.contains(&album_type(album.kind)))
        .collect();
    let items = window.slice(&albums).iter().map(|album| painter.discography_album(album)).collect();
    let url = format!("{}/artists/{id}/albums", painter.api);
    Ok(ok(StatusCode::OK, &window.page(&url, &query, albums.len(), items)))
}

pub(super) fn painter<'a>(
    sandbox: &'a Sandbox,
    caller: &Caller,
    origin: &Origin,
    query: &Query,
) -> Painter<'a> {
    let country = caller.0.account.as_ref().map(|account| account.country.as_str());
    Painter::new(sandbox.songs(Provider::Spotify), origin, query, country)
}

/// The page of tracks that an album carries.
pub(super) fn first_tracks(painter: &Painter<'_>, album: &Album) -> Value {
    tracks_page(painter, album, Window { limit: 50, offset: 0 }, &Query::default())
}

fn tracks_page(painter: &Painter<'_>, album: &Album, window: Window, query: &Query) -> Value {
    let items = window
        .slice(&album.tracks)
        .iter()
        .map(|at| painter.simple_track(&painter.catalogue.tracks[*at]))
        .collect();
    window.page(&format!("{}/albums/{}/tracks", painter.api, album.id), query, album.tracks.len(), items)
}
