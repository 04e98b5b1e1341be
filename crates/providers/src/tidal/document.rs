//! JSON:API documents (version 1.1): resources, identifiers, links, and the index over `included`. Attributes stay
//! unread until their type is known, because any type of resource may be included.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

#[derive(Deserialize)]
pub(super) struct Document<D> {
    pub(super) data: D,
    #[serde(default)]
    included: Option<Vec<Resource>>,
    pub(super) links: Option<Links>,
}

#[derive(Deserialize)]
pub(super) struct Resource {
    pub(super) id: String,
    #[serde(rename = "type")]
    kind: String,
    attributes: Option<Box<RawValue>>,
    relationships: Option<BTreeMap<String, Relationship>>,
}

#[derive(Deserialize)]
pub(super) struct Relationship {
    data: Option<Linkage>,
    pub(super) links: Option<Links>,
}

/// Resource linkage: to-many or to-one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Linkage {
    Many(Vec<Identifier>),
    One(Identifier),
}

#[derive(Deserialize)]
pub(super) struct Identifier {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) meta: Option<IdentifierMeta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IdentifierMeta {
    pub(super) item_id: Option<String>,
    pub(super) added_at: Option<String>,
    pub(super) track_number: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct Links {
    next: Option<String>,
    meta: Option<LinksMeta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinksMeta {
    next_cursor: Option<String>,
}

/// The resources that came along, by type and id.
pub(super) struct Included<'a> {
    resources: HashMap<(&'a str, &'a str), &'a Resource>,
}

impl<D> Document<D> {
    pub(super) fn included(&self) -> Included<'_> {
        let resources = self.included.iter().flatten();
        Included {
            resources: resources.map(|found| ((found.kind.as_str(), found.id.as_str()), found)).collect(),
        }
    }
}

impl Resource {
    /// The attributes, if they have the wanted shape.
    pub(super) fn attributes<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.attributes.as_ref()?.get()).ok()
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    pub(super) fn relationship(&self, name: &str) -> Option<&Relationship> {
        self.relationships.as_ref()?.get(name)
    }
}

impl Relationship {
    /// The identifiers; `None` if the relationship came without data.
    pub(super) fn identifiers(&self) -> Option<&[Identifier]> {
        Some(match self.data.as_ref()? {
            Linkage::Many(identifiers) => identifiers,
            Linkage::One(identifier) => std::slice::from_ref(identifier),
        })
    }
}

impl<'a> Included<'a> {
    pub(super) fn get(&self, identifier: &Identifier) -> Option<&'a Resource> {
        self.resources.get(&(identifier.kind.as_str(), identifier.id.as_str())).copied()
    }

    /// The included resources that `resource` points at by `relationship`.
    pub(super) fn related(
        &self,
        resource: &Resource,
        relationship: &str,
    ) -> impl Iterator<Item = &'a Resource> {
        let identifiers =
            resource.relationship(relationship).and_then(Relationship::identifiers).unwrap_or_default();
        identifiers.iter().filter_map(|identifier| self.get(identifier))
    }
}

impl Links {
    /// The cursor of the next page. Of the `next` link only the cursor is used; the link itself is never followed.
    pub(super) fn next_cursor(&self) -> Option<String> {
        let told = self.meta.as_ref().and_then(|meta| meta.next_cursor.clone());
        let cursor = told.or_else(|| cursor_of(self.next.as_deref()?));
        cursor.filter(|cursor| !cursor.is_empty() && cursor.len() <= 2_000)
    }
}

fn cursor_of(link: &str) -> Option<String> {
    // Links are relative to the API's base; the base here only makes them parse.
    let url = Url::parse("https://relative.invalid/").ok()?.join(link).ok()?;
    let (_, cursor) = url.query_pairs().find(|(name, _)| name == "page[cursor]")?;
    Some(cursor.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(json: &str) -> Option<String> {
        serde_json::from_str::<Links>(json).unwrap().next_cursor()
    }

    #[test]
    fn a_cursor_comes_from_meta_or_from_the_link() {
        assert_eq!(links(r#"{"self":"/x","next":"/x?page%5Bcursor%5D=a%2Bb"}"#).as_deref(), Some("a+b"));
        assert_eq!(links(r#"{"next":"https://evil.example/?page[cursor]=c"}"#).as_deref(), Some("c"));
        assert_eq!(links(r#"{"next":"/x?page[cursor]=c","meta":{"nextCursor":"d"}}"#).as_deref(), Some("d"));
        assert_eq!(links(r#"{"self":"/x"}"#), None);
        assert_eq!(links(r#"{"next":"/x"}"#), None);
    }

    #[test]
    fn a_relationship_can_be_one_many_null_or_absent() {
        let parse = |json: &str| {
            let relationship: Relationship = serde_json::from_str(json).unwrap();
            relationship.identifiers().map(<[_]>::len)
        };
        assert_eq!(parse(r#"{"data":[{"id":"1","type":"tracks"},{"id":"2","type":"new"}]}"#), Some(2));
        assert_eq!(parse(r#"{"data":{"id":"1","type":"tracks"}}"#), Some(1));
        assert_eq!(parse(r#"{"data":null}"#), None);
        assert_eq!(parse("{}"), None);
    }

    #[test]
    fn included_resources_of_unknown_types_do_no_harm() {
        let document: Document<Vec<Identifier>> = serde_json::from_str(
            r#"{"data":[{"id":"1","type":"tracks"}],
                "included":[{"id":"1","type":"holograms","attributes":[1,2]},{"id":"1","type":"tracks"}]}"#,
        )
        .unwrap();
        let found = document.included().get(&document.data[0]).unwrap();
        assert!(found.is("tracks") && found.attributes::<serde_json::Value>().is_none());
    }
}
