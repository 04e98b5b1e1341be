//! The authorization endpoint as a browser meets it: a page to agree or decline on, then back to the client.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use stagedoor_domain::Provider;

use super::page;
use super::request::{AuthorizationRequest, Refused};
use crate::exchange::{self, Query};
use crate::sandbox::Sandbox;
use crate::token_endpoint::Form;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// `GET` shows the page, `POST` takes the answer; the request is in the query of both.
pub(crate) fn routes(provider: Provider) -> MethodRouter<Sandbox> {
    get(async move |State(sandbox): State<Sandbox>, query: Query| show(&sandbox, provider, &query)).post(
        async move |State(sandbox): State<Sandbox>, query: Query, headers: HeaderMap, body: Bytes| {
            answer(&sandbox, provider, &query, &headers, &body)
        },
    )
}

fn show(sandbox: &Sandbox, provider: Provider, query: &Query) -> Response {
    match AuthorizationRequest::check(sandbox, provider, query) {
        Ok(request) => html(StatusCode::OK, page::consent(&request, &sandbox.people(provider), query, None)),
        Err(refused) => refuse(provider, refused),
    }
}

fn answer(
    sandbox: &Sandbox,
    provider: Provider,
    query: &Query,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let request = match AuthorizationRequest::check(sandbox, provider, query) {
        Ok(request) => request,
        Err(refused) => return refuse(provider, refused),
    };
    if exchange::media_type(headers).as_deref() != Some("application/x-www-form-urlencoded") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let form = Form::read(body);
    let chosen = match form.get("decision") {
        Some("deny") => return go(&request.declined()),
        Some("allow") => chosen_account(sandbox, provider, &form),
        _ => Err("Choose Allow or Deny."),
    };
    let ask_again = |complaint| {
        let people = sandbox.people(provider);
        html(StatusCode::BAD_REQUEST, page::consent(&request, &people, query, Some(complaint)))
    };
    match chosen {
        Ok(account) => match sandbox.agree(&request, &account, request.scopes.clone()) {
            Ok(url) => go(&url),
            Err(_) => ask_again("That account is gone. Choose another one, or make a new one."),
        },
        Err(complaint) => ask_again(complaint),
    }
}

/// The account that the form names, made now if it is a new one.
fn chosen_account(sandbox: &Sandbox, provider: Provider, form: &Form) -> Result<String, &'static str> {
    match form.get("account") {
        None => Err("Choose an account."),
        Some(page::NEW_ACCOUNT) => {
            let name = stagedoor_domain::text::clean(form.get("name").unwrap_or_default(), 80);
            let country = form.get("country").unwrap_or_default().trim().to_ascii_uppercase();
            if name.is_empty() {
                return Err("A new account needs a name.");
            }
            if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Err("A new account needs a country of two letters, such as DE or US.");
            }
            Ok(sandbox.create_account(provider, &name, &country))
        }
        // Whoever typed a name meant it; agreeing for another account would surprise them.
        Some(_) if form.get("name").is_some() => {
            Err("You typed a name: choose A new account with it, or clear it.")
        }
        Some(account) => Ok(account.to_owned()),
    }
}

fn refuse(provider: Provider, refused: Refused) -> Response {
    match refused {
        Refused::SentBack(url) => go(&url),
        Refused::Shown(refusal) => html(StatusCode::BAD_REQUEST, page::refusal(provider, refusal)),
    }
}

/// Back to the client, as a GET whatever this was (RFC 9700 §4.12).
fn go(url: &url::Url) -> Response {
    let headers = [(LOCATION, url.as_str()), (CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn html(status: StatusCode, page: String) -> Response {
    let headers =
        [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    (status, headers, Html(page)).into_response()
}

impl Sandbox {
    /// Who can agree: account id, name and country, by name.
    fn people(&self, provider: Provider) -> Vec<page::Person> {
        let mut people: Vec<page::Person> = self.read(|model| {
            let accounts = model.side(provider).accounts.values();
            accounts
                .map(|held| page::Person {
                    account_id: held.account_id.clone(),
                    name: held.display_name.clone(),
                    country: held.country.clone(),
                })
                .collect()
        });
        people.sort_by(|one, other| (&one.name, &one.account_id).cmp(&(&other.name, &other.account_id)));
        people
    }
}
