//! What the pages for people share: plain HTML without script, forms that only our own pages can send, cookies, the
//! way of one request. What a page asks and does is its own room's: `connect` links accounts, `privacy` hands out and
//! deletes data. The addresses hold secrets and are never logged.

mod cookies;
pub(crate) mod failures;
mod form;
mod message;
mod page;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::routing::{MethodFilter, MethodRouter};
use http::header::{ALLOW, HeaderValue};
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_storage::Store;
use url::Url;

use crate::state::AppState;

pub(crate) use cookies::{Jar, Purpose};
pub(crate) use form::{is_token, only_once};
pub(crate) use message::{MessageView, Removal, sentence};
pub(crate) use page::{Forms, Manners, STYLE, set_cookie};
pub(crate) use visit::{Step, Visit, unknown};

/// The part of a path after the tenant.
pub(crate) type SlugAnd = Result<Path<(String, String)>, PathRejection>;

/// What every page needs besides what every handler shares.
#[derive(Debug)]
pub struct Pages {
    pub(crate) store: Store,
    /// The origin of the public address, as browsers write it into `Origin`.
    pub(crate) origin: String,
    /// What stands before every path in the public address; empty for most.
    pub(crate) prefix: String,
    pub(crate) manners: Manners,
    pub(crate) body_timeout: Duration,
    pub(crate) deadline: Duration,
}

impl Pages {
    /// The pages of a gateway that people reach at `public_url`. A form must arrive within `body_timeout`, and a page
    /// is answered within `deadline`.
    pub fn new(store: Store, public_url: &Url, body_timeout: Duration, deadline: Duration) -> Self {
        Self {
            store,
            origin: public_url.origin().ascii_serialization(),
            prefix: public_url.path().trim_end_matches('/').to_owned(),
            manners: Manners { secure: public_url.scheme() == "https" },
            body_timeout,
            deadline,
        }
    }
}

/// Refuses every other method. `HEAD` too, which routers answer as they answer `GET`: some addresses work once.
pub(crate) fn only<S: Step>(
    methods: MethodRouter<Arc<AppState>>,
    step: S,
    allowed: &'static str,
) -> MethodRouter<Arc<AppState>> {
    let refuse = move |State(state): State<Arc<AppState>>, request: Request| async move {
        let (visit, ..) = Visit::begin(state, step, Ok(Path(Default::default())), request);
        let error = PublicError::new(ErrorCode::MethodNotAllowed, "The page does not know this method.");
        let mut response = visit.answer(async { Err(error) }).await;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        response
    };
    methods.on(MethodFilter::HEAD, refuse).fallback(refuse)
}
