//! Reading a token (RFC 7515 §3.1 compact form, RFC 7519) without believing it: the form, the header, the claims. Whether
//! it is signed by whom it says, and for us, is checked with what is read here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use stagedoor_domain::issuer::SigningAlgorithm;

use crate::strict_json;

/// The longest token, in bytes.
pub const LONGEST_TOKEN: usize = 8 * 1024;

/// The longest `kid` and the longest subject, in bytes (`OpenID` Connect Core §2 has 255 for the latter).
const LONGEST_NAME: usize = 255;

/// How deep header and claims may be nested.
const HEADER_DEPTH: u8 = 4;
const CLAIMS_DEPTH: u8 = 8;

/// Types of tokens that are access tokens (RFC 9068 §2.1), or say nothing of what they are. Others, such as `logout+jwt` or
/// `dpop+jwt`, are for something else.
const TYPES: [&str; 3] = ["at+jwt", "application/at+jwt", "jwt"];

/// A token that nobody has verified.
pub(super) struct Jwt<'a> {
    /// What is signed: header and claims as they stand in the token.
    message: &'a str,
    signature: &'a str,
    /// The algorithm that its header names.
    pub(super) algorithm: SigningAlgorithm,
    /// The key that its header names.
    pub(super) kid: String,
    claims: Map<String, Value>,
}

/// Why a text is no token that could be accepted; for the log of whoever debugs a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("it has not three parts of base64url")]
    Form,
    #[error("its header or its claims are no JSON object, have a member twice, or are nested too deep")]
    Json,
    #[error("its algorithm is none that is accepted anywhere")]
    Algorithm,
    #[error("its type is not that of an access token")]
    Type,
    #[error("its header has `crit`, which names nothing that is understood here")]
    Critical,
    #[error("its header names no key")]
    Kid,
    #[error("a claim is missing or has another type")]
    Claim,
    #[error("it is bound to a key of its holder, who has not shown that key")]
    Bound,
}

impl<'a> Jwt<'a> {
    /// Reads a token. Where its header says that keys may be had (`jku`, `x5u`, `jwk`, `x5c`) is not looked at.
    pub(super) fn read(token: &'a str) -> Result<Self, Flaw> {
        let (message, signature) = token.rsplit_once('.').ok_or(Flaw::Form)?;
        let (header, claims) = message.split_once('.').ok_or(Flaw::Form)?;
        if claims.contains('.') || signature.is_empty() {
            return Err(Flaw::Form);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Form);
        decode(signature)?;
        let header = strict_json::object(&decode(header)?, HEADER_DEPTH).map_err(|_| Flaw::Json)?;
        let algorithm = text(&header, "alg").and_then(|name| name.parse().ok()).ok_or(Flaw::Algorithm)?;
        match header.get("typ") {
            None => {}
            Some(Value::String(name)) if TYPES.iter().any(|known| known.eq_ignore_ascii_case(name)) => {}
            Some(_) => return Err(Flaw::Type),
        }
        // RFC 7515 §4.1.11: what it names must be understood, and we understand nothing of the kind.
        if header.contains_key("crit") {
            return Err(Flaw::Critical);
        }
        let kid = text(&header, "kid").filter(|kid| is_name(kid)).ok_or(Flaw::Kid)?.to_owned();
        let claims = strict_json::object(&decode(claims)?, CLAIMS_DEPTH).map_err(|_| Flaw::Json)?;
        // RFC 7800 §3.1: whoever presents it must prove to have the key, which a bearer does not.
        if claims.contains_key("cnf") {
            return Err(Flaw::Bound);
        }
        Ok(Self { message, signature, algorithm, kid, claims })
    }

    /// Who is said to have issued it.
    pub(super) fn issuer(&self) -> Result<&str, Flaw> {
        text(&self.claims, "iss").ok_or(Flaw::Claim)
    }

