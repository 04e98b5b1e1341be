//! What a key may be called and hold: the rules that whoever makes or changes one is told by field.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_domain::text::clean;
use stagedoor_domain::{ScopeSet, ToolsetSet};

use super::NewApiKey;
use crate::error::StoreError;

/// The longest name, in characters.
pub const LONGEST_NAME: usize = 100;
/// The longest reason of a revocation, in characters.
pub const LONGEST_REASON: usize = 200;
/// The most networks that one key lists.
pub const MOST_NETWORKS: usize = 64;
/// The longest that a key goes on working beside the one that replaced it.
pub const LONGEST_OVERLAP: Duration = Duration::from_hours(7 * 24);

impl NewApiKey {
    /// Whether a key may be like this, made at `now`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names the first field that is wrong.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        name(&self.name)?;
        scopes(self.scopes)?;
        toolsets(self.toolsets)?;
        networks(&self.allowed_networks)?;
        expiry(self.expires_at, now)
    }
}

pub(super) fn name(name: &str) -> Result<(), StoreError> {
    printable("name", name, LONGEST_NAME)
}

pub(super) fn reason(reason: &str) -> Result<(), StoreError> {
    printable("reason", reason, LONGEST_REASON)
}

pub(super) fn scopes(scopes: ScopeSet) -> Result<(), StoreError> {
    if scopes.is_empty() {
        return Err(StoreError::invalid("scopes", "a key needs at least one scope"));
    }
    Ok(())
}

pub(super) fn toolsets(toolsets: Option<ToolsetSet>) -> Result<(), StoreError> {
    if toolsets.is_some_and(|toolsets| toolsets.iter().next().is_none()) {
        return Err(StoreError::invalid(
            "toolsets",
            "a key that is shown no tool is of no use; leave it out for all",
        ));
    }
    Ok(())
}

pub(super) fn networks(networks: &[IpNet]) -> Result<(), StoreError> {
    if networks.len() > MOST_NETWORKS {
        let problem = format!("at most {MOST_NETWORKS} networks, here are {}", networks.len());
        return Err(StoreError::invalid("allowed_networks", problem));
    }
    Ok(())
}

pub(super) fn expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), StoreError> {
    if expires_at.is_some_and(|end| end <= now) {
        return Err(StoreError::invalid("expires_at", "it is over already; revoke a key to end it now"));
    }
    Ok(())
}

pub(super) fn overlap(overlap: Duration) -> Result<(), StoreError> {
    if overlap > LONGEST_OVERLAP {
        return Err(StoreError::invalid("overlap", "at most seven days"));
    }
    Ok(())
}

/// Something that shows, without blanks around it and without characters that hide or reorder others.
fn printable(field: &'static str, text: &str, longest: usize) -> Result<(), StoreError> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err(StoreError::invalid(field, "it is empty"))
    } else if length > longest {
        Err(StoreError::invalid(field, format!("at most {longest} characters, it has {length}")))
    } else if clean(text, longest) != text {
        Err(StoreError::invalid(field, "it has blanks around it, or characters that do not show"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::{Clock as _, SystemClock};

    use super::*;

    fn key() -> NewApiKey {
        NewApiKey {
            name: "assistant".to_owned(),
            scopes: ScopeSet::all(),
            toolsets: None,
            read_only: false,
            user: None,
            allowed_networks: Vec::new(),
            expires_at: None,
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let now = SystemClock::new().now();
        let field = |key: NewApiKey| match key.check(now) {
            Ok(()) => "",
            Err(StoreError::Invalid { field, .. }) => field,
            Err(other) => panic!("{other}"),
        };
        let network: IpNet = "10.0.0.0/8".parse().unwrap();
        assert_eq!(field(key()), "");
        assert_eq!(field(NewApiKey { name: "Nächtlicher Abgleich (2)".to_owned(), ..key() }), "");
        for name in ["", "  ", " a", "a\u{202e}b", "a\nb", &"x".repeat(LONGEST_NAME + 1)] {
            assert_eq!(field(NewApiKey { name: name.to_owned(), ..key() }), "name", "{name:?}");
        }
        assert_eq!(field(NewApiKey { scopes: ScopeSet::empty(), ..key() }), "scopes");
        assert_eq!(field(NewApiKey { toolsets: Some(ToolsetSet::empty()), ..key() }), "toolsets");
        let networks = vec![network; MOST_NETWORKS + 1];
        assert_eq!(field(NewApiKey { allowed_networks: networks, ..key() }), "allowed_networks");
        assert_eq!(field(NewApiKey { expires_at: Some(now), ..key() }), "expires_at");
        let later = now + chrono::TimeDelta::seconds(1);
        assert_eq!(field(NewApiKey { expires_at: Some(later), ..key() }), "");
    }
}
