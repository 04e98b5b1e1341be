//! Which revision a request speaks, decided from its headers and body alone: there is no session to ask.

use http::HeaderMap;
use rmcp::model::{ClientCapabilities, ErrorCode as RpcErrorCode};
use serde_json::json;
use stagedoor_domain::text::clean;
use stagedoor_domain::{ErrorCode, PublicError};

use super::headers::{handshake_agrees, mismatch, single};
use super::message::Request;
use super::revision::Revision;
use super::surface::RpcError;

const VERSION: &str = "mcp-protocol-version";

/// What a request speaks.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// The revision.
    pub(crate) revision: Revision,
    /// What the client declared in this request (2026-07-28).
    pub(crate) capabilities: Option<ClientCapabilities>,
}

/// Decides the revision of a request.
pub(crate) fn negotiate(headers: &HeaderMap, request: &Request<'_>) -> Result<Spoken, RpcError> {
    let header = single(headers, VERSION)?;
    let meta = request.params.meta.as_ref();
    let declared = meta.and_then(|meta| meta.protocol_version.as_deref());
    if request.method == "initialize" && declared.is_none() {
        return handshake(headers, header, request);
    }
    let Some(declared) = declared else { return without_declaration(header, request) };
    match header {
        None => {
            Err(mismatch(format!("The header MCP-Protocol-Version is missing; `_meta` says {declared:?}.")))
        }
        Some(value) if value != declared => Err(mismatch(format!(
            "The header MCP-Protocol-Version is {value:?}, but `_meta` says {declared:?}."
        ))),
        Some(_) => {
            let revision = Revision::parse(declared).ok_or_else(|| unsupported(declared))?;
            let capabilities = meta.and_then(|meta| meta.client_capabilities);
            if !revision.is_modern() {
                return Ok(Spoken { revision, capabilities: None });
            }
            let raw =
                capabilities.ok_or_else(|| missing_meta("io.modelcontextprotocol/clientCapabilities"))?;
            let capabilities = serde_json::from_str(raw.get())
                .map_err(|error| malformed_meta("io.modelcontextprotocol/clientCapabilities", &error))?;
            Ok(Spoken { revision, capabilities: Some(capabilities) })
        }
    }
}

/// The revision of a notification, where only the header can tell.
pub(crate) fn of_notification(headers: &HeaderMap) -> Result<Revision, RpcError> {
    match single(headers, VERSION)? {
        None => Ok(Revision::V20250326),
        Some(value) => Revision::parse(value).ok_or_else(|| unsupported(value)),
    }
}

/// The handshake exists only before 2026-07-28, so it speaks the older era whatever version it asks for.
fn handshake(headers: &HeaderMap, header: Option<&str>, request: &Request<'_>) -> Result<Spoken, RpcError> {
    handshake_agrees(headers)?;
    let asked = request.params.protocol_version.as_deref().ok_or_else(|| {
        let public = PublicError::new(ErrorCode::InvalidArguments, "`protocolVersion` is missing.");
        RpcError::new(RpcErrorCode::INVALID_PARAMS, public)
    })?;
    if let Some(header) = header.filter(|header| *header != asked) {
        return Err(mismatch(format!(
            "The header MCP-Protocol-Version is {header:?}, but `protocolVersion` is {asked:?}."
        )));
    }
    let revision = Revision::parse(asked).filter(|revision| !revision.is_modern());
    Ok(Spoken { revision: revision.unwrap_or(Revision::NEWEST_WITH_HANDSHAKE), capabilities: None })
}

fn without_declaration(header: Option<&str>, request: &Request<'_>) -> Result<Spoken, RpcError> {
    let modern = header.is_some_and(|value| value >= Revision::V20260728.as_str());
    if modern || request.method == "server/discover" {
        return Err(missing_meta("io.modelcontextprotocol/protocolVersion"));
    }
    let revision = match header {
        None => Revision::V20250326,
        Some(value) => Revision::parse(value).ok_or_else(|| unsupported(value))?,
    };
    Ok(Spoken { revision, capabilities: None })
}

fn missing_meta(key: &str) -> RpcError {
    invalid_meta(format!("`params._meta` lacks {key:?}, which 2026-07-28 requires on every request."))
}

fn malformed_meta(key: &str, error: &serde_json::Error) -> RpcError {
    invalid_meta(format!("`params._meta` has a wrong {key:?}: {error}."))
}

fn invalid_meta(message: String) -> RpcError {
    let public = PublicError::new(ErrorCode::InvalidRequestMeta, message);
    RpcError::new(RpcErrorCode::INVALID_PARAMS, public)
}

fn unsupported(requested: &str) -> RpcError {
    let supported = Revision::SUPPORTED.map(Revision::as_str);
    let requested = clean(requested, 40);
    let message = format!("Protocol version {requested:?} is not supported; {} are.", supported.join(", "));
    RpcError::new(
        RpcErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
        PublicError::new(ErrorCode::UnsupportedVersion, message),
    )
    .with_data(json!({ "requested": requested, "supported": supported }))
}
