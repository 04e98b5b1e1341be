//! Spotify's Web API in the development mode of February 2026: the operations, and nothing of what that mode lost.

mod caller;
mod catalogue;
mod failure;
mod fields;
mod items;
mod paging;
mod playlists;
mod query;
mod render;
mod search;
mod token;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
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
        .fallback(async || Failure::not_found("Service not found"))
        .method_not_allowed_fallback(async || Failure::of_status(http::StatusCode::METHOD_NOT_ALLOWED))
        .layer(from_fn_with_state(gate, pass))
        .with_state(sandbox.clone())
}

const MEDIA_TYPE: &str = "application/json; charset=utf-8";

fn ok(status: http::StatusCode, body: &serde_json::Value) -> axum::response::Response {
    crate::exchange::json(status, MEDIA_TYPE, body)
}