    /// Whom it is for.
    pub(super) fn audiences(&self) -> Result<Vec<&str>, Flaw> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(several)) => {
                several.iter().map(|one| one.as_str().ok_or(Flaw::Claim)).collect()
            }
            _ => Err(Flaw::Claim),
        }
    }

    /// The person, by the claim of that name.
    pub(super) fn subject(&self, claim: &str) -> Result<&str, Flaw> {
        text(&self.claims, claim).filter(|subject| is_name(subject)).ok_or(Flaw::Claim)
    }

    /// The name in a claim that may be left out. One that is there and holds something else is a flaw, never nothing.
    pub(super) fn optional(&self, claim: &str) -> Result<Option<&str>, Flaw> {
        if self.claims.contains_key(claim) { self.subject(claim).map(Some) } else { Ok(None) }
    }

    /// A time in seconds since 1970 (RFC 7519 §2, `NumericDate`); what is after the point is cut off. `None` without it.
    pub(super) fn time(&self, claim: &str) -> Result<Option<i64>, Flaw> {
        match self.claims.get(claim) {
            None => Ok(None),
            Some(Value::Number(number)) => seconds(number).map(Some).ok_or(Flaw::Claim),
            Some(_) => Err(Flaw::Claim),
        }
    }

    /// The values of `scope` (RFC 9068 §2.2.3), or of `scp`, as some servers call it; a text with blanks, or a list.
    pub(super) fn scope(&self) -> Result<Vec<&str>, Flaw> {
        match self.claims.get("scope").or_else(|| self.claims.get("scp")) {
            None => Ok(Vec::new()),
            Some(Value::String(values)) => Ok(values.split(' ').filter(|value| !value.is_empty()).collect()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().ok_or(Flaw::Claim)).collect()
            }
            Some(_) => Err(Flaw::Claim),
        }
    }

    /// Whether `key` has signed it with the algorithm that its header names; that the key may be used for this, whoever
    /// chose the key has seen to.
    pub(super) fn is_signed_with(&self, key: &DecodingKey) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, algorithm(self.algorithm))
            .unwrap_or(false)
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The last second of the year 9999, which is as far as times are understood.
const LAST_SECOND: i64 = 253_402_300_799;

fn seconds(number: &serde_json::Number) -> Option<i64> {
    let whole = number.as_i64().or_else(|| {
        // Digits before the point; of what is too large for them there are none.
        let seconds = number.as_f64()?.trunc();
        format!("{seconds:.0}").parse().ok()
    })?;
    (0..=LAST_SECOND).contains(&whole).then_some(whole)
}

