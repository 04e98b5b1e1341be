//! The player: what plays, where, and commands to it. Commands are for Premium accounts.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::caller::Caller;
use super::catalogue::painter;
use super::playing::{device_object, id_in, playing, start};
use super::playlists::json_body;
use super::{Failure, ok};
use crate::catalogue::Catalogue;
use crate::exchange::{Origin, Query};
use crate::model::Plan;
use crate::player::{Player, Refusal, Repeat};
use crate::sandbox::Sandbox;

/// How much of what comes next is told.
const SHOWN: usize = 20;

pub(super) async fn state(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let account = caller.account()?.account_id.clone();
    caller.needs("user-read-playback-state")?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let player = sandbox.with_player(&account, |player, _, _| player.clone());
    let active = player.devices.iter().find(|device| player.active.as_ref() == Some(&device.id));
    let Some(device) = active else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let mut body = playing(&painter, &sandbox, &player);
    body["device"] = device_object(device, true);
    body["repeat_state"] = json!(player.repeat);
    body["shuffle_state"] = json!(player.shuffle);
    Ok(ok(StatusCode::OK, &body))
}

pub(super) async fn devices(State(sandbox): State<Sandbox>, caller: Caller) -> Result<Response, Failure> {
    let account = caller.account()?.account_id.clone();
    caller.needs("user-read-playback-state")?;
    let devices: Vec<Value> = sandbox.with_player(&account, |player, _, _| {
        let active = player.active.as_deref();
        player.devices.iter().map(|device| device_object(device, active == Some(&device.id))).collect()
    });
    Ok(ok(StatusCode::OK, &json!({ "devices": devices })))
}

pub(super) async fn queue(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let account = caller.account()?.account_id.clone();
    caller.needs("user-read-playback-state")?;
    caller.needs("user-read-currently-playing")?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let (on, next) = sandbox.with_player(&account, |player, _, _| {
        let on = player.on.as_ref().map(|on| on.track_id.clone());
        (on, player.upcoming().take(SHOWN).map(str::to_owned).collect::<Vec<_>>())
    });
    let track = |id: &String| painter.catalogue.track(id).map(|track| painter.track(track));
    let mut body = json!({ "queue": next.iter().filter_map(track).collect::<Vec<_>>() });
    if let Some(track) = on.as_ref().and_then(track) {
        body["currently_playing"] = track;
    }
    Ok(ok(StatusCode::OK, &body))
}

pub(super) async fn transfer(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = json_body(&body)?;
    let ids = body["device_ids"].as_array().map_or(&[][..], Vec::as_slice);
    let [Value::String(device)] = ids else {
        return Err(Failure::bad("Exactly one device_id must be provided"));
    };
    let play = flag(&body["play"], "play")?;
    command(&sandbox, &caller, Some(device), |player, _, now| {
        if play == Some(true) && !player.is_playing() { player.resume(None, now) } else { Ok(()) }
    })
}

pub(super) async fn play(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = if body.is_empty() { json!({}) } else { json_body(&body)? };
    let progress_ms = match &body["position_ms"] {
        Value::Null => None,
        value => Some(value.as_u64().ok_or_else(|| Failure::bad("Invalid value for field: position_ms"))?),
    };
    let start = start(&sandbox, &caller, &body, progress_ms.unwrap_or(0))?;
    command(&sandbox, &caller, query.get("device_id"), |player, _, now| match start {
        Some(start) => {
            player.start(start, now);
            Ok(())
        }
        None => player.resume(progress_ms, now),
    })
}

pub(super) async fn pause(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    command(&sandbox, &caller, query.get("device_id"), |player, _, _| player.pause())
}

pub(super) async fn next(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    command(&sandbox, &caller, query.get("device_id"), |player, _, now| player.skip(now))
}

pub(super) async fn previous(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    command(&sandbox, &caller, query.get("device_id"), |player, _, now| player.back(now))
}

