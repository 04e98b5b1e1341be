//! Tidal's `users` resource, as far as linking needs it.

use serde::Deserialize;

use super::document::Resource;
use crate::account::Profile;
use crate::text;

/// `Users_Attributes`. More personal attributes come along; they stay unread.
#[derive(Deserialize)]
struct UserAttributes {
    username: Option<String>,
    country: Option<String>,
}

pub(super) fn profile(resource: &Resource) -> Option<Profile> {
    let attributes: Option<UserAttributes> = resource.attributes();
    let (name, country) = attributes.map_or((None, None), |held| (held.username, held.country));
    Some(Profile {
        account_id: resource.is("users").then(|| text::key(&resource.id)).flatten()?,
        name: name.as_deref().and_then(text::name),
        country: country.as_deref().and_then(text::country),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<Profile> {
        profile(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_id_is_enough_and_the_rest_is_cleaned() {
        let found =
            of(r#"{"id":"1234","type":"users","attributes":{"username":"Ro\nbin\u202e","country":"DE"}}"#);
        let found = found.unwrap();
        assert_eq!((found.name.as_deref(), found.country.as_deref()), (Some("Ro bin"), Some("DE")));
        let bare = Profile { account_id: "1234".to_owned(), name: None, country: None };
        assert_eq!(of(r#"{"id":"1234","type":"users"}"#), Some(bare));
    }

    #[test]
    fn another_resource_is_no_person() {
        assert_eq!(of(r#"{"id":"1234","type":"artists"}"#), None);
        assert_eq!(of(r#"{"id":"","type":"users"}"#), None);
    }
}
