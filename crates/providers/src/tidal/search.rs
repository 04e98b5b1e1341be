//! Tidal's search: one compound document for every kind, later pages kind by kind. Tidal chooses how many it gives.

use stagedoor_domain::music::Page;
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, Provider, TenantContext};
use url::form_urlencoded::{byte_serialize, parse};

use super::Tidal;
use super::document::{Document, Identifier, Included, Links, Relationship, Resource};
use super::paging::Position;
use super::request::{SEARCH, get, missing};
use super::wire;
use crate::call::Call;
use crate::error::ProviderError;
use crate::types::{Access, SearchQuery, SearchResults};

pub(super) async fn search(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    query: &SearchQuery<'_>,
) -> Result<SearchResults, ProviderError> {
    let mut results = SearchResults::empty();
    let limit = query.limit.clamp(1, 50);
    if let Some(token) = query.page {
        let place = Place::parse(token)?;
        return later_page(tidal, ctx, access, &place, limit).await;
    }
    // Mixes are not found by text.
    let kinds: EntityKindSet = query.kinds.iter().filter(|kind| *kind != EntityKind::Mix).collect();
    if kinds.is_empty() {
        return Ok(results);
    }
    let include = include(kinds);
    let parameters = [("filter[query]", query.text), ("include", include.as_str())];
    let call = Call { scopes: SEARCH, ..get(access, "search", &["searchResults"], &parameters) };
    let document: Document<Vec<Resource>> = tidal.http.json(ctx, &call).await?;
    let found = document.data.first().ok_or_else(|| missing("the search result"))?;
    let included = document.included();
    for kind in kinds.iter() {
        let relationship = found.relationship(relationship_name(kind));
        let identifiers = relationship.and_then(Relationship::identifiers);
        let identifiers = identifiers.ok_or_else(|| missing("a relationship that was asked for"))?;
        let links = relationship.and_then(|relationship| relationship.links.as_ref());
        let place = Place { kind, id: found.id.clone(), position: Position::default() };
        fill(&mut results, &place, identifiers, links, limit, &included);
    }
    Ok(results)
}

async fn later_page(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    place: &Place,
    limit: u32,
) -> Result<SearchResults, ProviderError> {
    let include = include(EntityKindSet::empty().with(place.kind));
    let mut parameters = vec![("include", include.as_str())];
    parameters.extend(place.position.parameter());
    let segments = ["searchResults", &place.id, "relationships", relationship_name(place.kind)];
    let call = Call { scopes: SEARCH, ..get(access, "search page", &segments, &parameters) };
    let document: Document<Vec<Identifier>> = tidal.http.json(ctx, &call).await?;
    let mut results = SearchResults::empty();
    fill(&mut results, place, &document.data, document.links.as_ref(), limit, &document.included());
    Ok(results)
}

fn fill(
    results: &mut SearchResults,
    place: &Place,
    identifiers: &[Identifier],
    links: Option<&Links>,
    limit: u32,
    included: &Included<'_>,
) {
    let slice = place.position.slice(identifiers, links, limit);
    let given = slice.entries.len();
    let next = slice.next.map(|position| Place { position, ..place.clone() }.to_token());
    if next.is_some() && given < limit as usize {
        results.warnings.push(format!(
            "Tidal gave {given} {} at once, fewer than the {limit} asked for; the next page has more.",
            relationship_name(place.kind)
        ));
    }
    let resources: Vec<_> =
        slice.entries.iter().filter_map(|(_, identifier)| included.get(identifier)).collect();
    match place.kind {
        EntityKind::Track => results.tracks = page(&resources, next, |found| wire::track(found, included)),
        EntityKind::Album => results.albums = page(&resources, next, |found| wire::album(found, included)),
        EntityKind::Artist => results.artists = page(&resources, next, wire::artist),
        EntityKind::Playlist => {
            results.playlists = page(&resources, next, |found| wire::playlist(found, included));
        }
        // Tidal finds none by text.
        EntityKind::Mix => {}
    }
}

fn page<T>(resources: &[&Resource], next: Option<String>, turn: impl Fn(&Resource) -> Option<T>) -> Page<T> {
    Page { items: resources.iter().filter_map(|found| turn(found)).collect(), next, total: None }
}

const fn relationship_name(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Track => "tracks",
        EntityKind::Album => "albums",
        EntityKind::Artist => "artists",
        EntityKind::Playlist => "playlists",
        EntityKind::Mix => "mixes",
    }
}

/// Include paths name their intermediate resources too.
fn include(kinds: EntityKindSet) -> String {
    let paths = kinds.iter().flat_map(|kind| match kind {
        EntityKind::Track => &["tracks", "tracks.artists", "tracks.albums"][..],
        EntityKind::Album => &["albums", "albums.artists"][..],
        EntityKind::Artist => &["artists"][..],
        EntityKind::Playlist => &["playlists"][..],
        EntityKind::Mix => &[],
    });
    paths.copied().collect::<Vec<_>>().join(",")
}

/// A place in one kind of one search's results: `track:SEARCH-ID:POSITION`, the id percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: EntityKind,
    id: String,
    position: Position,
}

impl Place {
    fn parse(token: &str) -> Result<Self, ProviderError> {
        let invalid = || ProviderError::InvalidPage { provider: Provider::Tidal };
        let mut parts = token.splitn(3, ':');
        let (Some(kind), Some(id), Some(position)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid());
        };
        let (name, _) = parse(id.as_bytes()).next().ok_or_else(invalid)?;
        Ok(Self {
            kind: kind.parse().map_err(|_| invalid())?,
            id: name.into_owned(),
            position: Position::parse(Some(position))?,
        })
    }

    fn to_token(&self) -> String {
        let id: String = byte_serialize(self.id.as_bytes()).collect();
        format!("{}:{id}:{}", self.kind, self.position.to_token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_search_id_survives_a_token() {
        for id in ["moon", "a:b/c?d=e&f", "ночь и день"] {
            let position = Position { start: 20, skip: 3, cursor: Some("c:d.e".to_owned()) };
            let place = Place { kind: EntityKind::Album, id: id.to_owned(), position };
            assert_eq!(Place::parse(&place.to_token()).unwrap(), place);
        }
        for token in ["", "track", "track::0.0.", "song:x:0.0.", "track:x:zero"] {
            assert!(matches!(Place::parse(token), Err(ProviderError::InvalidPage { .. })), "{token}");
        }
    }
}
