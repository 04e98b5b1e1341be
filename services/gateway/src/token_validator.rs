//! The only reader of credentials: `Authorization` → a key whose form and checksum are right, or what may be a token. It
//! looks nothing up; whether there is such a key, `authn` knows, and what a token says, `oauth` reads.

use std::fmt;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_crypto::{KeyMode, PlainApiKey};

use crate::oauth::LONGEST_TOKEN;

/// The longest header that is looked at for a key, in bytes. A key and its scheme have 77.
const LONGEST: usize = 512;

/// What an agent shows.
#[derive(Debug)]
pub enum Credential<'a> {
    /// A key of ours.
    Key(PlainApiKey),
    /// What may be a token of someone else.
    Token(Token<'a>),
}

/// The text of a token, which is as good as its holder's password while it lasts.
#[derive(Clone, Copy)]
pub struct Token<'a>(&'a str);

impl<'a> Token<'a> {
    /// The text.
    pub fn expose_secret(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Reads the credentials of requests (RFC 6750 §2.1, RFC 9110 §11.4). Keys stand in this header and nowhere else: in an
/// address they would be logged on the way, in a body read too late.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenValidator;

impl TokenValidator {
    /// The key or the token of a request.
    ///
    /// # Errors
    /// [`AuthFailure::Missing`] without the header. [`AuthFailure::Malformed`] if it stands twice, is too long, has
    /// another scheme, or what it holds is neither a key by length, characters and checksum, nor three parts with points
    /// between them; so that a made-up key costs no look-up.
    pub fn validate(self, headers: &HeaderMap) -> Result<Credential<'_>, AuthFailure> {
        if let Some(token) = token(single(headers)?) {
            return Ok(Credential::Token(token));
        }
        let key = key(headers)?;
        if key.mode() == KeyMode::Admin { Err(AuthFailure::Malformed) } else { Ok(Credential::Key(key)) }
    }

    /// The key or the token of a request to the admin API, by the same rules.
    ///
    /// # Errors
    /// As [`Self::validate`]; an agent's key is of another form.
    pub fn validate_admin(self, headers: &HeaderMap) -> Result<Credential<'_>, AuthFailure> {
        if let Some(token) = token(single(headers)?) {
            return Ok(Credential::Token(token));
        }
        let key = key(headers)?;
        if key.mode() == KeyMode::Admin { Ok(Credential::Key(key)) } else { Err(AuthFailure::Malformed) }
    }
}

/// A key of ours, whoever it is for.
fn key(headers: &HeaderMap) -> Result<PlainApiKey, AuthFailure> {
    let value = Some(single(headers)?).filter(|value| value.len() <= LONGEST);
    value.and_then(bearer).and_then(|token| PlainApiKey::parse(token).ok()).ok_or(AuthFailure::Malformed)
}

/// The only value of the header. Of two keys, whoever stands before us may have checked the other.
fn single(headers: &HeaderMap) -> Result<&HeaderValue, AuthFailure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthFailure::Missing)?;
    if values.next().is_some() { Err(AuthFailure::Malformed) } else { Ok(value) }
}

/// What has the form of a signed token (RFC 7515 §3.1): no key of ours has a point in it.
fn token(value: &HeaderValue) -> Option<Token<'_>> {
    let value = Some(value).filter(|value| value.len() <= LONGEST_TOKEN + LONGEST)?;
    let text = bearer(value).filter(|text| text.len() <= LONGEST_TOKEN)?;
    (text.bytes().filter(|byte| *byte == b'.').count() == 2).then_some(Token(text))
}

/// What stands behind the scheme: `Bearer`, one blank or more, and a `token68` without blanks.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let token = rest.trim_start_matches(' ').trim_end_matches([' ', '\t']);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (scheme.eq_ignore_ascii_case("bearer") && token.bytes().all(allowed)).then_some(token)
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::SystemEntropy;

    use super::*;

    fn verdict(values: &[&[u8]]) -> Result<String, AuthFailure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        TokenValidator.validate(&headers).map(|credential| match credential {
            Credential::Key(key) => key.expose_secret().to_owned(),
            Credential::Token(token) => token.expose_secret().to_owned(),
        })
    }

    #[test]
    fn what_has_three_parts_is_a_token_and_is_not_shown() {
        let token = format!("{}.{}.{}", "a".repeat(4_000), "b".repeat(4_000), "c".repeat(190));
        assert_eq!(verdict(&[format!("Bearer {token}").as_bytes()]).as_deref(), Ok(token.as_str()));
        assert_eq!(
            verdict(&[format!("Bearer {token}c").as_bytes()]),
            Err(AuthFailure::Malformed),
            "too long"
        );
        for wrong in ["a.b", "a.b.c.d", "a.b.c,d", "a.b. c"] {
            assert_eq!(
                verdict(&[format!("Bearer {wrong}").as_bytes()]),
                Err(AuthFailure::Malformed),
                "{wrong}"
            );
        }
        assert_eq!(format!("{:?}", Token("a.b.c")), "Token(…)");
    }

    #[test]
    fn one_key_in_one_header_is_read() {
        let key = PlainApiKey::generate(&SystemEntropy, KeyMode::Test);
        let text = key.expose_secret();
        for value in [format!("Bearer {text}"), format!("bEARER   {text}"), format!("Bearer {text} \t")] {
            assert_eq!(verdict(&[value.as_bytes()]).as_deref(), Ok(text), "{value:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_before_any_look_up() {
        let key = PlainApiKey::generate(&SystemEntropy, KeyMode::Test);
        let good = format!("Bearer {}", key.expose_secret());
        let mut mistyped = good.clone().into_bytes();
        mistyped[40] = if mistyped[40] == b'a' { b'b' } else { b'a' };
        assert_eq!(verdict(&[]), Err(AuthFailure::Missing));
        assert_eq!(verdict(&[good.as_bytes(), good.as_bytes()]), Err(AuthFailure::Malformed), "twice");
        let admins = PlainApiKey::generate(&SystemEntropy, KeyMode::Admin);
        let admins = format!("Bearer {}", admins.expose_secret());
        let blanks = good.replace(' ', &" ".repeat(LONGEST));
        let (basic, tab, list) =
            (good.replace("Bearer", "Basic"), good.replace(' ', "\t"), format!("{good}, {good}"));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer \xff\xfe",
            &mistyped,
            admins.as_bytes(),
            blanks.as_bytes(),
            basic.as_bytes(),
            tab.as_bytes(),
            list.as_bytes(),
            key.expose_secret().as_bytes(),
            &good.as_bytes()[..good.len() - 1],
        ] {
            assert_eq!(
                verdict(&[wrong]),
                Err(AuthFailure::Malformed),
                "{:?}",
                String::from_utf8_lossy(wrong)
            );
        }
    }
}