const fn algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Rs384 => Algorithm::RS384,
        SigningAlgorithm::Rs512 => Algorithm::RS512,
        SigningAlgorithm::Ps256 => Algorithm::PS256,
        SigningAlgorithm::Ps384 => Algorithm::PS384,
        SigningAlgorithm::Ps512 => Algorithm::PS512,
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Es384 => Algorithm::ES384,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn flaw(header: &str, claims: &str) -> Option<Flaw> {
        Jwt::read(&token(header, claims)).err()
    }

    const HEADER: &str = r#"{"alg":"RS256","kid":"a","typ":"at+jwt"}"#;

    #[test]
    fn a_token_is_read_with_what_it_says() {
        let claims = json!({"iss": "https://a", "aud": ["b", "c"], "sub": "d", "exp": 1_700_000_000.9, "scope": "e  f"});
        let token = token(HEADER, &claims.to_string());
        let jwt = Jwt::read(&token).unwrap();
        assert_eq!(
            (jwt.algorithm, jwt.kid.as_str(), jwt.issuer()),
            (SigningAlgorithm::Rs256, "a", Ok("https://a"))
        );
        assert_eq!((jwt.audiences(), jwt.subject("sub")), (Ok(vec!["b", "c"]), Ok("d")));
        assert_eq!((jwt.time("exp"), jwt.time("nbf")), (Ok(Some(1_700_000_000)), Ok(None)));
        assert_eq!(jwt.scope(), Ok(vec!["e", "f"]));
        assert_eq!(jwt.subject("email"), Err(Flaw::Claim));
    }

    #[test]
    fn headers_that_ask_for_trust_are_refused() {
        for (header, wanted) in [
            (r#"{"alg":"none","kid":"a"}"#, Flaw::Algorithm),
            (r#"{"alg":"nOnE","kid":"a"}"#, Flaw::Algorithm),
            (r#"{"alg":"HS256","kid":"a"}"#, Flaw::Algorithm),
            (r#"{"alg":["RS256"],"kid":"a"}"#, Flaw::Algorithm),
            (r#"{"kid":"a"}"#, Flaw::Algorithm),
            (r#"{"alg":"RS256"}"#, Flaw::Kid),
            (r#"{"alg":"RS256","kid":""}"#, Flaw::Kid),
            (r#"{"alg":"RS256","kid":7}"#, Flaw::Kid),
            (r#"{"alg":"RS256","kid":"a\u0000b"}"#, Flaw::Kid),
            (r#"{"alg":"RS256","kid":"a","crit":["exp"]}"#, Flaw::Critical),
            (r#"{"alg":"RS256","kid":"a","typ":"logout+jwt"}"#, Flaw::Type),
            (r#"{"alg":"RS256","kid":"a","typ":["JWT"]}"#, Flaw::Type),
            (r#"{"alg":"RS256","alg":"none","kid":"a"}"#, Flaw::Json),
            ("[]", Flaw::Json),
        ] {
            assert_eq!(flaw(header, "{}"), Some(wanted), "{header}");
        }
        for typ in ["JWT", "jwt", "AT+JWT", "application/at+jwt"] {
            assert_eq!(flaw(&HEADER.replace("at+jwt", typ), "{}"), None, "{typ}");
        }
        assert_eq!(flaw(r#"{"alg":"ES256","kid":"a"}"#, "{}"), None, "many servers leave the type out");
    }

    #[test]
    fn claims_of_another_form_are_refused() {
        assert_eq!(flaw(HEADER, r#"{"iss":"a","iss":"b"}"#), Some(Flaw::Json));
        assert_eq!(flaw(HEADER, r#"{"cnf":{"jkt":"a"}}"#), Some(Flaw::Bound));
        let read =
            |claims: &str, check: fn(&Jwt<'_>) -> bool| check(&Jwt::read(&token(HEADER, claims)).unwrap());
        for exp in ["\"1700000000\"", "-1", "1e300", "9223372036854775807", "null", "[1]"] {
            assert!(read(&format!("{{\"exp\":{exp}}}"), |jwt| jwt.time("exp").is_err()), "{exp}");
        }
        for aud in ["7", "[7]", "null", "{}"] {
            assert!(read(&format!("{{\"aud\":{aud}}}"), |jwt| jwt.audiences().is_err()), "{aud}");
        }
        for sub in ["7", "\"\"", "\"a\\nb\"", "null"] {
            assert!(read(&format!("{{\"sub\":{sub}}}"), |jwt| jwt.subject("sub").is_err()), "{sub}");
        }
        assert!(read(r#"{"scope":7}"#, |jwt| jwt.scope().is_err()));
        assert!(read(r#"{"scp":["a","b"]}"#, |jwt| jwt.scope() == Ok(vec!["a", "b"])));
    }

    proptest::proptest! {
        /// What is read says the same whoever asks, and nothing that was not there.
        #[test]
        fn whatever_comes_is_read_or_refused(header in "\\PC{0,60}", member in "[a-z]{1,6}", text in "\\PC{0,40}") {
            let _ = Jwt::read(&token(&header, &text)).is_ok();
            let _ = Jwt::read(&format!("{header}.{member}.{text}")).is_ok();
            let claims = json!({ &member: &text }).to_string();
            let token = token(HEADER, &claims);
            if let Ok(jwt) = Jwt::read(&token) {
                proptest::prop_assert_eq!(jwt.issuer().is_ok(), member == "iss");
                let named = jwt.subject(&member).ok();
                proptest::prop_assert!(named.is_none_or(|name| name == text));
            } else {
                proptest::prop_assert_eq!(&member, "cnf");
            }
        }
    }

    #[test]
    fn other_forms_are_no_tokens() {
        let good = token(HEADER, "{}");
        let (message, _) = good.rsplit_once('.').unwrap();
        for wrong in [
            String::new(),
            "a.b".to_owned(),
            format!("{message}."),
            format!("{good}.x"),
            format!("{good}="),
            good.replace('.', ".="),
            "é.é.é".to_owned(),
        ] {
            assert_eq!(Jwt::read(&wrong).err(), Some(Flaw::Form), "{wrong}");
        }
    }
}
