//! What a playlist is called, says of itself, and who may find it: what differs, and what to change. Pure.

use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::music::Playlist;
use stagedoor_providers::PlaylistChange;
use stagedoor_storage::playlist_versions::Head;

/// What is to change; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HeadChange {
    pub(super) name: Option<String>,
    /// Empty for none.
    pub(super) description: Option<String>,
    pub(super) public: Option<bool>,
}

/// What differs between two versions besides their entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct HeadDifference {
    field: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl HeadDifference {
    pub(super) fn field(&self) -> &'static str {
        self.field
    }
}

impl HeadChange {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of it differs from how the playlist is.
    pub(super) fn unlike(&self, head: &Head) -> Self {
        let told = head.description.as_deref().unwrap_or_default();
        Self {
            name: self.name.clone().filter(|name| *name != head.name),
            description: self.description.clone().filter(|description| description != told),
            public: self.public.filter(|public| Some(*public) != head.public),
        }
    }

    /// The same as providers take it.
    pub(super) fn borrow(&self) -> PlaylistChange<'_> {
        PlaylistChange {
            name: self.name.as_deref(),
            description: self.description.as_deref(),
            public: self.public,
        }
    }

    /// What the playlist is after it.
    pub(super) fn applied(&self, head: &Head) -> Head {
        let described = |description: &String| (!description.is_empty()).then(|| description.clone());
        Head {
            name: self.name.clone().unwrap_or_else(|| head.name.clone()),
            description: self.description.as_ref().map_or_else(|| head.description.clone(), described),
            public: self.public.or(head.public),
        }
    }
}

/// The head of a playlist as it is stored; no description is the same as an empty one.
pub(super) fn of(playlist: &Playlist) -> Head {
    Head {
        name: playlist.name.clone(),
        description: playlist.description.clone().filter(|description| !description.is_empty()),
        public: playlist.public,
    }
}

/// What to change so that a head becomes another; what the other does not tell is left.
pub(super) fn between(from: &Head, to: &Head) -> HeadChange {
    let wanted = HeadChange {
        name: Some(to.name.clone()),
        description: Some(to.description.clone().unwrap_or_default()),
        public: to.public,
    };
    wanted.unlike(from)
}

/// What differs, for the reader of an answer.
pub(super) fn differences(from: &Head, to: &Head) -> Vec<HeadDifference> {
    let visible =
        |public: Option<bool>| public.map(|public| if public { "public" } else { "not public" }.to_owned());
    let fields = [
        ("name", Some(from.name.clone()), Some(to.name.clone())),
        ("description", from.description.clone(), to.description.clone()),
        ("visibility", visible(from.public), visible(to.public)),
    ];
    let differs = fields.into_iter().filter(|(_, from, to)| from != to);
    differs.map(|(field, from, to)| HeadDifference { field, from, to }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, description: Option<&str>, public: Option<bool>) -> Head {
        Head { name: name.to_owned(), description: description.map(str::to_owned), public }
    }

    #[test]
    fn a_change_between_two_heads_leads_from_one_to_the_other() {
        let heads = [
            head("a", None, Some(false)),
            head("a", Some("b"), Some(true)),
            head("c", Some("d"), Some(false)),
            head("c", None, Some(true)),
        ];
        for from in &heads {
            for to in &heads {
                let change = between(from, to);
                assert_eq!(change.applied(from), *to);
                assert_eq!(change.is_empty(), from == to);
                assert_eq!(differences(from, to).is_empty(), from == to);
            }
        }
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let wanted =
            HeadChange { name: Some("a".to_owned()), description: Some(String::new()), public: None };
        assert!(wanted.unlike(&head("a", None, None)).is_empty());
        assert_eq!(wanted.unlike(&head("b", None, None)).name.as_deref(), Some("a"));
    }
}
