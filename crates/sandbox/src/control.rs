//! `/_sandbox`: set-up, faults and counters over HTTP, for tests in other processes and languages.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use crate::faults::{FaultId, FaultRule};
use crate::journal::LoggedRequest;
use crate::sandbox::Sandbox;
use crate::tokens::Grant;

pub(crate) fn router(sandbox: &Sandbox) -> Router {
    Router::new()
        .route("/faults", get(list_faults).post(push_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/requests", get(counts).delete(reset))
        .route("/log", get(log))
        .route("/apps", post(register_app))
        .route("/accounts", post(create_account))
        .route("/grants", post(grant))
        .route("/expire/{provider}", post(expire))
        .with_state(sandbox.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApp {
    provider: Provider,
    client_id: String,
    client_secret: String,
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

async fn log(State(sandbox): State<Sandbox>) -> Json<Vec<LoggedRequest>> {
    Json(sandbox.request_log())
}

async fn register_app(State(sandbox): State<Sandbox>, Json(app): Json<NewApp>) -> StatusCode {
    sandbox.register_app(app.provider, &app.client_id, &app.client_secret);
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
