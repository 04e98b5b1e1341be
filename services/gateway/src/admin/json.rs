//! The admin API over HTTP with JSON (google.aip.dev/127): a request becomes the gRPC message that its path, query and body
//! describe, goes the way of every gRPC call, and the answer becomes JSON again. Made of the descriptors; no RPC is named.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use futures_util::StreamExt;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, USER_AGENT};
use http::request::Parts;
use http::uri::PathAndQuery;
use prost_reflect::{DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::{Map, Value};
use stagedoor_admin::AdminCaller;
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_proto::dynamic::{self, DynamicCodec};
use tonic::Status;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;

use super::json_errors;
use super::json_request;
use crate::client::Client;
use crate::problem::Problem;
use crate::strict_json;

/// The longest body, in bytes: as tonic allows for a message.
const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// How deep a body may be nested: deeper than any request.
const DEEPEST: u8 = 16;

/// Headers that gRPC's metadata takes over.
const TAKEN_OVER: [HeaderName; 3] =
    [USER_AGENT, HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// One RPC.
#[derive(Debug)]
struct Rpc {
    method: MethodDescriptor,
    path: PathAndQuery,
    has_body: bool,
    services: Router,
}

/// A route for each RPC that has one, in front of `services`.
pub(super) fn routes(services: &Router) -> Router {
    let rpcs = dynamic::services().flat_map(|service| service.methods().collect::<Vec<_>>());
    rpcs.fold(Router::new(), |router, method| {
        let Some(route) = dynamic::http_route(&method) else { return router };
        let path = dynamic::grpc_path(&method).try_into().expect("names of RPCs make paths");
        let rpc = Arc::new(Rpc { method, path, has_body: route.has_body, services: services.clone() });
        let filter = match route.method.as_str() {
            "GET" => MethodFilter::GET,
            "POST" => MethodFilter::POST,
            "PATCH" => MethodFilter::PATCH,
            "PUT" => MethodFilter::PUT,
            _ => MethodFilter::DELETE,
        };
        let handler = move |path: RawPathParams, request: Request| {
            let rpc = Arc::clone(&rpc);
            async move { rpc.serve(path, request).await.unwrap_or_else(IntoResponse::into_response) }
        };
        router.route(&route.path, on(filter, handler))
    })
}

impl Rpc {
    async fn serve(&self, path: RawPathParams, request: Request) -> Result<Response, Problem> {
        let (parts, body) = request.into_parts();
        let message = self.message(&path, &parts, body).await?;
        let message = tonic::Request::from_parts(metadata(&parts), extensions(&parts), message);
        let codec = DynamicCodec::new(self.method.output());
        let mut client = Grpc::new(self.services.clone());
        if self.method.is_server_streaming() {
            let answers = client.server_streaming(message, self.path.clone(), codec).await;
            return Ok(stream(answers.map_err(|status| json_errors::problem(&status))?.into_inner()));
        }
        let answer = client.unary(message, self.path.clone(), codec).await;
        let answer = answer.map_err(|status| json_errors::problem(&status))?.into_inner();
        Ok(of_message(&answer))
    }

    async fn message(
        &self,
        path: &RawPathParams,
        parts: &Parts,
        body: Body,
    ) -> Result<DynamicMessage, Problem> {
        let body = if self.has_body { read(parts, body).await? } else { Map::new() };
        let input = self.method.input();
        let mut fields = json_request::Fields::new(&input, body).map_err(wrong)?;
        let query = parts.uri.query().unwrap_or_default();
        if !self.has_body {
            fields.add_query(query).map_err(wrong)?;
        } else if !query.is_empty() {
            // Passed over, `?validateOnly=true` would do what was only to be looked at.
            let error = PublicError::new(
                ErrorCode::InvalidRequest,
                "Fields of this request stand in its body, not in a query.",
            );
            return Err(wrong(error.hint("Move what stands behind the question mark into the JSON body.")));
        }
        for value in parts.headers.get_all(IF_MATCH) {
            fields.add_etag(value.as_bytes()).map_err(wrong)?;
        }
        for (name, value) in path {
            fields.set(name, value).map_err(wrong)?;
        }
        fields.finish().map_err(wrong)
    }
}

fn wrong(error: PublicError) -> Problem {
    Problem::new(error).with_status(StatusCode::BAD_REQUEST)
}

async fn read(parts: &Parts, body: Body) -> Result<Map<String, Value>, Problem> {
    let wrong = |code, message: String| {
        Problem::new(
            PublicError::new(code, message).hint("Send one JSON object, as /openapi.json describes it."),
        )
    };
    let bytes = to_bytes(body, LONGEST_BODY).await;
    let bytes = bytes.map_err(|_| {
        wrong(
            ErrorCode::BodyTooLarge,
            format!("The body is longer than {LONGEST_BODY} bytes, or did not arrive."),
        )
    })?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(wrong(
            ErrorCode::UnsupportedMediaType,
            "Content-Type must be application/json.".to_owned(),
        ));
    }
    strict_json::object(&bytes, DEEPEST)
        .map_err(|error| wrong(ErrorCode::MalformedJson, format!("The body is no JSON object: {error}.")))
}

fn metadata(parts: &Parts) -> MetadataMap {
    let taken = TAKEN_OVER
        .into_iter()
        .filter_map(|name| parts.headers.get(&name).cloned().map(|value| (name, value)));
    MetadataMap::from_headers(taken.collect())
}

fn extensions(parts: &Parts) -> tonic::Extensions {
    let mut extensions = tonic::Extensions::new();
    if let Some(client) = parts.extensions.get::<Client>() {
        extensions.insert(client.clone());
    }
    if let Some(caller) = parts.extensions.get::<Arc<AdminCaller>>() {
        extensions.insert(Arc::clone(caller));
    }
    extensions
}

fn of_message(message: &DynamicMessage) -> Response {
    let mut response = Response::new(Body::from(text(message)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let etag = message.get_field_by_name("etag").and_then(|etag| {
        let etag = etag.as_str().filter(|etag| !etag.is_empty())?;
        HeaderValue::try_from(format!("\"{etag}\"")).ok()
    });
    if let Some(etag) = etag {
        headers.insert(ETAG, etag);
    }
    response
}

/// One JSON object a line. After a failure the connection is cut off, because the status was sent long ago.
fn stream(answers: tonic::Streaming<DynamicMessage>) -> Response {
    let lines = answers.map(|answer| answer.map(|message| text(&message) + "\n").map_err(broken));
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

fn broken(status: Status) -> std::io::Error {
    std::io::Error::other(status)
}

/// Every field, those that have their default too, so that what is there always has one shape.
fn text(message: &DynamicMessage) -> String {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut bytes = Vec::new();
    let mut writer = serde_json::Serializer::new(&mut bytes);
    match message.serialize_with_options(&mut writer, &options) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(error) => {
            tracing::error!(%error, "an answer of the admin API could not be written as JSON");
            String::new()
        }
    }
}
