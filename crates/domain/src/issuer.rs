//! Who else may sign agents in: an issuer of JSON Web Tokens that a tenant has registered, and what its tokens may do
//! here. How a token is read and checked is the gateway's.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::ids::IssuerId;
use crate::scope::{Scope, ScopeSet, closed_set};
use crate::tool::ToolsetSet;

closed_set!(
    /// A signature algorithm of tokens (RFC 7518 §3.1, RFC 8037 §3.1). There is none without a signature and none with a
    /// shared secret, so neither can be registered.
    SigningAlgorithm, SigningAlgorithms, "A set of signature algorithms." {
        Rs256 = "RS256",
        Rs384 = "RS384",
        Rs512 = "RS512",
        Ps256 = "PS256",
        Ps384 = "PS384",
        Ps512 = "PS512",
        Es256 = "ES256",
        Es384 = "ES384",
        EdDsa = "EdDSA",
    }
);

impl SigningAlgorithms {
    /// What an issuer signs with that was registered without saying so: RS256, PS256, ES256 and `EdDSA`.
    pub fn usual() -> Self {
        [SigningAlgorithm::Rs256, SigningAlgorithm::Ps256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa]
            .into_iter()
            .collect()
    }
}

/// What becomes of a token whose subject is nobody yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UserProvisioning {
    /// It is refused.
    #[default]
    Existing,
    /// A person is added with that subject.
    Create,
}

impl UserProvisioning {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Existing => "existing",
            Self::Create => "create",
        }
    }
}

impl fmt::Display for UserProvisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for UserProvisioning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "existing" => Ok(Self::Existing),
            "create" => Ok(Self::Create),
            _ => Err(format!("unknown provisioning {text:?}; known: existing, create")),
        }
    }
}

/// An issuer of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its id.
    pub id: IssuerId,
    /// Its address, exactly as its tokens name it in `iss`.
    pub url: String,
    /// Where its keys are; `None` to find out by discovery (RFC 8414).
    pub jwks_uri: Option<String>,
    /// The signatures that are accepted.
    pub algorithms: SigningAlgorithms,
    /// The claim that names the person.
    pub subject_claim: String,
    /// What stands before the token's subject in the person's `external_subject`: empty, or a name and a colon. A subject
    /// belongs to the issuer with the longest prefix that fits.
    pub subject_prefix: String,
    /// What a value of the token's `scope` gives. If it is empty, scopes have our own names.
    pub scope_map: BTreeMap<String, ScopeSet>,
    /// Which tools its tokens are shown at most; `None` means all, those of later releases too.
    pub toolsets: Option<ToolsetSet>,
    /// Whether tools that write are withheld.
    pub read_only: bool,
    /// What becomes of subjects that are nobody yet.
    pub provisioning: UserProvisioning,
    /// Whether its tokens are accepted.
    pub enabled: bool,
}

/// What is wrong with an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidIssuer {
    /// The field, by its name in [`Issuer`].
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Issuer {
    /// The most issuers that a tenant may have.
    pub const MOST: usize = 16;
    /// The longest address, in bytes.
    pub const LONGEST_URL: usize = 512;
    /// The most values that `scope_map` may have, and the longest of them.
    pub const SCOPE_VALUES: (usize, usize) = (64, 128);

    /// An issuer that is discovered, signs as usual, speaks of people whom the tenant knows, in our own scopes.
    pub fn new(id: IssuerId, url: impl Into<String>) -> Self {
        Self {
            id,
            url: url.into(),
            jwks_uri: None,
            algorithms: SigningAlgorithms::usual(),
            subject_claim: "sub".to_owned(),
            subject_prefix: String::new(),
            scope_map: BTreeMap::new(),
            toolsets: None,
            read_only: false,
            provisioning: UserProvisioning::default(),
            enabled: true,
        }
    }

    /// Whether everything has the form that it must have. Plain `http` is an address only where `plain_http` says that
    /// the installation fetches from such.
    ///
    /// # Errors
    /// The first field that has not.
    pub fn check(&self, plain_http: bool) -> Result<(), InvalidIssuer> {
        let wrong = |field, problem: &str| Err(InvalidIssuer { field, problem: problem.to_owned() });
        if let Err(problem) = check_address(&self.url, plain_http) {
            return wrong("url", problem);
        }
        // RFC 8414 §2; an issuer's keys may have a query.
        if self.url.contains('?') {
            return wrong("url", "an issuer has no query");
        }
        if let Some(problem) = self.jwks_uri.as_ref().and_then(|uri| check_address(uri, plain_http).err()) {
            return wrong("jwks_uri", problem);
        }
        if self.algorithms.is_empty() {
            return wrong("algorithms", "at least one is needed");
        }
        if !(1..=64).contains(&self.subject_claim.len()) || self.subject_claim.chars().any(char::is_control) {
            return wrong("subject_claim", "wanted: the name of a claim, such as `sub`");
        }
        if !is_prefix(&self.subject_prefix) {
            return wrong(
                "subject_prefix",
                "wanted: nothing, or up to 32 characters of [A-Za-z0-9._-] and a colon",
            );
        }
        let (most, longest) = Self::SCOPE_VALUES;
        if self.scope_map.len() > most {
            return wrong("scope_map", "it has more than 64 values");
        }
        for (value, scopes) in &self.scope_map {
            if !(1..=longest).contains(&value.len()) || !is_scope_token(value) {
                return wrong("scope_map", "a value is no scope (RFC 6749 §3.3)");
            }
            if scopes.is_empty() {
                return wrong("scope_map", "a value gives no scope");
            }
        }
        Ok(())
    }

    /// What the values of a token's `scope` give here. What is not known gives nothing.
    pub fn scopes<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> ScopeSet {
        let mut scopes = ScopeSet::empty();
        for value in values {
            let given = if self.scope_map.is_empty() {
                value.parse::<Scope>().map_or(ScopeSet::empty(), |scope| ScopeSet::empty().with(scope))
            } else {
                self.scope_map.get(value).copied().unwrap_or_default()
            };
            scopes = scopes.iter().chain(given.iter()).collect();
        }
        scopes
    }

    /// The values of `scope` that a client has to ask this issuer for to get `wanted`: those that give any of it.
    pub fn scope_values(&self, wanted: ScopeSet) -> Vec<String> {
        if self.scope_map.is_empty() {
            return wanted.iter().map(|scope| scope.as_str().to_owned()).collect();
        }
        let gives = |scopes: &ScopeSet| !scopes.intersection(wanted).is_empty();
        self.scope_map.iter().filter(|(_, scopes)| gives(scopes)).map(|(value, _)| value.clone()).collect()
    }

    /// The name by which the tenant knows the person of a token's subject.
    pub fn external_subject(&self, subject: &str) -> String {
        format!("{}{subject}", self.subject_prefix)
    }
}

