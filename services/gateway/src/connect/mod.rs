//! The pages on which a person agrees to link an account. Reads what browsers send and writes what they get; what
//! linking means is `stagedoor_tools::Linking`'s, and what all pages share is in `pages`.

mod ending;
mod failures;
mod form;
mod steps;
mod views;
mod visit;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use self::visit::{Step, Visit};
use crate::pages::{SlugAnd, only};
use crate::state::AppState;

/// `/t/{tenant}/connect/{token}`: the question, and the answer to it.
pub(crate) fn consent() -> MethodRouter<Arc<AppState>> {
    only(on(MethodFilter::GET, ask).on(MethodFilter::POST, answer), Step::Done, "GET, POST")
}

/// `/t/{tenant}/connect/callback/{provider}`: where the provider sends the person back to.
pub(crate) fn callback() -> MethodRouter<Arc<AppState>> {
    only(on(MethodFilter::GET, come_back), Step::Done, "GET")
}

/// `/t/{tenant}/connect/done`: the end, which can be loaded again.
pub(crate) fn done() -> MethodRouter<Arc<AppState>> {
    only(on(MethodFilter::GET, end), Step::Done, "GET")
}

async fn ask(State(state): State<Arc<AppState>>, path: SlugAnd, request: Request) -> Response {
    let (visit, token, _) = Visit::begin(state, Step::Consent, path, request);
    visit.answer(Box::pin(steps::ask(&visit, &token))).await
}

async fn answer(State(state): State<Arc<AppState>>, path: SlugAnd, request: Request) -> Response {
    let (visit, token, body) = Visit::begin(state, Step::Decision, path, request);
    visit.answer(Box::pin(steps::decide(&visit, &token, body))).await
}

async fn come_back(State(state): State<Arc<AppState>>, path: SlugAnd, request: Request) -> Response {
    let (visit, provider, _) = Visit::begin(state, Step::Callback, path, request);
    visit.answer(Box::pin(steps::come_back(&visit, &provider))).await
}

async fn end(
    State(state): State<Arc<AppState>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let path = path.map(|Path(slug)| Path((slug, String::new())));
    let (visit, ..) = Visit::begin(state, Step::Done, path, request);
    visit.answer(async { steps::done(&visit) }).await
}
