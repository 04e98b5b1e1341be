//! What a playlist is called, says of itself, and who may find it: what differs, and what to change. Pure.

use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::music::Playlist;
use stagedoor_domain::text::joined;
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
            description: self.description.clone().filter(|description| !reads_alike(description, told)),
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

/// Whether two heads are the same but for how a service writes a description down.
pub(super) fn alike(one: &Head, other: &Head) -> bool {
    let described = |head: &Head| head.description.clone().unwrap_or_default();
    one.name == other.name && one.public == other.public && reads_alike(&described(one), &described(other))
}

/// Whether two descriptions read alike: services hand them out with HTML entities or with other blanks than they were
/// given.
fn reads_alike(one: &str, other: &str) -> bool {
    one == other || joined(&unescaped(one)) == joined(&unescaped(other))
}

fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, &str); 9] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#x2F;", "/"),
        ("&#x60;", "`"),
        // The last one, so that nothing is read twice.
        ("&amp;", "&"),
    ];
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, stands_for)| text.replace(entity, stands_for))
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
    let differs = fields.into_iter().filter(|(field, from, to)| match (field, from, to) {
        (&"description", Some(from), Some(to)) => !reads_alike(from, to),
        _ => from != to,
    });
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
    fn how_a_service_writes_a_description_down_is_no_change() {
        let ours = head("a", Some("Rock & Roll: \"it's\" <here>"), None);
        let theirs = head("a", Some("Rock &amp; Roll: &quot;it&#x27;s&quot;  &lt;here&gt;"), None);
        assert!(alike(&ours, &theirs) && between(&ours, &theirs).is_empty());
        assert!(differences(&ours, &theirs).is_empty());
        // What names an entity is not the same as what the entity stands for.
        assert!(!alike(&head("a", Some("&amp;lt;"), None), &head("a", Some("<"), None)));
        for other in [
            head("b", ours.description.as_deref(), None),
            head("a", Some("Rock"), None),
            head("a", None, None),
        ] {
            assert!(!alike(&ours, &other));
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
