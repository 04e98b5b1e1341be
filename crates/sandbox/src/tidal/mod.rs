//! Tidal's API v2 (JSON:API) as a third party may use it, and its token endpoint.

mod attributes;
mod caller;
mod catalogue;
mod collection;
mod compound;
mod cursor;
mod failure;
mod idempotency;
mod include;
mod items;
mod mixes;
mod playlists;
mod relations;
mod search;
mod token;

use axum::Router;
use axum::extract::{Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::Value;
use stagedoor_domain::Provider;

use crate::authorize;
use crate::exchange::Query;
use crate::gate::{Gate, pass};
use crate::sandbox::Sandbox;
use caller::Caller;
use include::Kind;

pub(crate) use failure::Failure;
pub(crate) use idempotency::{Idempotency, Reservation, reserve};

/// JSON:API's media type (JSON:API 1.1 §"Media type").
pub(crate) const MEDIA_TYPE: &str = "application/vnd.api+json";

pub(crate) fn router(sandbox: &Sandbox) -> Router {
    let gate = Gate { sandbox: sandbox.clone(), provider: Provider::Tidal };
    let mut router = Router::new()
        .route("/auth/v1/oauth2/token", post(token::token))
        .route("/auth/v1/oauth2/revoke", post(token::revoke))
        .route("/login/authorize", authorize::routes(Provider::Tidal))
        .route("/v2/searchResults", get(search::search))
        .route("/v2/tracks", get(catalogue::tracks))
        .route("/v2/tracks/{id}", get(catalogue::track))
        .route("/v2/albums", get(catalogue::albums))
        .route("/v2/albums/{id}", get(catalogue::album))
        .route("/v2/artists", get(catalogue::artists))
        .route("/v2/artists/{id}", get(catalogue::artist))
        .route("/v2/playlists", get(playlists::list).post(playlists::create))
        .route("/v2/playlists/{id}", get(playlists::read).patch(playlists::change).delete(playlists::delete))
        .route(
            "/v2/playlists/{id}/relationships/items",
            get(items::list).post(items::add).patch(items::reorder).delete(items::remove),
        )
        .route("/v2/users/{id}", get(collection::user));
    for kind in collection::KINDS {
        router = router
            .route(&format!("/v2/{}/{{id}}", kind.name()), collection::routes(kind))
            .route(&format!("/v2/{}/{{id}}/relationships/items", kind.name()), collection::item_routes(kind));
    }
    for kind in [Kind::UserDailyMixes, Kind::UserDiscoveryMixes, Kind::UserNewReleaseMixes] {
        router =
            router.route(&format!("/v2/{}/{{id}}", kind.name()), collection::mix_routes(kind, None)).route(
                &format!("/v2/{}/{{id}}/relationships/items", kind.name()),
                collection::mix_routes(kind, Some("items")),
            );
    }
    for name in ["albums", "artists", "playlists", "topHits", "tracks", "videos"] {
        let handler = async move |State(sandbox): State<Sandbox>,
                                  caller: Caller,
                                  Path(id): Path<String>,
                                  query: Query| {
            search::relationship(name, &sandbox, &caller, &id, &query)
        };
        router = router.route(&format!("/v2/searchResults/{{id}}/relationships/{name}"), get(handler));
    }
    for (kind, name) in [
        (Kind::Tracks, "albums"),
        (Kind::Tracks, "artists"),
        (Kind::Tracks, "radio"),
        (Kind::Tracks, "similarTracks"),
        (Kind::Albums, "artists"),
        (Kind::Albums, "items"),
        (Kind::Albums, "similarAlbums"),
        (Kind::Artists, "albums"),
        (Kind::Artists, "radio"),
        (Kind::Artists, "similarArtists"),
        (Kind::Artists, "tracks"),
        (Kind::Playlists, "owners"),
    ] {
        let handler = async move |State(sandbox): State<Sandbox>,
                                  caller: Caller,
                                  Path(id): Path<String>,
                                  query: Query| {
            catalogue::relationship(kind, name, &sandbox, &caller, &id, &query)
        };
        router = router.route(&format!("/v2/{}/{{id}}/relationships/{name}", kind.name()), get(handler));
    }
    router
        .fallback(async || Failure::of_status(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Failure::of_status(StatusCode::METHOD_NOT_ALLOWED))
        .layer(from_fn_with_state(gate, pass))
        .with_state(sandbox.clone())
}

fn document(status: StatusCode, body: &Value) -> Response {
    crate::exchange::json(status, MEDIA_TYPE, body)
}
