//! What a client is told to do about a 401 or a 403: `WWW-Authenticate` (RFC 6750 §3) with the address of the resource's
//! metadata (RFC 9728 §5.1) and every scope that is needed; and what the resources of tenants are called.

use std::fmt::Write as _;
use std::sync::Arc;

use http::Uri;
use http::header::HeaderValue;
use stagedoor_domain::{Issuer, Scope, ScopeSet, TenantSlug};
use url::Url;

/// Where the metadata of a resource is, before its own path (RFC 9728 §3.1).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What the endpoints of an installation are called.
#[derive(Debug)]
pub struct Resources {
    /// Scheme, host and port.
    origin: String,
    /// The path before `/t/…`; mostly empty.
    prefix: String,
}

/// Why a credential was not accepted, as far as a client is told (RFC 6750 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// There was none: nothing is said of it.
    Missing,
    /// It is not valid here.
    InvalidToken,
}

impl Resources {
    /// Those of an installation that clients reach at `public_url`.
    pub fn new(public_url: &Url) -> Self {
        Self {
            origin: public_url.origin().ascii_serialization(),
            prefix: public_url.path().trim_end_matches('/').to_owned(),
        }
    }

    /// The path before `/t/…`; mostly empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The tenant's endpoint, which is what tokens must be for (RFC 8707).
    pub fn of(&self, slug: &TenantSlug) -> String {
        format!("{}{}/t/{slug}/mcp", self.origin, self.prefix)
    }

    /// The resource at a path that a request names; `None` if no address would be written so.
    pub fn at(&self, path: &str) -> Option<String> {
        is_plain(path).then(|| format!("{}{}{path}", self.origin, self.prefix))
    }

    /// Where the metadata of the resource at that path is.
    fn metadata_of(&self, path: &str) -> Option<String> {
        is_plain(path).then(|| format!("{}{WELL_KNOWN}{}{path}", self.origin, self.prefix))
    }

    /// The challenge of a 401 at `path`. `issuers` are those of the tenant, as far as they are known: clients ask these for
    /// scopes by the names that they have there.
    pub fn unauthenticated(&self, path: &str, issuers: &[Arc<Issuer>], objection: Objection) -> HeaderValue {
        let error = match objection {
            Objection::Missing => None,
            Objection::InvalidToken => Some("invalid_token"),
        };
        self.challenge(path, error, &scope_values(issuers, ScopeSet::all()).join(" "))
    }

