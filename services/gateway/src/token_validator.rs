//! The only reader of credentials: `Authorization` → a key whose form and checksum are right. It looks nothing up;
//! whether there is such a key, `authn` knows.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_crypto::PlainApiKey;

/// The longest header that is looked at, in bytes. A key and its scheme have 77.
const LONGEST: usize = 512;

/// Reads the credentials of requests (RFC 6750 §2.1, RFC 9110 §11.4). Keys stand in this header and nowhere else: in an
/// address they would be logged on the way, in a body read too late.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenValidator;

impl TokenValidator {
    /// The key of a request.
    ///
    /// # Errors
    /// [`AuthFailure::Missing`] without the header. [`AuthFailure::Malformed`] if it stands twice, is too long, has
    /// another scheme, or what it holds is not a key by length, characters and checksum; so that a made-up key costs no
    /// look-up.
    pub fn validate(self, headers: &HeaderMap) -> Result<PlainApiKey, AuthFailure> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(AuthFailure::Missing)?;
        // Of two keys, whoever stands before us may have checked the other.
        if values.next().is_some() {
            return Err(AuthFailure::Malformed);
        }
        bearer(value).and_then(|token| PlainApiKey::parse(token).ok()).ok_or(AuthFailure::Malformed)
    }
}

/// What stands behind the scheme: `Bearer`, one blank or more, and a `token68` without blanks.
fn bearer(value: &HeaderValue) -> Option<&str> {
    if value.len() > LONGEST {
        return None;
    }
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let token = rest.trim_start_matches(' ').trim_end_matches([' ', '\t']);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (scheme.eq_ignore_ascii_case("bearer") && token.bytes().all(allowed)).then_some(token)
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::{KeyMode, SystemEntropy};

    use super::*;

    fn verdict(values: &[&[u8]]) -> Result<String, AuthFailure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        TokenValidator.validate(&headers).map(|key| key.expose_secret().to_owned())
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
        let blanks = good.replace(' ', &" ".repeat(LONGEST));
        let (basic, tab, list) =
            (good.replace("Bearer", "Basic"), good.replace(' ', "\t"), format!("{good}, {good}"));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer \xff\xfe",
            &mistyped,
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
