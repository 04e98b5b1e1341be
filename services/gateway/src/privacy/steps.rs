//! What happens on the page: what it is about, the person's answer, the files that leave.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use secrecy::SecretString;
use stagedoor_domain::{PrivacyRequestId, PublicError, TenantContext};
use stagedoor_tools::PrivacyPage;

use super::views::{ErasureView, OfferView, kept_everything};
use super::visit::Visit;
use crate::pages::{Forms, set_cookie};

/// JSON Lines; there is no registered type of a better name (RFC 8259 is for one text).
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Hand out the copy.
    Download,
    /// Delete everything.
    Delete,
    /// Delete nothing.
    Keep,
    /// Hand out the receipt.
    Receipt,
}

impl Decision {
    fn read(text: &str) -> Option<Self> {
        match text {
            "download" => Some(Self::Download),
            "delete" => Some(Self::Delete),
            "keep" => Some(Self::Keep),
            "receipt" => Some(Self::Receipt),
            _ => None,
        }
    }
}

/// Shows what the request is about, or how far it is. Looking changes nothing, so that a messenger's preview of the
/// address does no harm.
pub(super) async fn look(visit: &Visit, token: &str) -> Result<Response, PublicError> {
    let (ctx, request) = visit.identify(token).await?;
    let manners = visit.pages().manners;
    let (form, cookie) = visit.form_token(request.0)?;
    let mut response = match visit.privacy().page(ctx).await? {
        PrivacyPage::Offer(offer) => {
            manners.page(StatusCode::OK, &OfferView::new(&offer, form), Forms::Here)?
        }
        PrivacyPage::Erasure(erasure) => {
            manners.page(StatusCode::OK, &ErasureView::new(&erasure, form), Forms::Here)?
        }
        PrivacyPage::Kept => return manners.page(StatusCode::OK, &kept_everything(), Forms::None),
    };
    set_cookie(&mut response, cookie);
    Ok(response)
}

/// Takes the person's answer. Only our own form counts: its origin, and a token of which the cookie is the other half.
pub(super) async fn answer(visit: &Visit, token: &str, body: Body) -> Result<Response, PublicError> {
    visit.check_origin()?;
    let (ctx, request) = visit.identify(token).await?;
    let fields = visit.read_form(request.0, body).await?;
    let privacy = visit.privacy();
    match fields.decision(Decision::read)? {
        Decision::Download => download(visit, ctx, request, token).await,
        Decision::Receipt => {
            let receipt = privacy.receipt(ctx, visit.audit_client()).await?;
            file(visit, "receipt", request, Body::from(receipt))
        }
        Decision::Delete => {
            let keys = privacy.confirm(ctx, visit.audit_client(), &SecretString::from(token)).await?;
            for key in &keys {
                visit.state.authenticator.forget(&ctx.tenant().slug, key).await;
            }
            back(visit, token)
        }
        Decision::Keep => {
            privacy.cancel(ctx, visit.audit_client(), &SecretString::from(token)).await?;
            back(visit, token)
        }
    }
}

async fn download(
    visit: &Visit,
    ctx: &TenantContext,
    request: PrivacyRequestId,
    token: &str,
) -> Result<Response, PublicError> {
    let token = SecretString::from(token);
    let lines = visit.privacy().download(ctx, visit.audit_client(), &token).await?;
    file(visit, "personal-data", request, Body::from_stream(lines))
}

/// To the page itself, by GET: what is loaded again there asks for nothing.
fn back(visit: &Visit, token: &str) -> Result<Response, PublicError> {
    visit.pages().manners.redirect(&format!("{}/{token}", visit.folder()))
}

/// A file that the browser stores and does not show.
fn file(visit: &Visit, name: &str, request: PrivacyRequestId, body: Body) -> Result<Response, PublicError> {
    let disposition = format!("attachment; filename=\"stagedoor-{name}-{request}.jsonl\"");
    let disposition = HeaderValue::try_from(disposition).map_err(|_| PublicError::internal())?;
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    visit.pages().manners.guard(headers);
    headers.insert(CONTENT_TYPE, LINES);
    headers.insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}