    fn challenge(&self, path: &str, error: Option<&str>, scope: &str) -> HeaderValue {
        let mut text = "Bearer realm=\"stagedoor\"".to_owned();
        let metadata = self.metadata_of(path);
        for (name, value) in
            [("error", error), ("resource_metadata", metadata.as_deref()), ("scope", Some(scope))]
        {
            if let Some(value) = value {
                let _ = write!(text, ", {name}=\"{value}\"");
            }
        }
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// What it takes to tell a caller which scopes a call needs.
#[derive(Debug, Clone)]
pub struct StepUp {
    /// What endpoints are called.
    pub resources: Arc<Resources>,
    /// What was called.
    pub uri: Uri,
    /// Whose token the caller has; `None` for a key.
    pub issuer: Option<Arc<Issuer>>,
}

impl StepUp {
    /// The challenge of a 403 that further scopes would lift (RFC 6750 §3.1): those that the call needs, and for a token
    /// those besides that it has, because the next one replaces it.
    pub fn challenge(&self, needed: ScopeSet, held: ScopeSet) -> HeaderValue {
        let scope = match &self.issuer {
            None => needed.to_string(),
            Some(issuer) => {
                let wanted: ScopeSet = needed.iter().chain(held.iter()).collect();
                issuer.scope_values(wanted).join(" ")
            }
        };
        self.resources.challenge(self.uri.path(), Some("insufficient_scope"), &scope)
    }

    /// Whether a client can ask for further scopes by itself.
    pub fn is_for_a_token(&self) -> bool {
        self.issuer.is_some()
    }
}

/// What clients may ask these issuers for, in the order of the scopes that it gives; our own names where there is none.
pub(super) fn scope_values(issuers: &[Arc<Issuer>], wanted: ScopeSet) -> Vec<String> {
    if issuers.is_empty() {
        return wanted.iter().map(|scope: Scope| scope.as_str().to_owned()).collect();
    }
    let mut values: Vec<String> = Vec::new();
    for value in issuers.iter().flat_map(|issuer| issuer.scope_values(wanted)) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// Whether a path has only characters that need no quoting, in a header or elsewhere (RFC 3986 §2.3, and `/`, `,`, `%`).
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/,%".contains(&byte))
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::IssuerId;
    use uuid::Uuid;

    use super::*;

    fn resources(url: &str) -> Arc<Resources> {
        Arc::new(Resources::new(&url.parse().unwrap()))
    }

    fn mapped() -> Arc<Issuer> {
        let mut issuer = Issuer::new(IssuerId(Uuid::nil()), "https://login.example.com");
        let read = [Scope::CatalogRead, Scope::LibraryRead].into_iter().collect();
        issuer.scope_map.insert("music.read".to_owned(), read);
        issuer.scope_map.insert("music.write".to_owned(), ScopeSet::empty().with(Scope::LibraryWrite));
        Arc::new(issuer)
    }

    #[test]
    fn a_resource_and_its_metadata_differ_by_the_well_known_part() {
        for (url, prefix) in
            [("https://a.example", ""), ("https://a.example/", ""), ("https://a.example:8443/b/", "/b")]
        {
            let resources = resources(url);
            let origin = url.trim_end_matches('/').trim_end_matches("/b");
            assert_eq!(resources.of(&"acme".parse().unwrap()), format!("{origin}{prefix}/t/acme/mcp"));
            let challenge = resources.unauthenticated("/t/acme/mcp/x/catalog,jobs", &[], Objection::Missing);
            let metadata =
                format!("resource_metadata=\"{origin}{WELL_KNOWN}{prefix}/t/acme/mcp/x/catalog,jobs\"");
            assert!(challenge.to_str().unwrap().contains(&metadata), "{challenge:?}");
        }
    }

    #[test]
    fn what_a_stranger_writes_into_a_path_does_not_get_into_a_header() {
        let challenge = resources("https://a.example").unauthenticated(
            "/t/a\", scope=\"all/mcp",
            &[],
            Objection::InvalidToken,
        );
        let all = ScopeSet::all();
        assert_eq!(
            challenge.to_str().unwrap(),
            format!("Bearer realm=\"stagedoor\", error=\"invalid_token\", scope=\"{all}\"")
        );
    }

    #[test]
    fn scopes_have_the_names_that_the_issuer_knows_them_by() {
        let challenge =
            resources("https://a.example").unauthenticated("/t/acme/mcp", &[mapped()], Objection::Missing);
        assert!(challenge.to_str().unwrap().ends_with("scope=\"music.read music.write\""), "{challenge:?}");
        assert!(!challenge.to_str().unwrap().contains("error"), "nothing was wrong with what was not there");
    }

    #[test]
    fn a_step_up_names_all_that_is_needed_and_a_tokens_own_besides() {
        let step_up = |issuer| StepUp {
            resources: resources("https://a.example"),
            uri: Uri::from_static("/t/acme/mcp"),
            issuer,
        };
        let (needed, held) =
            (ScopeSet::empty().with(Scope::LibraryWrite), ScopeSet::empty().with(Scope::CatalogRead));
        let text = |issuer| step_up(issuer).challenge(needed, held).to_str().unwrap().to_owned();
        assert!(text(Some(mapped())).ends_with("scope=\"music.read music.write\""));
        let key = text(None);
        assert!(
            key.ends_with("scope=\"library:write\"") && key.contains("error=\"insufficient_scope\""),
            "{key}"
        );
    }
}
