//! What the person decided, and the provider's answer in the callback's address. Everything is bounded, and whatever
//! stands twice is refused (RFC 6749 §3.1).

use secrecy::SecretString;

use crate::pages::{is_token, only_once};

/// The longest authorization code that is passed on, in bytes.
const LONGEST_CODE: usize = 4 * 1024;
/// The longest of the other values in a provider's answer, in bytes.
const LONGEST_VALUE: usize = 512;

/// What the person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Link the account.
    Agree,
    /// Do not.
    Decline,
}

impl Decision {
    /// What a button of the form says.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "agree" => Some(Self::Agree),
            "decline" => Some(Self::Decline),
            _ => None,
        }
    }
}

/// The provider's answer as the callback's address has it (RFC 6749 §4.1.2, RFC 9207 §2).
pub(super) struct Callback {
    /// The state that the answer claims to belong to.
    pub(super) state: String,
    /// The code, or the error's code.
    pub(super) outcome: Result<SecretString, String>,
    /// The issuer, if it is named.
    pub(super) issuer: Option<String>,
}

/// Reads the provider's answer; `None` if it is none.
pub(super) fn callback(query: &str) -> Option<Callback> {
    let value = |name: &str, longest: usize| match only_once(query.as_bytes(), name) {
        Ok(value) if value.as_ref().is_none_or(|value| !value.is_empty() && value.len() <= longest) => {
            Ok(value)
        }
        _ => Err(()),
    };
    let state = value("state", LONGEST_VALUE).ok()?.filter(|state| is_token(state))?;
    let issuer = value("iss", LONGEST_VALUE).ok()?;
    let outcome = match (value("code", LONGEST_CODE).ok()?, value("error", LONGEST_VALUE).ok()?) {
        (Some(code), None) => Ok(SecretString::from(code)),
        (None, Some(error)) => Err(error),
        _ => return None,
    };
    Some(Callback { state, outcome, issuer })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const STATE: &str = "0123456789012345678901234567890123456789-_A";

    #[test]
    fn an_answer_has_a_state_and_either_a_code_or_an_error() {
        let read = |rest: &str| callback(&format!("state={STATE}{rest}"));
        let good = read("&code=a%2Fb&iss=https%3A%2F%2Fissuer.example&ignored=1").unwrap();
        assert_eq!(good.outcome.unwrap().expose_secret(), "a/b");
        assert_eq!((good.state.as_str(), good.issuer.as_deref()), (STATE, Some("https://issuer.example")));
        assert_eq!(read("&error=access_denied").unwrap().outcome.unwrap_err(), "access_denied");
        let too_long = format!("&code={}", "c".repeat(LONGEST_CODE + 1));
        for wrong in
            ["", "&code=", "&code=a&code=b", "&code=a&error=b", "&code=a&state=b", "&code=a&iss=", &too_long]
        {
            assert!(read(wrong).is_none(), "{wrong}");
        }
        assert!(callback("code=a").is_none() && callback("state=short&code=a").is_none());
    }
}
