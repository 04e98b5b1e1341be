//! What a principal may do. A closed set, kept as bits so that a check is one instruction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident, $set:ident, $set_doc:literal { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each variant is its own text")]
        pub enum $name { $($variant),+ }

        impl $name {
            /// Every value, in the order in which lists show them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable text form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("unknown {} {text:?}; known: {}", $crate::scope::words(stringify!($name)),
                        Self::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", "))),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[doc = $set_doc]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $set(u64);

        impl $set {
            /// Nothing.
            pub const fn empty() -> Self {
                Self(0)
            }

            /// Everything.
            pub fn all() -> Self {
                $name::ALL.iter().copied().collect()
            }

            /// Whether `value` is in the set.
            pub const fn contains(self, value: $name) -> bool {
                self.0 & (1 << value as u32) != 0
            }

            /// The set with `value` in it.
            #[must_use]
            pub const fn with(self, value: $name) -> Self {
                Self(self.0 | 1 << value as u32)
            }

            /// What both sets have.
            #[must_use]
            pub const fn intersection(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// Whether nothing is in the set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The members, in the order of the enum.
            pub fn iter(self) -> impl Iterator<Item = $name> {
                $name::ALL.iter().copied().filter(move |value| self.contains(*value))
            }

            /// The bits, stable within one process only; for cache keys in memory.
            pub const fn bits(self) -> u64 {
                self.0
            }
        }

        impl FromIterator<$name> for $set {
            fn from_iter<I: IntoIterator<Item = $name>>(values: I) -> Self {
                values.into_iter().fold(Self::empty(), Self::with)
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }

        impl fmt::Display for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, value) in self.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { " " })?;
                }
                Ok(())
            }
        }
    };
}
pub(crate) use closed_set;

/// The name of a type as people write it: `RepeatMode` is a repeat mode.
pub(crate) fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 2);
    for (index, character) in name.char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}

closed_set!(
    /// A permission of a principal, in the text form that keys, tokens and challenges use.
    Scope, ScopeSet, "A set of scopes." {
        CatalogRead = "catalog:read",
        LibraryRead = "library:read",
        LibraryWrite = "library:write",
        PlaylistsRead = "playlists:read",
        PlaylistsWrite = "playlists:write",
        PlaybackRead = "playback:read",
        PlaybackWrite = "playback:write",
        HistoryRead = "history:read",
        RecommendationsRead = "recommendations:read",
        QueuesWrite = "queues:write",
        PreferencesWrite = "preferences:write",
        PrivacyManage = "privacy:manage",
        AuditRead = "audit:read",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_exactly_what_was_put_in() {
        let set: ScopeSet = [Scope::CatalogRead, Scope::PlaylistsWrite].into_iter().collect();
        assert!(set.contains(Scope::CatalogRead) && !set.contains(Scope::LibraryRead));
        assert_eq!(set.to_string(), "catalog:read playlists:write");
    }

    #[test]
    fn every_text_form_parses_back() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>().unwrap(), *scope);
        }
        assert!("catalog:write".parse::<Scope>().unwrap_err().contains("catalog:read"));
    }
}
