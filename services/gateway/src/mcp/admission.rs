//! Whether a request may go on: whether there is a place for it, and what the limits say. Whoever is turned away is on
//! record.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use http::header::{HeaderValue, RETRY_AFTER};
use rmcp::model::ErrorCode as RpcErrorCode;
use stagedoor_audit::AuditAction;
use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::{ErrorCode, LimitClass, PublicError, ToolName};

use super::message::Request;
use super::surface::{Caller, Reply, RpcError};
use super::{finish, music};
use crate::concurrency::Permit;
use crate::state::AppState;
use crate::{refusals, usage};

/// A place for the request, which it holds until it ends, and what its answer's headers say of the limits; or the
/// answer to one that is turned away.
pub(super) async fn admit(
    state: &Arc<AppState>,
    caller: &Caller,
    request: &Request<'_>,
) -> Result<(Permit, HeaderMap), Box<Response>> {
    // Before the quota, so that a call for which there is no place costs none of it.
    let permit = match state.concurrency.enter(&caller.ctx) {
        Ok(permit) => permit,
        Err(refused) => return Err(Box::new(no_place(state, caller, request, *refused).await)),
    };
    let admission = state.quota.admit(&caller.ctx, limit_class(caller, request)).await;
    match admission.refused {
        None => Ok((permit, admission.headers)),
        Some(refused) => Err(Box::new(turned_away(state, caller, request, refused, admission.headers).await)),
    }
}

/// A place for a stream that only waits, instead of the request's own; or the answer that there is none.
pub(super) async fn admit_listener(
    state: &Arc<AppState>,
    caller: &Caller,
    request: &Request<'_>,
    of_request: Permit,
) -> Result<Permit, Box<Response>> {
    drop(of_request);
    match state.concurrency.listen(&caller.ctx) {
        Ok(permit) => Ok(permit),
        Err(refused) => Err(Box::new(no_place(state, caller, request, *refused).await)),
    }
}

/// The answer to a request whose parameters no tool is to see.
pub(super) async fn unfit(
    state: &Arc<AppState>,
    caller: &Caller,
    request: &Request<'_>,
    error: PublicError,
    extra: HeaderMap,
) -> Response {
    turned_away(state, caller, request, error, extra).await
}

/// Too many requests are under way: of the tenant, which is a violation of its limit, or in all.
async fn no_place(
    state: &Arc<AppState>,
    caller: &Caller,
    request: &Request<'_>,
    error: PublicError,
) -> Response {
    if let Some(limit) = &error.limit {
        state.violations.note(&caller.ctx, &limit.name, None);
    }
    let wait = error.retry_after.map(|wait| (RETRY_AFTER, HeaderValue::from(ceil_seconds(wait))));
    turned_away(state, caller, request, error, HeaderMap::from_iter(wait)).await
}

/// A call that is refused is an answer that the agent reads; any other request is an HTTP refusal.
async fn turned_away(
    state: &Arc<AppState>,
    caller: &Caller,
    request: &Request<'_>,
    error: PublicError,
    extra: HeaderMap,
) -> Response {
    let tool = used_tool(request);
    if let Some(tool) = tool {
        let ended = (music::outcome_class(Some(error.code)), None);
        let desk = state.dispatcher.desk();
        // Both at once: a caller who leaves now is counted by both.
        tokio::join!(
            usage::count(&state.metrics, desk, &caller.ctx, tool, ended),
            desk.count_refused(&caller.ctx, tool, error.code)
        );
    }
    let action = tool.map_or(AuditAction::Request, AuditAction::Tool);
    refusals::record(&state.audit, &caller.ctx, action, caller.audit_client(), &error).await;
    let reply = if request.method == "tools/call" {
        Reply::Result(music::failure(&error, caller.ctx.call()))
    } else {
        let code = match error.code {
            ErrorCode::InvalidArguments => RpcErrorCode::INVALID_PARAMS,
            _ => RpcErrorCode::INVALID_REQUEST,
        };
        Reply::Error(RpcError::new(code, error))
    };
    finish(&state.mcp, request.id, caller, reply, extra)
}

fn limit_class(caller: &Caller, request: &Request<'_>) -> LimitClass {
    used_tool(request).map_or(LimitClass::Api, |tool| {
        let params = &request.params;
        let state = params.request_state.as_deref().filter(|_| caller.revision.is_modern());
        stagedoor_tools::limit_class(tool, params.arguments, state)
    })
}

/// The tool that answers the request: the one that is called, or the one that reads the resource or moves the task.
fn used_tool(request: &Request<'_>) -> Option<ToolName> {
    let params = &request.params;
    match request.method.as_ref() {
        "tools/call" => params.name.as_deref()?.parse().ok(),
        "resources/read" => music::resources::tool(params.uri.as_deref()?),
        "tasks/get" => Some(ToolName::JobGet),
        "tasks/update" => Some(ToolName::PlaylistTransfer),
        "tasks/cancel" => Some(ToolName::JobCancel),
        _ => None,
    }
}
