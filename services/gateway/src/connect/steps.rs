//! What happens on each page: the question, the person's answer, the provider's answer, the end.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use stagedoor_crypto::digest;
use stagedoor_domain::{ErrorCode, LinkAttemptId, Provider, PublicError};
use stagedoor_tools::{Completion, LinkedPage, ProviderAnswer};

use super::ending::Ending;
use super::form::{self, Decision};
use super::views::{ConsentView, LinkedView, declined, nothing_left};
use super::visit::{Handle, Visit};
use crate::pages::{Forms, Purpose, set_cookie};

/// Shows who asks for what. Looking changes nothing, so that a messenger's preview of the address does no harm.
pub(super) async fn ask(visit: &Visit, token: &str) -> Result<Response, PublicError> {
    let (ctx, attempt) = visit.identify(Handle::Page(token)).await?;
    let consent = visit.linking().consent(ctx).await?;
    let (form, cookie) = visit.form_token(attempt.0)?;
    let leads_to = consent.leaves_to.origin().ascii_serialization();
    let view = ConsentView::new(&consent, form);
    let mut response = visit.pages().manners.page(StatusCode::OK, &view, Forms::Through(&leads_to))?;
    set_cookie(&mut response, cookie);
    Ok(response)
}

/// Takes the person's answer. Only our own form counts: its origin, and a token of which the cookie is the other half.
pub(super) async fn decide(visit: &Visit, token: &str, body: Body) -> Result<Response, PublicError> {
    visit.check_origin()?;
    let (ctx, attempt) = visit.identify(Handle::Page(token)).await?;
    let fields = visit.read_form(attempt.0, body).await?;
    let linking = visit.linking();
    match fields.decision(Decision::read)? {
        Decision::Decline => {
            linking.decline(ctx, visit.audit_client()).await?;
            end_with(visit, &Ending::Declined)
        }
        Decision::Agree => {
            let departure = linking.agree(ctx, visit.audit_client()).await?;
            let cookie =
                visit.jar().set(Purpose::Browser(attempt), departure.browser_secret.expose_secret())?;
            let mut response = visit.pages().manners.redirect(departure.url.as_str())?;
            set_cookie(&mut response, cookie);
            Ok(response)
        }
    }
}

/// Takes the provider's answer.
pub(super) async fn come_back(visit: &Visit, provider: &str) -> Result<Response, PublicError> {
    let provider: Provider = provider
        .parse()
        .map_err(|_| PublicError::new(ErrorCode::NotFound, "There is no such music service."))?;
    let answer = form::callback(visit.query()).ok_or_else(|| {
        PublicError::new(ErrorCode::LinkStateInvalid, "This is no answer of a music service's log-in.")
    })?;
    let (ctx, attempt) = visit.identify(Handle::State(&answer.state)).await?;
    let browser_secret = visit.jar().get(visit.headers(), Purpose::Browser(attempt)).map(SecretString::from);
    let answer = ProviderAnswer {
        provider,
        state_hash: digest::sha256(&[answer.state.as_bytes()]),
        outcome: answer.outcome,
        issuer: answer.issuer,
        browser_secret,
    };
    if answer.outcome.is_ok() {
        visit.note_consent(provider);
    }
    let LinkedPage { provider, account, missing_scopes: missing } =
        match visit.linking().finish(ctx, visit.audit_client(), answer).await? {
            Completion::Linked(page) => page,
            Completion::LinkedBefore => return linked_before(visit, attempt),
        };
    let mut response = end_with(visit, &Ending::Linked { link: attempt, provider, account, missing })?;
    set_cookie(&mut response, visit.jar().clear(Purpose::Browser(attempt))?);
    set_cookie(&mut response, visit.jar().clear(Purpose::Form(attempt.0))?);
    Ok(response)
}

/// The provider's answer was loaded again. The browser that linked the account is shown the end again; to any other the
/// link was used.
fn linked_before(visit: &Visit, attempt: LinkAttemptId) -> Result<Response, PublicError> {
    let ending = visit.jar().get(visit.headers(), Purpose::Ending).and_then(Ending::decode);
    match ending {
        Some(ending @ Ending::Linked { link, .. }) if link == attempt => end_with(visit, &ending),
        _ => Err(PublicError::new(ErrorCode::LinkUsed, "An account was linked with this link before.")),
    }
}

/// Shows how it ended.
pub(super) fn done(visit: &Visit) -> Result<Response, PublicError> {
    let manners = visit.pages().manners;
    match visit.jar().get(visit.headers(), Purpose::Ending).and_then(Ending::decode) {
        Some(Ending::Linked { provider, account, missing, .. }) => {
            manners.page(StatusCode::OK, &LinkedView::new(provider, &account, missing), Forms::None)
        }
        Some(Ending::Declined) => manners.page(StatusCode::OK, &declined(), Forms::None),
        None => manners.page(StatusCode::OK, &nothing_left(), Forms::None),
    }
}

/// Sends the browser to the end page: what is loaded again there asks for nothing, and no code stays in its history.
fn end_with(visit: &Visit, ending: &Ending) -> Result<Response, PublicError> {
    let cookie = visit.jar().set(Purpose::Ending, &ending.encode())?;
    let mut response = visit.pages().manners.redirect(&format!("{}/done", visit.folder()))?;
    set_cookie(&mut response, cookie);
    Ok(response)
}
