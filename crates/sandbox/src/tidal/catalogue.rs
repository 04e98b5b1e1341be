//! Tracks, albums and artists: by id, by filter, and their relationships.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use stagedoor_domain::Provider;

use super::caller::{Caller, allow_filters};
use super::compound::Compound;
use super::cursor::{Listing, PAGE};
use super::include::{Include, Kind};
use super::relations::{Identifier, Library};
use super::{Failure, document};
use crate::exchange::Query;
use crate::model::Model;
use crate::sandbox::Sandbox;

pub(super) async fn track(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    single(&sandbox, &caller, Kind::Tracks, &id, &query)
}

pub(super) async fn album(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    single(&sandbox, &caller, Kind::Albums, &id, &query)
}

pub(super) async fn artist(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    single(&sandbox, &caller, Kind::Artists, &id, &query)
}

pub(super) async fn tracks(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    allow_filters(&query, &["filter[id]", "filter[isrc]", "filter[owners.id]"])?;
    let songs = sandbox.songs(Provider::Tidal);
    let available = |at: &usize| songs.tracks[*at].playable_in(&caller.country);
    let isrcs = query.list("filter[isrc]");
    let mut found: Vec<usize> = if isrcs.is_empty() {
        query.list("filter[id]").iter().filter_map(|id| songs.track_at(id)).collect()
    } else if let [isrc] = isrcs[..] {
        songs.by_isrc(isrc).to_vec()
    } else {
        // Of several codes, one track each and no further pages.
        isrcs.iter().filter_map(|isrc| songs.by_isrc(isrc).iter().copied().find(available)).collect()
    };
    found.retain(available);
    let found: Vec<String> = found.into_iter().map(|at| songs.tracks[at].id.clone()).collect();
    several(&sandbox, &caller, Kind::Tracks, &found, &query)
}

pub(super) async fn albums(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    allow_filters(&query, &["filter[id]", "filter[barcodeId]", "filter[owners.id]"])?;
    let songs = sandbox.songs(Provider::Tidal);
    let barcodes = query.list("filter[barcodeId]");
    let found: Vec<usize> = if barcodes.is_empty() {
        query.list("filter[id]").iter().filter_map(|id| songs.album_at(id)).collect()
    } else {
        barcodes.iter().filter_map(|code| songs.by_upc(code).first().copied()).collect()
    };
    let found: Vec<String> = found.into_iter().map(|at| songs.albums[at].id.clone()).collect();
    several(&sandbox, &caller, Kind::Albums, &found, &query)
}

pub(super) async fn artists(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    allow_filters(&query, &["filter[id]", "filter[handle]", "filter[owners.id]"])?;
    let songs = sandbox.songs(Provider::Tidal);
    let found: Vec<String> = query
        .list("filter[id]")
        .iter()
        .filter_map(|id| songs.artist_at(id))
        .map(|at| songs.artists[at].id.clone())
        .collect();
    several(&sandbox, &caller, Kind::Artists, &found, &query)
}

/// `GET /{kind}/{id}/relationships/{name}`.
pub(super) fn relationship(
    kind: Kind,
    name: &str,
    sandbox: &Sandbox,
    caller: &Caller,
    id: &str,
    query: &Query,
) -> Result<Response, Failure> {
    allow_filters(query, &[])?;
    sandbox.read(|model| {
        let library = library(sandbox, model, caller);
        if Compound::new(library).primary(kind, id, &Include::default()).is_none() {
            return Err(Failure::not_found());
        }
        page_of(library, kind, id, name, &library.related(kind, id, name), query)
    })
}

pub(super) fn library<'a>(sandbox: &'a Sandbox, model: &'a Model, caller: &'a Caller) -> Library<'a> {
    Library {
        catalogue: sandbox.songs(Provider::Tidal),
        side: model.side(Provider::Tidal),
        country: &caller.country,
    }
}

/// One resource and what it includes.
pub(super) fn single(
    sandbox: &Sandbox,
    caller: &Caller,
    kind: Kind,
    id: &str,
    query: &Query,
) -> Result<Response, Failure> {
    let include = Include::of(query, kind)?;
    let listing = Listing::requested(format!("/{}/{id}", kind.name()), query);
    sandbox.read(|model| {
        let mut compound = Compound::new(library(sandbox, model, caller));
        let data = compound.primary(kind, id, &include).ok_or_else(Failure::not_found)?;
        let body = compound.finish(data, listing.links(0, false), query.get("include").is_some());
        Ok(document(StatusCode::OK, &body))
    })
}

/// A page of resources found by a filter.
pub(super) fn several(
    sandbox: &Sandbox,
    caller: &Caller,
    kind: Kind,
    found: &[String],
    query: &Query,
) -> Result<Response, Failure> {
    if !query.0.iter().any(|(name, _)| name.starts_with("filter[")) {
        return Err(Failure::bad("At least one filter is required"));
    }
    let include = Include::of(query, kind)?;
    let listing = Listing::requested(format!("/{}", kind.name()), query);
    let start = listing.start()?;
    sandbox.read(|model| {
        let mut compound = Compound::new(library(sandbox, model, caller));
        let data = found
            .iter()
            .skip(start)
            .take(PAGE)
            .filter_map(|id| compound.primary(kind, id, &include))
            .collect();
        let links = listing.links(start + PAGE, found.len() > start + PAGE);
        Ok(document(StatusCode::OK, &compound.finish(data, links, query.get("include").is_some())))
    })
}

/// A page of a relationship's identifiers.
pub(super) fn page_of(
    library: Library<'_>,
    kind: Kind,
    id: &str,
    name: &str,
    all: &[Identifier],
    query: &Query,
) -> Result<Response, Failure> {
    let include = Include::of_relationship(query, kind, name)?;
    let listing = Listing::requested(format!("/{}/{id}/relationships/{name}", kind.name()), query);
    let start = listing.start()?.min(all.len());
    let end = (start + PAGE).min(all.len());
    let mut compound = Compound::new(library);
    let data = compound.identifiers(&all[start..end], include.as_ref());
    let body = compound.finish(data, listing.links(end, end < all.len()), include.is_some());
    Ok(document(StatusCode::OK, &body))
}
