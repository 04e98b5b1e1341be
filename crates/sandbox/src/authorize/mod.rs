//! Consent: the authorization endpoint of both providers (RFC 6749 §4.1.1 with RFC 7636), its page for people, its
//! shortcuts for tests, and the codes that it gives out.

mod codes;
mod page;
mod redirect_uri;
mod request;
mod web;

use stagedoor_domain::Provider;
use url::Url;

use crate::exchange::Query;
use crate::sandbox::Sandbox;
use request::{AuthorizationRequest, Refused};

pub use redirect_uri::RedirectUriError;
pub use request::AuthorizeRefusal;
pub(crate) use web::routes;

impl Sandbox {
    /// Agrees as the person behind `account_id`, without the page. `address` is what the client sent the browser
    /// to; the answer is where the browser is sent back to, with a code or with an error of the request.
    ///
    /// # Errors
    /// When nobody may be sent back: unknown client, redirect address or account.
    pub fn authorize(
        &self,
        provider: Provider,
        account_id: &str,
        address: &Url,
    ) -> Result<Url, AuthorizeRefusal> {
        self.answer(provider, address, |request| {
            let scopes = request.scopes.clone();
            self.agree(request, account_id, scopes)
        })
    }

    /// The same, but only for `scopes`: what a provider does that lets people choose.
    ///
    /// # Errors
    /// As `authorize`.
    pub fn authorize_scopes(
        &self,
        provider: Provider,
        account_id: &str,
        address: &Url,
        scopes: &[&str],
    ) -> Result<Url, AuthorizeRefusal> {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.answer(provider, address, |request| self.agree(request, account_id, scopes))
    }

    /// Declines: the browser is sent back with `access_denied` (RFC 6749 §4.1.2.1).
    ///
    /// # Errors
    /// When nobody may be sent back: unknown client or redirect address.
    pub fn deny(&self, provider: Provider, address: &Url) -> Result<Url, AuthorizeRefusal> {
        self.answer(provider, address, |request| Ok(request.declined()))
    }

    /// What answers to authorization requests name as `iss` from now on (RFC 9207); `None`, as in the beginning,
    /// leaves it out.
    pub fn send_issuer(&self, provider: Provider, issuer: Option<String>) {
        self.write_unsaved(|model| model.side_mut(provider).issuer = issuer);
    }

    fn answer(
        &self,
        provider: Provider,
        address: &Url,
        decide: impl FnOnce(&AuthorizationRequest) -> Result<Url, AuthorizeRefusal>,
    ) -> Result<Url, AuthorizeRefusal> {
        let pairs = address.query_pairs().into_owned().collect();
        match AuthorizationRequest::check(self, provider, &Query(pairs)) {
            Ok(request) => decide(&request),
            Err(Refused::SentBack(url)) => Ok(url),
            Err(Refused::Shown(refusal)) => Err(refusal),
        }
    }
}
