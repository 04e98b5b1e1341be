//! Compound documents (JSON:API 1.1 §"Compound documents"): primary data, and every included resource once.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::cursor::{Listing, PAGE};
use super::include::{Include, Kind};
use super::relations::{Identifier, Library};
use super::{attributes, collection};

/// A document in the making.
pub(super) struct Compound<'a> {
    library: Library<'a>,
    included: Vec<Value>,
    known: HashMap<(Kind, String), Option<usize>>,
}

impl<'a> Compound<'a> {
    pub(super) fn new(library: Library<'a>) -> Self {
        Self { library, included: Vec::new(), known: HashMap::new() }
    }

    /// A resource as primary data; `None` if there is none with this id, or not in this country.
    pub(super) fn primary(&mut self, kind: Kind, id: &str, include: &Include) -> Option<Value> {
        let mut resource = self.bare(kind, id)?;
        self.known.insert((kind, id.to_owned()), None);
        self.fill(&mut resource, kind, id, include);
        Some(resource)
    }

    /// A page of identifiers as primary data; their resources too if `include` asks for them.
    pub(super) fn identifiers(&mut self, page: &[Identifier], include: Option<&Include>) -> Value {
        if let Some(include) = include {
            for identifier in page {
                self.include(identifier, include);
            }
        }
        page.iter().map(Identifier::to_json).collect()
    }

    /// The document, with `included` where the request asked for anything.
    pub(super) fn finish(self, data: Value, links: Value, asked: bool) -> Value {
        let mut document = Map::from_iter([("data".to_owned(), data), ("links".to_owned(), links)]);
        if asked {
            document.insert("included".to_owned(), Value::Array(self.included));
        }
        Value::Object(document)
    }

    fn include(&mut self, identifier: &Identifier, include: &Include) {
        let (kind, id) = (identifier.kind, &identifier.id);
        match self.known.get(&(kind, id.clone())) {
            Some(None) => {}
            Some(Some(position)) => {
                // Met before on another path, maybe with fewer relationships; a resource under way is left alone.
                let position = *position;
                let mut resource = std::mem::take(&mut self.included[position]);
                if resource.is_object() {
                    self.fill(&mut resource, kind, id, include);
                    self.included[position] = resource;
                }
            }
            None => {
                // What cannot be played in the country stays an identifier with nothing behind it, as at Tidal.
                let Some(mut resource) = self.bare(kind, id) else { return };
                let position = self.included.len();
                self.included.push(Value::Null);
                self.known.insert((kind, id.clone()), Some(position));
                self.fill(&mut resource, kind, id, include);
                self.included[position] = resource;
            }
        }
    }

    /// Puts data into the relationships that `include` names, and what they lead to into the document.
    fn fill(&mut self, resource: &mut Value, kind: Kind, id: &str, include: &Include) {
        for (name, _) in kind.filled() {
            let Some(inner) = include.get(name) else { continue };
            let all = self.library.related(kind, id, name);
            let page = &all[..all.len().min(PAGE)];
            for identifier in page {
                self.include(identifier, inner);
            }
            let listing = Listing::embedded(format!("/{}/{id}/relationships/{name}", kind.name()));
            resource["relationships"][*name] = json!({
                "data": page.iter().map(Identifier::to_json).collect::<Vec<_>>(),
                "links": listing.links(PAGE, all.len() > PAGE),
            });
        }
        for name in kind.empty().iter().filter(|name| include.get(name).is_some()) {
            resource["relationships"][*name]["data"] = json!([]);
        }
        for name in kind.null().iter().filter(|name| include.get(name).is_some()) {
            resource["relationships"][*name]["data"] = Value::Null;
        }
    }

    fn bare(&self, kind: Kind, id: &str) -> Option<Value> {
        let Library { catalogue, side, country } = self.library;
        let attributes = match kind {
            Kind::Tracks => {
                let track = catalogue.track(id).filter(|track| track.playable_in(country))?;
                attributes::track(track, &catalogue.albums[track.album])
            }
            Kind::Albums => attributes::album(catalogue.album(id)?, catalogue),
            Kind::Artists => attributes::artist(catalogue.artist(id)?),
            Kind::Playlists => attributes::playlist(&*self.library.playlist(id)?, catalogue),
            Kind::Videos => attributes::video(id)?,
            Kind::Users => attributes::user(side.accounts.get(id)?),
            Kind::SearchResults => super::search::attributes(id)?,
            Kind::UserCollectionTracks
            | Kind::UserCollectionAlbums
            | Kind::UserCollectionArtists
            | Kind::UserCollectionPlaylists => attributes::collection(&collection::kept(side, kind, id)),
            Kind::UserDailyMixes | Kind::UserDiscoveryMixes | Kind::UserNewReleaseMixes => json!({}),
        };
        let mut resource = json!({ "id": id, "type": kind.name() });
        resource["attributes"] = attributes;
        let names = kind.filled().iter().map(|(name, _)| name).chain(kind.empty()).chain(kind.null());
        let relationships: Map<String, Value> = names
            .map(|name| {
                let link = format!("/{}/{id}/relationships/{name}", kind.name());
                ((*name).to_owned(), json!({ "links": { "self": link } }))
            })
            .collect();
        if !relationships.is_empty() {
            resource["relationships"] = Value::Object(relationships);
        }
        Some(resource)
    }
}
