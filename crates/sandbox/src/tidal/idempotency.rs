//! `Idempotency-Key`: a repeated write gets the first answer again for an hour, 409 while the first is under way,
//! 422 with another payload. Kept in memory only.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use stagedoor_domain::Provider;

use super::Failure;
use crate::exchange::header;
use crate::sandbox::Sandbox;

const KEPT: TimeDelta = TimeDelta::hours(1);
const LONGEST_KEY: usize = 128;
const MAX_ANSWER: usize = 8 << 20;

/// Every key in use, by account.
#[derive(Default)]
pub(crate) struct Idempotency {
    slots: Mutex<HashMap<(String, String), Slot>>,
}

struct Slot {
    payload: Bytes,
    taken_at: DateTime<Utc>,
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What a request's key says to do, held until the request ends.
pub(crate) enum Reservation {
    /// No key: do the work.
    Free,
    /// Answer this, do nothing.
    Answered(Box<Response>),
    /// Do the work and keep the answer.
    Held(Hold),
}

/// A key in use. If it is dropped before the answer is kept, the key is free again.
pub(crate) struct Hold {
    sandbox: Sandbox,
    key: (String, String),
    settled: bool,
}

/// Looks a write's key up, and takes it if it is free. Requests without a key or a good token pass.
pub(crate) fn reserve(sandbox: &Sandbox, parts: &Parts, body: &Bytes) -> Reservation {
    let Some(key) = header(&parts.headers, "idempotency-key").filter(|_| parts.method != Method::GET) else {
        return Reservation::Free;
    };
    let bearer = sandbox.bearer(Provider::Tidal, header(&parts.headers, AUTHORIZATION.as_str()));
    let Some(account) = bearer.ok().and_then(|bearer| bearer.account) else { return Reservation::Free };
    if key.is_empty() || key.len() > LONGEST_KEY {
        return answered(Failure::bad("Idempotency-Key must have 1 to 128 characters"));
    }
    let now = sandbox.now();
    let payload = payload(parts, body);
    let key = (account.account_id, key.to_owned());
    let mut slots = sandbox.idempotency().slots.lock().unwrap_or_else(PoisonError::into_inner);
    slots.retain(|_, slot| slot.answer.is_none() || slot.taken_at + KEPT > now);
    match slots.get(&key) {
        None => {
            slots.insert(key.clone(), Slot { payload, taken_at: now, answer: None });
            Reservation::Held(Hold { sandbox: sandbox.clone(), key, settled: false })
        }
        Some(slot) if slot.payload != payload => answered(Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "IDEMPOTENT_REQUEST_PAYLOAD_MISMATCH",
            "Idempotency key reused with a different payload",
        )),
        Some(Slot { answer: None, .. }) => answered(Failure::new(
            StatusCode::CONFLICT,
            "IDEMPOTENT_REQUEST_IN_PROGRESS",
            "Request already in progress for this idempotency key",
        )),
        Some(Slot { answer: Some(answer), .. }) => {
            Reservation::Answered(Box::new(answer.clone().into_response()))
        }
    }
}

impl Reservation {
    /// Does what the key says: the work, or the answer instead of it.
    pub(crate) async fn run(self, work: impl Future<Output = Response>) -> Response {
        match self {
            Self::Free => work.await,
            Self::Answered(answer) => *answer,
            Self::Held(hold) => hold.settle(work.await).await,
        }
    }
}

impl Hold {
    /// Keeps the answer for repetitions; an error of the server's own frees the key instead.
    async fn settle(mut self, response: Response) -> Response {
        if response.status().is_server_error() {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, MAX_ANSWER).await else {
            return Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        };
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        let mut slots = self.sandbox.idempotency().slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(&self.key) {
            slot.answer = Some(answer.clone());
        }
        drop(slots);
        self.settled = true;
        answer.into_response()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.settled {
            self.sandbox.idempotency().slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

impl Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

fn answered(failure: Failure) -> Reservation {
    Reservation::Answered(Box::new(failure.into_response()))
}

/// Method, path and body: what makes two requests the same.
fn payload(parts: &Parts, body: &Bytes) -> Bytes {
    [parts.method.as_str().as_bytes(), b" ", parts.uri.path().as_bytes(), b"\n", body].concat().into()
}
