//! An address that may hold a password: kept from logs, and shown without it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use url::Url;

const HIDDEN: &str = "***";

/// A connection's address with its password. Empty means that none was given.
#[derive(Clone, Default)]
pub struct SecretUrl(SecretString);

impl SecretUrl {
    /// Wraps an address.
    pub fn new(address: impl Into<String>) -> Self {
        Self(SecretString::from(address.into()))
    }

    /// The address with its password: for opening a connection only.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// The addresses of a list with commas between, such as those of a cluster; one that is no list is one address.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        let listed = self.expose().matches("://").count() > 1;
        self.expose().split(move |mark| listed && mark == ',')
    }

    /// The address without what is secret in it.
    pub fn redacted(&self) -> String {
        self.each().map(redacted).collect::<Vec<_>>().join(",")
    }
}

fn redacted(address: &str) -> String {
    if address.is_empty() {
        return String::new();
    }
    let Ok(mut address) = Url::parse(address) else { return HIDDEN.to_owned() };
    if address.password().is_some() && address.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    // Drivers take passwords as parameters too, under names of their own.
    if address.query().is_some() {
        address.set_query(Some(HIDDEN));
    }
    address.to_string()
}

/// Hides what is secret in addresses anywhere in a value: one that is to hold no password may hold one before it is checked.
pub(super) fn hide(value: &mut Value) {
    match value {
        Value::String(text) => {
            let Ok(mut address) = Url::parse(text) else { return };
            // Without a password, the name may be a token; drivers' own addresses are without secrets already.
            let token = matches!(address.scheme(), "http" | "https" | "s3" | "gs" | "az");
            let held = address.password().is_some();
            if token && !address.username().is_empty() && address.set_username(HIDDEN).is_err()
                || held && address.set_password(Some(HIDDEN)).is_err()
            {
                HIDDEN.clone_into(text);
            } else if held || token && !address.username().is_empty() {
                *text = address.to_string();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Object(values) => values.values_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl From<&str> for SecretUrl {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

impl From<String> for SecretUrl {
    fn from(address: String) -> Self {
        Self::new(address)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({})", self.redacted())
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The parser's own message would repeat the value.
        String::deserialize(deserializer)
            .map(Self::new)
            .map_err(|_| serde::de::Error::custom("it is not text"))
    }
}

impl JsonSchema for SecretUrl {
    fn schema_name() -> Cow<'static, str> {
        "SecretUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{SecretUrl, hide};

    #[test]
    fn addresses_that_are_to_hold_no_password_are_shown_without_it() {
        let mut value = json!({
            "with": ["http://user:hunter2@collector:4318/", "s3://AKIA:hunter2@bucket/a", "https://hunter2@music.example.com/"],
            "without": ["https://music.example.com", "postgres://app:***@db/stagedoor", "postgres://app@db/x", "info,sqlx=warn", 7],
        });
        let without = value["without"].clone();
        hide(&mut value);
        assert!(!value.to_string().contains("hunter2"), "{value}");
        assert_eq!(value["with"][1], "s3://***:***@bucket/a");
        assert_eq!(value["without"], without);
    }

    #[test]
    fn nothing_shows_a_password() {
        for (address, shown) in [
            ("postgres://app:pa55@db:5432/stagedoor", "postgres://app:***@db:5432/stagedoor"),
            ("postgres://db/stagedoor?user=app&password=pa55", "postgres://db/stagedoor?***"),
            ("redis://:pa55@cache:6379/", "redis://:***@cache:6379/"),
            (
                "redis://:pa55@a:6379/,rediss://b:6379/,redis://u:pa55@c/",
                "redis://:***@a:6379/,rediss://b:6379/,redis://u:***@c/",
            ),
            ("redis://:pa55,55@a:6379/", "redis://:***@a:6379/"),
            ("redis://a/,pa55@b://x", "redis://a/,***"),
            ("pa55 without any form", "***"),
            ("", ""),
        ] {
            let secret = SecretUrl::new(address);
            assert_eq!(secret.redacted(), shown);
            assert!(!format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()).contains("pa55"));
        }
    }
}
