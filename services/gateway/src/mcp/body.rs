//! The HTTP body of a POST: media types, length, and the time it may take to arrive.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use rmcp::model::ErrorCode as RpcErrorCode;
use stagedoor_domain::{ErrorCode, PublicError};

use super::headers::accepts;
use super::surface::RpcError;

/// Checks `Content-Type` and `Accept`.
pub(crate) fn check_media_types(headers: &HeaderMap) -> Result<(), RpcError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let message = format!("Content-Type is {content_type:?}, but must be \"application/json\".");
        return Err(invalid(ErrorCode::UnsupportedMediaType, message));
    }
    if accepts(headers, "application/json") {
        return Ok(());
    }
    let message = "Accept must allow application/json and text/event-stream.".to_owned();
    Err(invalid(ErrorCode::NotAcceptable, message))
}

/// Reads at most `limit` bytes within `timeout`, however slowly or in however many pieces they come.
pub(crate) async fn read(body: Body, limit: usize, timeout: Duration) -> Result<Bytes, RpcError> {
    if let Ok(collected) = tokio::time::timeout(timeout, collect(body, limit)).await {
        return collected;
    }
    let message = format!("The body did not arrive within {} s.", timeout.as_secs());
    Err(invalid(ErrorCode::BodyTimeout, message))
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, RpcError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(error = %error, "a body broke off");
            invalid(ErrorCode::InvalidRequest, "The body broke off before its end.".to_owned())
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            let message = format!("The body is longer than {limit} bytes.");
            return Err(invalid(ErrorCode::BodyTooLarge, message));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first.as_ref(), rest.as_ref()].concat().into())
}

fn invalid(code: ErrorCode, message: String) -> RpcError {
    RpcError::new(RpcErrorCode::INVALID_REQUEST, PublicError::new(code, message))
}
