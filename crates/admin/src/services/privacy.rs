//! `PrivacyService`. An admin begins a request and sees how it stands; only the person can answer it, on its page.

use secrecy::ExposeSecret;
use stagedoor_domain::{PrivacyRequestId, TenantContext, UserId};
use stagedoor_proto::admin::v1::{
    CreatePrivacyRequestRequest, CreatePrivacyRequestResponse, GetPrivacyRequestRequest,
    ListOpenPrivacyRequestsRequest, ListOpenPrivacyRequestsResponse, ListPrivacyRequestsRequest,
    ListPrivacyRequestsResponse, PrivacyRequest, PrivacyRequestKind,
};
use stagedoor_storage::StoreError;
use stagedoor_storage::privacy_requests::{self, Kind, OpenRequest};
use stagedoor_storage::users;
use stagedoor_tools::{PrivacyOffered, offer_privacy_page};

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::page::{self, Place};
use crate::{standing, texts, times};

/// Makes the address of a page on which a person downloads a copy, or confirms the deletion.
pub async fn create_privacy_request(
    call: &AdminCall,
    request: CreatePrivacyRequestRequest,
) -> Result<CreatePrivacyRequestResponse, AdminError> {
    standing::living(call)?;
    let user: UserId = texts::id("user_id", &request.user_id)?;
    let kind = match PrivacyRequestKind::try_from(request.kind) {
        Ok(PrivacyRequestKind::Export) => Kind::Export,
        Ok(PrivacyRequestKind::Erasure) => Kind::Erasure,
        _ => return Err(AdminError::field("kind", "It is none of a person; wanted: EXPORT or ERASURE.")),
    };
    let unknown = || AdminError::unknown("person", user.to_string());
    let known = call.store().with_tenant(call.context(), async |tx| users::find(tx, user).await).await?;
    known.ok_or_else(unknown)?;
    if call.validate_only() {
        let privacy_request = PrivacyRequest {
            tenant: call.context().tenant().slug.to_string(),
            kind: self::kind(kind).into(),
            user_id: user.to_string(),
            requested_by: call.caller().label(),
            ..PrivacyRequest::default()
        };
        return Ok(CreatePrivacyRequestResponse {
            privacy_request: Some(privacy_request),
            ..CreatePrivacyRequestResponse::default()
        });
    }
    let rooms = call.rooms();
    let offer = async || {
        let offered = offer_privacy_page(&rooms.vault, call.context(), &rooms.public_url, (kind, user)).await;
        offered.map_err(|error| match error {
            StoreError::Missing("person") => unknown(),
            error => error.into(),
        })
    };
    let Some(PrivacyOffered { request, url }) = call.once(offer).await? else {
        return offered_before(call, (kind, user)).await;
    };
    Ok(CreatePrivacyRequestResponse {
        expire_time: times::optional(request.page_expires_at.filter(|_| url.is_some())),
        privacy_request: Some(shown(call.context(), &request)),
        url: url.map(|url| url.expose_secret().to_owned()).unwrap_or_default(),
    })
}

/// What the same request made before, without the address of its page.
async fn offered_before(
    call: &AdminCall,
    (kind, user): (Kind, UserId),
) -> Result<CreatePrivacyRequestResponse, AdminError> {
    let listed = privacy_requests::list_of(call.store(), call.context(), user, page::MOST).await?;
    let made = listed.into_iter().find(|request| request.kind == kind);
    let made = made.ok_or_else(|| AdminError::unknown("person", user.to_string()))?;
    Ok(CreatePrivacyRequestResponse {
        privacy_request: Some(shown(call.context(), &made)),
        url: String::new(),
        expire_time: times::optional(made.page_expires_at),
    })
}

/// Tells how a request stands.
pub async fn get_privacy_request(
    call: &AdminCall,
    request: GetPrivacyRequestRequest,
) -> Result<PrivacyRequest, AdminError> {
    let id: PrivacyRequestId = texts::id("privacy_request_id", &request.privacy_request_id)?;
    let found = privacy_requests::load(call.store(), call.context(), id).await?;
    let found = found.ok_or_else(|| AdminError::unknown("privacy request", id.to_string()))?;
    Ok(shown(call.context(), &found))
}

/// Lists a tenant's requests, the newest first.
pub async fn list_privacy_requests(
    call: &AdminCall,
    request: ListPrivacyRequestsRequest,
) -> Result<ListPrivacyRequestsResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let before = page::after::<Place>(&request.page_token)?.map(|place| (place.at, place.id.into()));
    let mut listed = privacy_requests::list_before(call.store(), call.context(), before, size + 1).await?;
    let next_page_token =
        page::cut(&mut listed, size, |last| Place { at: last.requested_at, id: last.id.0 }.to_string());
    let privacy_requests = listed.iter().map(|request| shown(call.context(), request)).collect();
    Ok(ListPrivacyRequestsResponse { privacy_requests, next_page_token })
}

/// Lists open requests of all tenants, those that are due first. Says of whom none of them is.
pub async fn list_open_privacy_requests(
    call: &AdminCall,
    request: ListOpenPrivacyRequestsRequest,
) -> Result<ListOpenPrivacyRequestsResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let after = page::after::<Place>(&request.page_token)?.map(|place| (place.at, place.id.into()));
    let mut open = privacy_requests::open_requests(call.store(), request.late, after, size + 1).await?;
    let next_page_token =
        page::cut(&mut open, size, |last| Place { at: last.due_by, id: last.request.0 }.to_string());
    let shown = |request: OpenRequest| PrivacyRequest {
        privacy_request_id: request.request.to_string(),
        tenant: request.slug,
        kind: kind(request.kind).into(),
        state: request.state.as_str().to_owned(),
        request_time: Some(times::timestamp(request.requested_at)),
        due_time: Some(times::timestamp(request.due_by)),
        ..PrivacyRequest::default()
    };
    let privacy_requests = open.into_iter().map(shown).collect();
    Ok(ListOpenPrivacyRequestsResponse { privacy_requests, next_page_token })
}

/// A request as callers see it.
pub(crate) fn shown(context: &TenantContext, request: &privacy_requests::PrivacyRequest) -> PrivacyRequest {
    PrivacyRequest {
        privacy_request_id: request.id.to_string(),
        tenant: context.tenant().slug.to_string(),
        kind: kind(request.kind).into(),
        state: request.state.as_str().to_owned(),
        user_id: request.user.map(|user| user.to_string()).unwrap_or_default(),
        requested_by: request.requested_by.clone().unwrap_or_default(),
        request_time: Some(times::timestamp(request.requested_at)),
        due_time: Some(times::timestamp(request.due_by)),
        complete_time: times::optional(request.completed_at),
        rows: request.rows().map(|(table, rows)| (table.to_owned(), rows.cast_signed())).collect(),
        receipt: request.receipt.clone().unwrap_or_default(),
    }
}

/// What the deletion of a tenant would be.
pub(crate) fn would_be(call: &AdminCall, id: PrivacyRequestId) -> PrivacyRequest {
    PrivacyRequest {
        privacy_request_id: id.to_string(),
        tenant: call.context().tenant().slug.to_string(),
        kind: PrivacyRequestKind::TenantErasure.into(),
        requested_by: call.caller().label(),
        ..PrivacyRequest::default()
    }
}

fn kind(kind: Kind) -> PrivacyRequestKind {
    match kind {
        Kind::Export => PrivacyRequestKind::Export,
        Kind::Erasure => PrivacyRequestKind::Erasure,
        Kind::TenantErasure => PrivacyRequestKind::TenantErasure,
    }
}
