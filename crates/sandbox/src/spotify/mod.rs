//! Spotify's Web API in the development mode of February 2026: the operations, and nothing of what that mode lost,
//! unless an app is in extended mode.

mod caller;
mod catalogue;
mod failure;
mod fields;
mod items;
mod library;
mod listening;
mod paging;
mod player;
mod playing;
mod playlists;
mod query;
mod render;
mod search;
mod token;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use stagedoor_domain::Provider;

use crate::authorize;
use crate::gate::{Gate, pass};
use crate::sandbox::Sandbox;

pub(crate) use failure::Failure;

pub(crate) fn router(sandbox: &Sandbox) -> Router {
    let gate = Gate { sandbox: sandbox.clone(), provider: Provider::Spotify };
    Router::new()
        .route("/accounts/api/token", post(token::token))
        .route("/accounts/authorize", authorize::routes(Provider::Spotify))
        .route("/v1/search", get(search::search))
        .route("/v1/tracks/{id}", get(catalogue::track))
        .route("/v1/albums/{id}", get(catalogue::album))
        .route("/v1/albums/{id}/tracks", get(catalogue::album_tracks))
        .route("/v1/artists/{id}", get(catalogue::artist))
        .route("/v1/artists/{id}/albums", get(catalogue::artist_albums))
        .route("/v1/me", get(playlists::me))
        .route("/v1/me/playlists", get(playlists::list).post(playlists::create))
        .route("/v1/playlists/{id}", get(playlists::read).put(playlists::change))
        .route(
            "/v1/playlists/{id}/items",
            get(items::list).post(items::add).put(items::replace_or_reorder).delete(items::remove),
        )
        .route("/v1/me/tracks", get(library::tracks))
        .route("/v1/me/albums", get(library::albums))
        .route("/v1/me/following", get(library::following))
        .route("/v1/me/library", put(library::save).delete(library::remove))
        .route("/v1/me/library/contains", get(library::contains))
        .route("/v1/me/top/artists", get(listening::top_artists))
        .route("/v1/me/top/tracks", get(listening::top_tracks))
        .route("/v1/me/player", get(player::state).put(player::transfer))
        .route("/v1/me/player/recently-played", get(listening::recently_played))
        .route("/v1/me/player/devices", get(player::devices))
        .route("/v1/me/player/queue", get(player::queue).post(player::add_to_queue))
        .route("/v1/me/player/play", put(player::play))
        .route("/v1/me/player/pause", put(player::pause))
        .route("/v1/me/player/next", post(player::next))
        .route("/v1/me/player/previous", post(player::previous))
        .route("/v1/me/player/seek", put(player::seek))
        .route("/v1/me/player/repeat", put(player::repeat))
        .route("/v1/me/player/volume", put(player::volume))
        .route("/v1/me/player/shuffle", put(player::shuffle))
        .fallback(async || Failure::not_found("Service not found"))
        .method_not_allowed_fallback(async || Failure::of_status(http::StatusCode::METHOD_NOT_ALLOWED))
        .layer(from_fn_with_state(gate, pass))
        .with_state(sandbox.clone())
}

const MEDIA_TYPE: &str = "application/json; charset=utf-8";

fn ok(status: http::StatusCode, body: &serde_json::Value) -> axum::response::Response {
    crate::exchange::json(status, MEDIA_TYPE, body)
}
