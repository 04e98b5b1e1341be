//! The floor: axum and serde and nothing else. Reads the same JSON-RPC request into types and answers with a text
//! that makes the answer as long as the gateway's.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[expect(dead_code, reason = "read because a server would, not because this one needs it")]
struct Request {
    jsonrpc: String,
    id: Value,
    method: String,
    params: Params,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read because a server would, not because this one needs it")]
struct Params {
    name: String,
    arguments: Value,
}

#[derive(Serialize)]
struct Response {
    jsonrpc: &'static str,
    id: Value,
    result: CallResult,
}

#[derive(Serialize)]
struct CallResult {
    content: [Content; 1],
    #[serde(rename = "isError")]
    is_error: bool,
}

#[derive(Serialize)]
struct Content {
    r#type: &'static str,
    text: Arc<str>,
}

/// Serves until it is killed.
pub(crate) fn run(port: u16, text: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let text: Arc<str> = "x".repeat(text).into();
    let router = Router::new().route("/t/{tenant}/mcp", post(answer)).with_state(text);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // Without it the comparison would be of Nagle's algorithm.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    })
}

async fn answer(State(text): State<Arc<str>>, Json(request): Json<Request>) -> Json<Response> {
    let content = [Content { r#type: "text", text }];
    Json(Response { jsonrpc: "2.0", id: request.id, result: CallResult { content, is_error: false } })
}
