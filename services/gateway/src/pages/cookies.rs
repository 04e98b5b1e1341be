//! The cookies of the pages (RFC 6265bis): which browser this is, that a form is ours, how a link ended.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};
use stagedoor_domain::{LinkAttemptId, PublicError};
use uuid::Uuid;

/// A cookie's life in the browser, in seconds: longer than any page works, whose own time is kept by the server.
const LIFE: u32 = 3_600;
/// How the names of cookies begin that say which browser agreed.
const AGREED: &str = "stagedoor-link-";
/// The longest value that is looked at, in bytes.
const LONGEST: usize = 3_500;

/// What a cookie is for. Where a link or a request is concerned its id is in the name, so that several at a time in one
/// browser do not take each other's place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The other half of a form's token: the form of this link or privacy request. Never sent by a page of another site.
    Form(Uuid),
    /// Which browser agreed. Must come along when the provider's site sends the person back.
    Browser(LinkAttemptId),
    /// How a link ended, for the page after the redirect.
    Ending,
}

impl Purpose {
    const fn same_site(self) -> &'static str {
        match self {
            Self::Form(_) => "Strict",
            Self::Browser(_) | Self::Ending => "Lax",
        }
    }
}

/// Where cookies are kept on this installation.
///
/// Over `https` their names begin with `__Host-`: no other host and no plain connection can plant one. That prefix
/// demands `Path=/`. Without `https` the path is the pages' own.
#[derive(Debug, Clone)]
pub(crate) struct Jar<'a> {
    secure: bool,
    path: &'a str,
}

impl<'a> Jar<'a> {
    /// The jar of the pages below `path`.
    pub(crate) const fn new(secure: bool, path: &'a str) -> Self {
        Self { secure, path }
    }

    /// The value that the browser sent.
    pub(crate) fn get<'h>(&self, headers: &'h HeaderMap, purpose: Purpose) -> Option<&'h str> {
        let name = self.name(purpose);
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(found, _)| *found == name)?;
        (!value.is_empty() && value.len() <= LONGEST).then_some(value)
    }

    /// Whether the browser has agreed to some link lately, as far as it says.
    pub(crate) fn has_agreed(&self, headers: &HeaderMap) -> bool {
        let beginning = format!("{}{AGREED}", self.prefix());
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies.flat_map(|line| line.split(';')).any(|pair| pair.trim().starts_with(&beginning))
    }

    /// The header that sets it; `value` is base64url.
    pub(crate) fn set(&self, purpose: Purpose, value: &str) -> Result<HeaderValue, PublicError> {
        self.write(purpose, value, LIFE)
    }

    /// The header that takes it away.
    pub(crate) fn clear(&self, purpose: Purpose) -> Result<HeaderValue, PublicError> {
        self.write(purpose, "", 0)
    }

    fn write(&self, purpose: Purpose, value: &str, life: u32) -> Result<HeaderValue, PublicError> {
        let (name, same_site) = (self.name(purpose), purpose.same_site());
        let mut cookie = format!("{name}={value}; Max-Age={life}; HttpOnly; SameSite={same_site}; Path=");
        cookie.push_str(if self.secure { "/; Secure" } else { self.path });
        let mut header = HeaderValue::try_from(cookie).map_err(|_| PublicError::internal())?;
        header.set_sensitive(true);
        Ok(header)
    }

    const fn prefix(&self) -> &'static str {
        if self.secure { "__Host-" } else { "" }
    }

    fn name(&self, purpose: Purpose) -> String {
        let prefix = self.prefix();
        match purpose {
            Purpose::Form(id) => format!("{prefix}stagedoor-form-{id}"),
            Purpose::Browser(attempt) => format!("{prefix}{AGREED}{attempt}"),
            Purpose::Ending => format!("{prefix}stagedoor-ending"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u128) -> LinkAttemptId {
        LinkAttemptId(Uuid::from_u128(number))
    }

    #[test]
    fn a_browser_keeps_several_links_apart() {
        let jar = Jar::new(false, "/t/acme/connect");
        let (one, two) = (Purpose::Browser(attempt(1)), Purpose::Browser(attempt(2)));
        let pair = |purpose, value| {
            let header = jar.set(purpose, value).unwrap();
            header.to_str().unwrap().split(';').next().unwrap().to_owned()
        };
        let line = format!("other=x; {};{}", pair(one, "first"), pair(two, "second"));
        let headers = HeaderMap::from_iter([(COOKIE, line.parse().unwrap())]);
        assert_eq!((jar.get(&headers, one), jar.get(&headers, two)), (Some("first"), Some("second")));
        assert_eq!(jar.get(&headers, Purpose::Form(attempt(1).0)), None);
    }

    #[test]
    fn a_cookie_says_who_may_send_it() {
        let text = |jar: Jar<'_>, purpose| jar.set(purpose, "v").unwrap().to_str().unwrap().to_owned();
        let form = text(Jar::new(true, "/t/acme/connect"), Purpose::Form(attempt(1).0));
        assert!(form.starts_with("__Host-stagedoor-form-00000000"), "{form}");
        assert!(form.ends_with("=v; Max-Age=3600; HttpOnly; SameSite=Strict; Path=/; Secure"), "{form}");
        let browser = text(Jar::new(false, "/t/acme/connect"), Purpose::Browser(attempt(1)));
        assert!(
            browser.ends_with("=v; Max-Age=3600; HttpOnly; SameSite=Lax; Path=/t/acme/connect"),
            "{browser}"
        );
        let cleared = Jar::new(false, "/t/acme/connect").clear(Purpose::Ending).unwrap();
        assert!(cleared.to_str().unwrap().starts_with("stagedoor-ending=; Max-Age=0;"));
    }
}
