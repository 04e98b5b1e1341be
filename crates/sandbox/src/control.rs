//! `/_sandbox`: set-up, faults and counters over HTTP, for tests in other processes and languages.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use crate::faults::{FaultId, FaultRule};
use crate::journal::LoggedRequest;
use crate::model::{AppMode, Plan};
use crate::player::Device;
use crate::quota::{RequestQuota, Traffic};
use crate::sandbox::Sandbox;
use crate::tokens::Grant;

pub(crate) fn router(sandbox: &Sandbox) -> Router {
    Router::new()
        .route("/faults", get(list_faults).post(push_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/requests", get(counts).delete(reset))
        .route("/token_requests", get(token_requests))
        .route("/quota/{provider}/{client_id}", put(limit_requests).delete(unlimit_requests))
        .route("/traffic/{provider}/{client_id}", get(traffic))
        .route("/log", get(log))
        .route("/apps", post(register_app))
        .route("/accounts", post(create_account))
        .route("/grants", post(grant))
        .route("/expire/{provider}", post(expire))
        .route("/revoke", post(revoke))
        .route("/issuer/{provider}", put(send_issuer))
        .route("/mode/{provider}/{client_id}", put(set_mode))
        .route("/plan/{provider}/{account_id}", put(set_plan))
        .route("/devices/{account_id}", get(list_devices).put(set_devices))
        .route("/playing/{account_id}", put(play).delete(stop_playing))
        .with_state(sandbox.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApp {
    provider: Provider,
    client_id: String,
    /// Left out for a public client.
    client_secret: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consent {
    provider: Provider,
    account_id: String,
    /// Left out for those of every client.
    client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issuer {
    issuer: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    provider: Provider,
    display_name: String,
    country: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGrant {
    provider: Provider,
    account_id: String,
    client_id: String,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Playing {
    device_id: String,
    tracks: Vec<String>,
}

async fn list_faults(State(sandbox): State<Sandbox>) -> Json<Value> {
    let rules: Vec<Value> =
        sandbox.faults().list().into_iter().map(|(id, rule)| json!({ "id": id, "rule": rule })).collect();
    Json(json!({ "faults": rules }))
}

async fn push_fault(
    State(sandbox): State<Sandbox>,
    Json(rule): Json<FaultRule>,
) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({ "id": sandbox.faults().push(rule) })))
}

async fn clear_faults(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.faults().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(sandbox): State<Sandbox>, Path(id): Path<u64>) -> StatusCode {
    if sandbox.faults().remove(FaultId(id)) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn counts(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!({
        "spotify": sandbox.requests(Provider::Spotify),
        "tidal": sandbox.requests(Provider::Tidal),
    }))
}

async fn reset(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.reset_requests();
    StatusCode::NO_CONTENT
}

async fn limit_requests(
    State(sandbox): State<Sandbox>,
    Path((provider, client_id)): Path<(Provider, String)>,
    Json(quota): Json<RequestQuota>,
) -> StatusCode {
    sandbox.limit_requests(provider, &client_id, Some(quota));
    StatusCode::NO_CONTENT
}

async fn unlimit_requests(
    State(sandbox): State<Sandbox>,
    Path((provider, client_id)): Path<(Provider, String)>,
) -> StatusCode {
    sandbox.limit_requests(provider, &client_id, None);
    StatusCode::NO_CONTENT
}

async fn traffic(
    State(sandbox): State<Sandbox>,
    Path((provider, client_id)): Path<(Provider, String)>,
) -> Json<BTreeMap<String, Traffic>> {
    Json(sandbox.traffic(provider, &client_id))
}

async fn log(State(sandbox): State<Sandbox>) -> Json<Vec<LoggedRequest>> {
    Json(sandbox.request_log())
}

async fn token_requests(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!({
        "spotify": sandbox.token_requests(Provider::Spotify),
        "tidal": sandbox.token_requests(Provider::Tidal),
    }))
}

async fn register_app(State(sandbox): State<Sandbox>, Json(app): Json<NewApp>) -> Response {
    match &app.client_secret {
        Some(secret) => sandbox.register_app(app.provider, &app.client_id, secret),
        None => sandbox.register_public_app(app.provider, &app.client_id),
    }
    for redirect_uri in &app.redirect_uris {
        if let Err(error) = sandbox.register_redirect_uri(app.provider, &app.client_id, redirect_uri) {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response();
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn revoke(State(sandbox): State<Sandbox>, Json(consent): Json<Consent>) -> StatusCode {
    match &consent.client_id {
        Some(client) => sandbox.revoke_consent(consent.provider, &consent.account_id, client),
        None => sandbox.revoke(consent.provider, &consent.account_id),
    }
    StatusCode::NO_CONTENT
}

async fn send_issuer(
    State(sandbox): State<Sandbox>,
    Path(provider): Path<Provider>,
    Json(wanted): Json<Issuer>,
) -> StatusCode {
    sandbox.send_issuer(provider, wanted.issuer);
    StatusCode::NO_CONTENT
}

async fn create_account(
    State(sandbox): State<Sandbox>,
    Json(account): Json<NewAccount>,
) -> (StatusCode, Json<Value>) {
    let id = sandbox.create_account(account.provider, &account.display_name, &account.country);
    (StatusCode::CREATED, Json(json!({ "account_id": id })))
}

async fn grant(State(sandbox): State<Sandbox>, Json(wanted): Json<NewGrant>) -> (StatusCode, Json<Grant>) {
    let grant = sandbox.new_grant(wanted.provider, &wanted.account_id, &wanted.client_id, wanted.scopes);
    (StatusCode::CREATED, Json(grant))
}

async fn expire(State(sandbox): State<Sandbox>, Path(provider): Path<Provider>) -> StatusCode {
    sandbox.expire_access_tokens(provider);
    StatusCode::NO_CONTENT
}

async fn set_mode(
    State(sandbox): State<Sandbox>,
    Path((provider, client_id)): Path<(Provider, String)>,
    Json(mode): Json<AppMode>,
) -> StatusCode {
    found(sandbox.set_mode(provider, &client_id, mode))
}

async fn set_plan(
    State(sandbox): State<Sandbox>,
    Path((provider, account_id)): Path<(Provider, String)>,
    Json(plan): Json<Plan>,
) -> StatusCode {
    found(sandbox.set_plan(provider, &account_id, plan))
}

async fn list_devices(State(sandbox): State<Sandbox>, Path(account_id): Path<String>) -> Json<Vec<Device>> {
    Json(sandbox.devices(&account_id))
}

async fn set_devices(
    State(sandbox): State<Sandbox>,
    Path(account_id): Path<String>,
    Json(devices): Json<Vec<Device>>,
) -> StatusCode {
    sandbox.set_devices(&account_id, devices);
    StatusCode::NO_CONTENT
}

async fn play(
    State(sandbox): State<Sandbox>,
    Path(account_id): Path<String>,
    Json(playing): Json<Playing>,
) -> StatusCode {
    let tracks: Vec<&str> = playing.tracks.iter().map(String::as_str).collect();
    found(sandbox.play(&account_id, &playing.device_id, &tracks))
}

async fn stop_playing(State(sandbox): State<Sandbox>, Path(account_id): Path<String>) -> StatusCode {
    sandbox.stop_playing(&account_id);
    StatusCode::NO_CONTENT
}

fn found(done: bool) -> StatusCode {
    if done { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}