fn check_address(text: &str, plain_http: bool) -> Result<(), &'static str> {
    let wanted = "wanted: an address such as `https://login.example.com`, without user name and fragment";
    if text.len() > Issuer::LONGEST_URL || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(wanted);
    }
    let url = Url::parse(text).map_err(|_| wanted)?;
    let secure = url.scheme() == "https" || (plain_http && url.scheme() == "http");
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if secure && bare && url.has_host() { Ok(()) } else { Err(wanted) }
}

fn is_prefix(text: &str) -> bool {
    let Some(name) = text.strip_suffix(':') else { return text.is_empty() };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=32).contains(&name.len()) && name.bytes().all(allowed)
}

/// RFC 6749 §3.3: printable ASCII without blanks, quotes and backslashes.
fn is_scope_token(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn issuer() -> Issuer {
        Issuer::new(IssuerId(Uuid::nil()), "https://login.example.com/tenant")
    }

    #[test]
    fn a_new_issuer_is_right_and_each_slip_is_named() {
        assert_eq!(issuer().check(false), Ok(()));
        let field = |change: fn(&mut Issuer)| {
            let mut issuer = issuer();
            change(&mut issuer);
            issuer.check(false).unwrap_err().field
        };
        for url in
            ["", "login.example.com", "http://login.example.com", "ftp://a", "https://a/#b", "https://u@a"]
        {
            assert_eq!(
                Issuer { url: url.to_owned(), ..issuer() }.check(false).unwrap_err().field,
                "url",
                "{url}"
            );
        }
        assert_eq!(field(|issuer| issuer.url.push_str("?a=b")), "url");
        assert_eq!(field(|issuer| issuer.jwks_uri = Some("http://keys.example.com".to_owned())), "jwks_uri");
        assert_eq!(field(|issuer| issuer.algorithms = SigningAlgorithms::empty()), "algorithms");
        assert_eq!(field(|issuer| issuer.subject_claim.clear()), "subject_claim");
        for prefix in ["a", ":", "a b:", "ä:"] {
            let issuer = Issuer { subject_prefix: prefix.to_owned(), ..issuer() };
            assert_eq!(issuer.check(false).unwrap_err().field, "subject_prefix", "{prefix}");
        }
        let mapped =
            |value: &str, scopes| Issuer { scope_map: [(value.to_owned(), scopes)].into(), ..issuer() };
        assert_eq!(mapped("two words", ScopeSet::all()).check(false).unwrap_err().field, "scope_map");
        assert_eq!(mapped("music", ScopeSet::empty()).check(false).unwrap_err().field, "scope_map");
        assert_eq!(mapped("https://a/music.read", ScopeSet::all()).check(false), Ok(()));
        assert_eq!(Issuer { url: "http://127.0.0.1:1/".to_owned(), ..issuer() }.check(true), Ok(()));
    }

    #[test]
    fn neither_none_nor_a_shared_secret_is_an_algorithm() {
        for wrong in ["none", "None", "HS256", "HS384", "HS512", "ES512", "rs256", ""] {
            assert!(wrong.parse::<SigningAlgorithm>().is_err(), "{wrong}");
        }
        assert_eq!(SigningAlgorithms::usual().to_string(), "RS256 PS256 ES256 EdDSA");
    }

    #[test]
    fn scopes_are_ours_or_what_the_map_says_and_never_both() {
        let ours = issuer();
        assert_eq!(
            ours.scopes(["catalog:read", "openid", "library:read"]).to_string(),
            "catalog:read library:read"
        );
        assert_eq!(ours.scope_values(ScopeSet::empty().with(Scope::LibraryWrite)), ["library:write"]);
        let read: ScopeSet = [Scope::CatalogRead, Scope::LibraryRead].into_iter().collect();
        let write = ScopeSet::empty().with(Scope::LibraryWrite);
        let map = [("music.read".to_owned(), read), ("music.write".to_owned(), write)].into();
        let mapped = Issuer { scope_map: map, ..ours };
        assert_eq!(
            mapped.scopes(["music.read", "library:write"]),
            read,
            "a name of ours is no value of the map"
        );
        assert_eq!(mapped.scope_values(ScopeSet::empty().with(Scope::CatalogRead)), ["music.read"]);
        assert_eq!(mapped.scope_values(ScopeSet::all()), ["music.read", "music.write"]);
    }
}
