//! Answers as a stream of server-sent events on the POST itself: notifications first, the result last.
//! Dropping the stream drops the call, which is how a client cancels it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often a comment keeps an idle stream open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A call that ends in `T`.
pub(crate) type Ending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What came first: the end of the call, or something to stream.
pub(crate) enum First<T> {
    /// The call ended without a notification.
    Ended(T),
    /// The call goes on; its stream begins with this notification.
    Streaming(Value, Ending<T>),
}

/// Waits for the first notification or the end.
pub(crate) async fn first<T: Send + 'static>(
    mut answer: Ending<T>,
    notifications: &mut mpsc::Receiver<Value>,
) -> First<T> {
    tokio::select! {
        biased;
        Some(notification) = notifications.recv() => First::Streaming(notification, answer),
        ended = &mut answer => match notifications.try_recv() {
            // The call sent and ended without waiting in between.
            Ok(notification) => First::Streaming(notification, Box::pin(std::future::ready(ended))),
            Err(_) => First::Ended(ended),
        },
    }
}

/// The response whose body is the notifications as they come, then the answer.
pub(crate) fn response(
    first: Option<Value>,
    notifications: mpsc::Receiver<Value>,
    answer: Ending<Vec<u8>>,
    extra: HeaderMap,
) -> Response {
    let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep_alive.reset();
    let state = State { first, notifications, answer: Some(answer), ended: None, keep_alive };
    let events = stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        Some((Ok::<_, Infallible>(event), state))
    });
    let mut response = Response::new(Body::from_stream(events));
    *response.headers_mut() = extra;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

struct State {
    first: Option<Value>,
    notifications: mpsc::Receiver<Value>,
    answer: Option<Ending<Vec<u8>>>,
    ended: Option<Vec<u8>>,
    keep_alive: tokio::time::Interval,
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(event(first.to_string().as_bytes()));
        }
        while let Some(answer) = &mut self.answer {
            tokio::select! {
                biased;
                Some(notification) = self.notifications.recv() => {
                    return Some(event(notification.to_string().as_bytes()));
                }
                body = answer => {
                    self.ended = Some(body);
                    self.answer = None;
                }
                _ = self.keep_alive.tick() => return Some(Bytes::from_static(b": keep-alive\n\n")),
            }
        }
        if let Ok(notification) = self.notifications.try_recv() {
            return Some(event(notification.to_string().as_bytes()));
        }
        self.ended.take().map(|body| event(&body))
    }
}

/// One event (WHATWG HTML §9.2); JSON text has no line breaks of its own.
fn event(data: &[u8]) -> Bytes {
    [b"event: message\ndata: ", data, b"\n\n"].concat().into()
}
