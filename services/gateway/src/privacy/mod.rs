//! The pages on which a person takes a copy of their data or has it deleted, and the worker that deletes. What both mean
//! is `stagedoor_tools::Privacy`'s; what all pages share is in `pages`.

mod failures;
mod steps;
mod views;
mod visit;
pub mod worker;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use self::visit::{Step, Visit};
use crate::pages::{SlugAnd, only};
use crate::state::AppState;

/// `/t/{tenant}/privacy/{token}`: what a request is about, and the answer to it.
pub(crate) fn page() -> MethodRouter<Arc<AppState>> {
    only(on(MethodFilter::GET, look).on(MethodFilter::POST, answer), Step::Look, "GET, POST")
}

async fn look(State(state): State<Arc<AppState>>, path: SlugAnd, request: Request) -> Response {
    let (visit, token, _) = Visit::begin(state, Step::Look, path, request);
    visit.answer(Box::pin(steps::look(&visit, &token))).await
}

async fn answer(State(state): State<Arc<AppState>>, path: SlugAnd, request: Request) -> Response {
    let (visit, token, body) = Visit::begin(state, Step::Answer, path, request);
    visit.answer(Box::pin(steps::answer(&visit, &token, body))).await
}
