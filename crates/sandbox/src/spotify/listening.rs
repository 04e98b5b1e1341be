//! What a person listened to: most, by the account's id alone, and last, from the player.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::caller::Caller;
use super::catalogue::painter;
use super::paging::Window;
use super::playing::context_object;
use super::{Failure, ok};
use crate::catalogue::mix;
use crate::exchange::{Origin, Query};
use crate::player::Play;
use crate::sandbox::Sandbox;

/// How many favourites an account has of each kind.
const FAVOURITES: usize = 60;

pub(super) async fn top_artists(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let artists = &sandbox.songs(Provider::Spotify).artists;
    let (window, favourites) = favourites(&caller, &query, artists.len())?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let items = window.slice(&favourites).iter().map(|at| painter.artist(&artists[*at])).collect();
    let url = format!("{}/me/top/artists", painter.api);
    Ok(ok(StatusCode::OK, &window.page(&url, &query, favourites.len(), items)))
}

pub(super) async fn top_tracks(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let tracks = &sandbox.songs(Provider::Spotify).tracks;
    let (window, favourites) = favourites(&caller, &query, tracks.len())?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let items = window.slice(&favourites).iter().map(|at| painter.track(&tracks[*at])).collect();
    let url = format!("{}/me/top/tracks", painter.api);
    Ok(ok(StatusCode::OK, &window.page(&url, &query, favourites.len(), items)))
}

/// Newest first, by cursors that are Unix times in milliseconds.
pub(super) async fn recently_played(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let account = caller.account()?.account_id.clone();
    caller.needs("user-read-recently-played")?;
    let Window { limit, .. } = Window::of(&query, 20, (1, 50), 0)?;
    let (after, before) = (moment(&query, "after")?, moment(&query, "before")?);
    if after.is_some() && before.is_some() {
        return Err(Failure::bad("Only one of before and after may be given"));
    }
    let mut plays: Vec<Play> =
        sandbox.with_player(&account, |player, _, _| player.history.iter().rev().cloned().collect());
    if let Some(before) = before {
        plays.retain(|play| play.played_at < before);
    }
    if let Some(after) = after {
        plays.retain(|play| play.played_at > after);
        // The page next to the cursor, which is the oldest one.
        plays.drain(..plays.len().saturating_sub(limit));
    }
    let more = plays.len() > limit;
    plays.truncate(limit);
    let painter = painter(&sandbox, &caller, &origin, &query);
    let items: Vec<Value> = plays
        .iter()
        .filter_map(|play| {
            let mut object = json!({
                "track": painter.track(painter.catalogue.track(&play.track_id)?),
                "played_at": play.played_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            });
            if let Some(context) = &play.context {
                object["context"] = context_object(&painter, context);
            }
            Some(object)
        })
        .collect();
    let url = |query: &str| format!("{}/me/player/recently-played?{query}", painter.api);
    let mut page = json!({ "href": url(&query.with(&[])), "limit": limit, "items": items });
    if let (Some(newest), Some(oldest)) = (plays.first(), plays.last()) {
        let cursor = |play: &Play| play.played_at.timestamp_millis().to_string();
        page["cursors"] = json!({ "after": cursor(newest), "before": cursor(oldest) });
        if more {
            page["next"] = json!(url(&query.with(&[("before", cursor(oldest))])));
        }
    }
    Ok(ok(StatusCode::OK, &page))
}

/// The page asked for, and the positions of the favourites, the dearest first.
fn favourites(caller: &Caller, query: &Query, count: usize) -> Result<(Window, Vec<usize>), Failure> {
    let account = caller.account()?;
    caller.needs("user-top-read")?;
    let window = Window::of(query, 20, (1, 50), usize::MAX)?;
    let range = query.get("time_range").unwrap_or("medium_term");
    if !["short_term", "medium_term", "long_term"].contains(&range) {
        return Err(Failure::bad("Invalid time range"));
    }
    let salt =
        account.account_id.bytes().chain(range.bytes()).fold(0, |salt, byte| mix(salt ^ u64::from(byte)));
    let mut positions: Vec<usize> = (0..count).collect();
    positions.sort_by_cached_key(|at| mix(salt ^ *at as u64));
    positions.truncate(FAVOURITES);
    Ok((window, positions))
}

fn moment(query: &Query, name: &str) -> Result<Option<DateTime<Utc>>, Failure> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let milliseconds = text.parse::<i64>().map_err(|_| Failure::bad(format!("Invalid {name}")))?;
    let since = TimeDelta::try_milliseconds(milliseconds);
    let moment = since.and_then(|since| DateTime::UNIX_EPOCH.checked_add_signed(since));
    moment.map(Some).ok_or_else(|| Failure::bad(format!("Invalid {name}")))
}
