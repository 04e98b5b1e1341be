//! The pages on which a person agrees to link an account: plain HTML, no script. Reads what browsers send and writes
//! what they get; what linking means is `stagedoor_tools::Linking`'s. The addresses hold secrets and are never logged.

mod cookies;
mod ending;
mod failures;
mod form;
mod page;
mod steps;
mod views;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::header::{ALLOW, HeaderValue};
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_storage::Store;
use stagedoor_tools::Linking;
use url::Url;

use self::page::Manners;
use self::visit::{Step, Visit};
use crate::state::AppState;

/// What the link pages need besides what every handler shares.
#[derive(Debug)]
pub struct LinkPages {
    store: Store,
    linking: Arc<Linking>,
    /// The origin of the public address, as browsers write it into `Origin`.
    origin: String,
    /// What stands before every path in the public address; empty for most.
    prefix: String,
    manners: Manners,
    body_timeout: Duration,
    deadline: Duration,
}

impl LinkPages {
    /// The pages of a gateway that people reach at `public_url`. A form must arrive within `body_timeout`, and a page
    /// is answered within `deadline`.
    pub fn new(
        store: Store,
        linking: Arc<Linking>,
        public_url: &Url,
        body_timeout: Duration,
        deadline: Duration,
    ) -> Self {
        Self {
            store,
            linking,
            origin: public_url.origin().ascii_serialization(),
            prefix: public_url.path().trim_end_matches('/').to_owned(),
            manners: Manners { secure: public_url.scheme() == "https" },
            body_timeout,
            deadline,
        }
    }
}

type Slug = Result<Path<String>, PathRejection>;
type SlugAnd = Result<Path<(String, String)>, PathRejection>;

/// `/t/{tenant}/connect/{token}`: the question, and the answer to it.
pub(crate) fn consent() -> MethodRouter<Arc<AppState>> {
    only(on(MethodFilter::GET, ask).on(MethodFilter::POST, answer), "GET, POST")
}

/// `/t/{tenant}/connect/callback/{provider}`: where the provider sends the person back to.
pub(crate) fn callback() -> MethodRouter<Arc<AppState>> {
    only(on(MethodFilter::GET, come_back), "GET")
}

/// `/t/{tenant}/connect/done`: the end, which can be loaded again.
pub(crate) fn done() -> MethodRouter<Arc<AppState>> {
    only(on(MethodFilter::GET, end), "GET")
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

async fn end(State(state): State<Arc<AppState>>, path: Slug, request: Request) -> Response {
    let path = path.map(|Path(slug)| Path((slug, String::new())));
    let (visit, ..) = Visit::begin(state, Step::Done, path, request);
    visit.answer(async { steps::done(&visit) }).await
}

/// Refuses every other method. `HEAD` too, which routers answer as they answer `GET`: a callback works once.
fn only(methods: MethodRouter<Arc<AppState>>, allowed: &'static str) -> MethodRouter<Arc<AppState>> {
    let refuse = move |State(state): State<Arc<AppState>>, request: Request| async move {
        let (visit, ..) = Visit::begin(state, Step::Done, Ok(Path(Default::default())), request);
        let error = PublicError::new(ErrorCode::MethodNotAllowed, "The page does not know this method.");
        let mut response = visit.answer(async { Err(error) }).await;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        response
    };
    methods.on(MethodFilter::HEAD, refuse).fallback(refuse)
}
