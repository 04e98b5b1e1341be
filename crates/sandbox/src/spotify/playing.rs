//! What is to play and what plays: the body of a command to play read, the state and devices written.

use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::Failure;
use super::caller::{Caller, is_id};
use super::playlists::visible;
use super::render::Painter;
use crate::player::{Device, On, Player, Start};
use crate::sandbox::Sandbox;

/// What a body says to play; `None` to go on with what was paused.
pub(super) fn start(
    sandbox: &Sandbox,
    caller: &Caller,
    body: &Value,
    progress_ms: u64,
) -> Result<Option<Start>, Failure> {
    let context = body["context_uri"].as_str().map(str::to_owned);
    let tracks = match (&context, &body["uris"]) {
        (Some(_), Value::Array(_)) => {
            return Err(Failure::bad("Only one of either \"context_uri\" or \"uris\" can be specified"));
        }
        (Some(context), _) => tracks_of(sandbox, caller, context)?,
        (None, Value::Array(uris)) => uris
            .iter()
            .map(|uri| {
                let uri = uri.as_str().unwrap_or_default();
                let known = |id: &&str| sandbox.songs(Provider::Spotify).track(id).is_some();
                let id = id_in(uri, "track").filter(known);
                id.map(str::to_owned).ok_or_else(|| Failure::bad(format!("Invalid track uri: {uri}")))
            })
            .collect::<Result<_, _>>()?,
        (None, _) => return Ok(None),
    };
    if tracks.is_empty() {
        return Err(Failure::not_found("Nothing to play"));
    }
    let first = match &body["offset"] {
        Value::Null => Some(0),
        offset => match (offset["position"].as_u64(), offset["uri"].as_str()) {
            (Some(position), _) => usize::try_from(position).ok(),
            (None, Some(uri)) => tracks.iter().position(|id| id_in(uri, "track") == Some(id)),
            (None, None) => None,
        },
    };
    let first = first.filter(|first| *first < tracks.len()).ok_or_else(|| Failure::bad("Invalid offset"))?;
    Ok(Some(Start { context, tracks, first, progress_ms }))
}

/// What is on, without the device.
pub(super) fn playing(painter: &Painter<'_>, sandbox: &Sandbox, player: &Player) -> Value {
    let is_playing = player.is_playing();
    let mut body = json!({
        "timestamp": sandbox.now().timestamp_millis(),
        "is_playing": is_playing,
        "currently_playing_type": "track",
        "actions": { "disallows": if is_playing { json!({ "resuming": true }) } else { json!({ "pausing": true }) } },
    });
    if let Some(On { track_id, context, progress_ms, .. }) = &player.on {
        body["progress_ms"] = json!(progress_ms);
        if let Some(track) = painter.catalogue.track(track_id) {
            body["item"] = painter.track(track);
        }
        if let Some(context) = context {
            body["context"] = context_object(painter, context);
        }
    }
    body
}

pub(super) fn device_object(device: &Device, is_active: bool) -> Value {
    json!({
        "id": device.id,
        "is_active": is_active,
        "is_private_session": false,
        "is_restricted": device.is_restricted,
        "name": device.name,
        "type": device.kind,
        "volume_percent": device.volume_percent,
        "supports_volume": device.volume_percent.is_some(),
    })
}

/// The context that a play came from, as a link.
pub(super) fn context_object(painter: &Painter<'_>, uri: &str) -> Value {
    let mut parts = uri.splitn(3, ':').skip(1);
    let (kind, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let linked = painter.linked(kind, id);
    json!({ "type": kind, "uri": uri, "href": linked["href"], "external_urls": linked["external_urls"] })
}

/// The id in a URI of `kind`.
pub(super) fn id_in<'a>(uri: &'a str, kind: &str) -> Option<&'a str> {
    uri.strip_prefix("spotify:")?.strip_prefix(kind)?.strip_prefix(':').filter(|id| is_id(id))
}

/// The tracks of an album, an artist or a playlist.
fn tracks_of(sandbox: &Sandbox, caller: &Caller, context: &str) -> Result<Vec<String>, Failure> {
    let songs = sandbox.songs(Provider::Spotify);
    let ids = |positions: &[usize]| positions.iter().map(|at| songs.tracks[*at].id.clone()).collect();
    let missing = || Failure::not_found("Context not found");
    if let Some(id) = id_in(context, "album") {
        return Ok(ids(&songs.album(id).ok_or_else(missing)?.tracks));
    }
    if let Some(id) = id_in(context, "artist") {
        let albums = &songs.artist(id).ok_or_else(missing)?.albums;
        let all: Vec<usize> = albums.iter().flat_map(|at| songs.albums[*at].tracks.clone()).collect();
        return Ok(ids(&all));
    }
    let id = id_in(context, "playlist").ok_or_else(|| Failure::bad("Invalid context uri"))?;
    sandbox.read(|model| {
        let entries = &visible(model, id, caller)?.entries;
        let tracks = entries.iter().filter(|entry| entry.other.is_none());
        Ok(tracks.map(|entry| entry.track_id.clone()).collect())
    })
}
