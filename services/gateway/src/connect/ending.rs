//! How a link ended, carried over one redirect in a cookie, so that the end page can be loaded again without asking
//! the provider's answer to work twice. The browser could write anything into it: it is shown, never believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use stagedoor_domain::text::clean;
use stagedoor_domain::{LinkAttemptId, Provider};

/// The most scopes that are listed.
const MOST_SCOPES: usize = 20;
/// The longest name shown, in characters.
const LONGEST_NAME: usize = 80;

/// A good or a wanted end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// The account was linked.
    Linked {
        /// By which link.
        link: LinkAttemptId,
        /// Where.
        provider: Provider,
        /// The account's name.
        account: String,
        /// What had been agreed to and was not granted.
        missing: Vec<String>,
    },
    /// The person said no.
    Declined,
}

impl Ending {
    /// The text of the cookie.
    pub(super) fn encode(&self) -> String {
        let bounded = self.clone().bounded();
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&bounded).unwrap_or_default())
    }

    /// What the cookie's text says, if it says anything.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice::<Self>(&bytes).ok().map(Self::bounded)
    }

    fn bounded(self) -> Self {
        match self {
            Self::Linked { link, provider, account, missing } => Self::Linked {
                link,
                provider,
                account: clean(&account, LONGEST_NAME),
                missing: missing.iter().take(MOST_SCOPES).map(|scope| scope_name(scope)).collect(),
            },
            Self::Declined => Self::Declined,
        }
    }
}

/// A scope as it is shown; none of either provider has another character (RFC 6749 §3.3 allows a few more).
fn scope_name(scope: &str) -> String {
    let plain = |character: &char| character.is_ascii_alphanumeric() || "-_.:/".contains(*character);
    scope.chars().filter(plain).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_ours_is_nothing() {
        let ending = Ending::Linked {
            link: LinkAttemptId(uuid::Uuid::from_u128(7)),
            provider: Provider::Tidal,
            account: "R\u{f6}bin \u{202e}".repeat(100),
            missing: vec!["playlists.write".repeat(30); 100],
        };
        let encoded = ending.encode();
        assert!(encoded.len() < 3_500, "{}", encoded.len());
        assert_eq!(Ending::decode(&encoded), Some(ending.bounded()));
        assert_eq!(Ending::decode(&Ending::Declined.encode()), Some(Ending::Declined));
        assert_eq!(Ending::decode("e30"), None);
        assert_eq!(Ending::decode("<script>"), None);
    }
}