pub(super) async fn seek(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let position = number(&query, "position_ms")?;
    command(&sandbox, &caller, query.get("device_id"), |player, songs, now| player.seek(position, songs, now))
}

pub(super) async fn repeat(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let repeat = match query.get("state") {
        Some("off") => Repeat::Off,
        Some("track") => Repeat::Track,
        Some("context") => Repeat::Context,
        _ => return Err(Failure::bad("Invalid state")),
    };
    command(&sandbox, &caller, query.get("device_id"), |player, _, _| {
        player.repeat = repeat;
        Ok(())
    })
}

pub(super) async fn volume(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let percent = u8::try_from(number(&query, "volume_percent")?).ok().filter(|percent| *percent <= 100);
    let percent = percent.ok_or_else(|| Failure::bad("Invalid volume_percent"))?;
    let device = query.get("device_id").map(str::to_owned);
    command(&sandbox, &caller, device.as_deref(), |player, _, _| {
        let volume = &mut player.address(device.as_deref())?.volume_percent;
        if volume.is_none() {
            return Err(Refusal::NoVolume);
        }
        *volume = Some(percent);
        Ok(())
    })
}

pub(super) async fn shuffle(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let on = match query.get("state") {
        Some("true") => true,
        Some("false") => false,
        _ => return Err(Failure::bad("Invalid state")),
    };
    command(&sandbox, &caller, query.get("device_id"), |player, _, _| {
        player.shuffle(on);
        Ok(())
    })
}

pub(super) async fn add_to_queue(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    let uri = query.get("uri").ok_or_else(|| Failure::bad("Missing required parameter: uri"))?;
    let id = id_in(uri, "track").ok_or_else(|| Failure::bad(format!("Invalid uri: {uri}")))?;
    if sandbox.songs(Provider::Spotify).track(id).is_none() {
        return Err(Failure::not_found("Resource not found"));
    }
    command(&sandbox, &caller, query.get("device_id"), |player, _, _| {
        player.add(id.to_owned());
        Ok(())
    })
}

/// Scope, plan, device, and then the command itself.
fn command(
    sandbox: &Sandbox,
    caller: &Caller,
    device: Option<&str>,
    run: impl FnOnce(&mut Player, &Catalogue, chrono::DateTime<chrono::Utc>) -> Result<(), Refusal>,
) -> Result<Response, Failure> {
    let account = caller.account()?;
    caller.needs("user-modify-playback-state")?;
    if account.plan == Plan::Free {
        return Err(Failure::of_player(StatusCode::FORBIDDEN, "Premium required", "PREMIUM_REQUIRED"));
    }
    let obeyed = sandbox.command_player(&account.account_id, |player, songs, now| {
        player.address(device)?;
        run(player, songs, now)
    });
    match obeyed {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(Refusal::NoActiveDevice) => {
            Err(Failure::of_player(StatusCode::NOT_FOUND, "No active device found", "NO_ACTIVE_DEVICE"))
        }
        Err(Refusal::UnknownDevice) => Err(Failure::not_found("Device not found")),
        Err(Refusal::NoVolume) => Err(Failure::of_player(
            StatusCode::FORBIDDEN,
            "Cannot control device volume",
            "VOLUME_CONTROL_DISALLOW",
        )),
        Err(Refusal::Restricted) => {
            Err(Failure::of_player(StatusCode::FORBIDDEN, "Restriction violated", "UNKNOWN"))
        }
    }
}

fn number(query: &Query, name: &str) -> Result<u64, Failure> {
    let text = query.get(name).ok_or_else(|| Failure::bad(format!("Missing required parameter: {name}")))?;
    text.parse().map_err(|_| Failure::bad(format!("Invalid {name}")))
}

fn flag(value: &Value, name: &str) -> Result<Option<bool>, Failure> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        _ => Err(Failure::bad(format!("Invalid value for field: {name}"))),
    }
}
