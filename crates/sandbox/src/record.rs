//! Exchanges with both APIs written to a file, one JSON object a line, for checks by other programs. Token endpoints
//! are left out, and so is whatever header could hold a secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use crate::model::AppMode;

/// Sandboxes of this process that record, for the names of their files.
static COUNT: AtomicU64 = AtomicU64::new(0);
const MAX_ANSWER: usize = 16 << 20;

/// The file of one sandbox.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<File>);

/// A request whose answer is awaited. If there is none, or none that the API would give, the line says `null`.
#[derive(Debug)]
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    line: Value,
}

impl Recorder {
    /// A new file in `folder`, which is made if it is not there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}.jsonl", std::process::id());
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(name))
            .map(|file| Self(Mutex::new(file)))
    }

    /// Begins the record of a request; `None` for anything but the APIs.
    pub(crate) fn begin(
        self: &Arc<Self>,
        (provider, mode): (Provider, AppMode),
        operation: &str,
        parts: &Parts,
        body: &Bytes,
    ) -> Option<Recording> {
        let path = parts.uri.path();
        if !path.starts_with("/v1/") && !path.starts_with("/v2/") {
            return None;
        }
        let line = json!({
            "provider": provider,
            "mode": mode,
            "operation": operation,
            "method": parts.method.as_str(),
            "path": path,
            "query": parts.uri.query(),
            "headers": headers(&parts.headers),
            "body": String::from_utf8_lossy(body),
            "answer": null,
        });
        Some(Recording { recorder: Arc::clone(self), line })
    }
}

impl Recording {
    /// Records the answer and hands it on.
    pub(crate) async fn answered(mut self, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, MAX_ANSWER).await else {
            // Only faults on script answer more than that, and these are not recorded.
            return Response::builder()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .body(Body::empty())
                .unwrap_or_default();
        };
        self.line["answer"] = json!({
            "status": parts.status.as_u16(),
            "headers": headers(&parts.headers),
            "body": String::from_utf8_lossy(&body),
        });
        Response::from_parts(parts, Body::from(body))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // In one piece, so that a process that is killed leaves whole lines.
        let line = format!("{}\n", self.line);
        let mut file = self.recorder.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!(%error, "an exchange was not recorded");
        }
    }
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| ![AUTHORIZATION, COOKIE, SET_COOKIE].contains(name))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
