//! Spotify's profile of the caller, as far as linking needs it.

use serde::Deserialize;

use crate::account::Profile;
use crate::text;

/// `PrivateUserObject`. Its `country` is there only with `user-read-private`.
#[derive(Deserialize)]
pub(super) struct PrivateUser {
    /// The key to link by since May 2026; `id` is a name of the past that people could choose.
    account_id: Option<String>,
    id: Option<String>,
    display_name: Option<String>,
    country: Option<String>,
}

impl PrivateUser {
    /// The name that playlists call their owner by.
    pub(super) fn user_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn into_profile(self) -> Option<Profile> {
        let account_id = self.account_id.as_deref().and_then(text::key);
        Some(Profile {
            account_id: account_id.or_else(|| text::key(self.id.as_deref()?))?,
            name: self.display_name.as_deref().and_then(text::name),
            country: self.country.as_deref().and_then(text::country),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: &str) -> Option<Profile> {
        serde_json::from_str::<PrivateUser>(json).unwrap().into_profile()
    }

    #[test]
    fn the_account_id_comes_before_the_id() {
        let found = profile(
            r#"{"account_id":"aB3dE5fG7h","id":"robin","display_name":"Ro\u202ebin","country":"de","email":"x"}"#,
        )
        .unwrap();
        let expected = ("aB3dE5fG7h", Some("Robin"), Some("DE"));
        assert_eq!((&*found.account_id, found.name.as_deref(), found.country.as_deref()), expected);
        assert_eq!(profile(r#"{"id":"robin"}"#).unwrap().account_id, "robin");
        assert_eq!(profile(r#"{"account_id":"","id":"robin"}"#).unwrap().account_id, "robin");
        assert_eq!(profile(r#"{"account_id":null,"display_name":null}"#), None);
    }

    #[test]
    fn what_is_no_key_or_country_is_not_taken_for_one() {
        assert_eq!(profile(r#"{"account_id":"a\u200bb"}"#), None, "two keys must not become one by cleaning");
        assert_eq!(profile(r#"{"id":"x","country":"Germany"}"#).unwrap().country, None);
        assert_eq!(profile(&format!(r#"{{"id":"{}"}}"#, "x".repeat(129))), None);
    }
}
