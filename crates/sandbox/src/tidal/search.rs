//! `GET /searchResults?filter[query]=…` and the relationships of what it returns. The id of a search result is
//! opaque: it holds the query, so that any later page finds the same hits.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::caller::{Caller, allow_filters};
use super::catalogue::{library, page_of};
use super::compound::Compound;
use super::cursor::Listing;
use super::include::{Include, Kind};
use super::{Failure, document};
use crate::exchange::Query;
use crate::sandbox::Sandbox;
use crate::text::{hex, unhex};

/// What a search result's id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) query: String,
    /// Whether explicit tracks may be among the hits.
    pub(super) explicit: bool,
}

pub(super) async fn search(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    caller.needs_of_people("search.read")?;
    allow_filters(&query, &["filter[query]"])?;
    let text = query.get("filter[query]").map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Failure::parameter("filter[query]", "filter[query] is required"))?;
    if text.chars().count() > 256 {
        return Err(Failure::parameter("filter[query]", "filter[query] must have at most 256 characters"));
    }
    let wanted = Wanted { query: text.to_owned(), explicit: explicit(&query)? };
    let include = Include::of(&query, Kind::SearchResults)?;
    let listing = Listing::requested("/searchResults".to_owned(), &query);
    sandbox.read(|model| {
        let mut compound = Compound::new(library(&sandbox, model, &caller));
        let data = compound
            .primary(Kind::SearchResults, &id_of(&wanted), &include)
            .ok_or_else(Failure::not_found)?;
        let body = compound.finish(json!([data]), listing.links(0, false), query.get("include").is_some());
        Ok(document(StatusCode::OK, &body))
    })
}

/// `GET /searchResults/{id}/relationships/{name}`.
pub(super) fn relationship(
    name: &str,
    sandbox: &Sandbox,
    caller: &Caller,
    id: &str,
    query: &Query,
) -> Result<Response, Failure> {
    caller.needs_of_people("search.read")?;
    allow_filters(query, &[])?;
    explicit(query)?;
    if query_of(id).is_none() {
        return Err(Failure::not_found());
    }
    sandbox.read(|model| {
        let library = library(sandbox, model, caller);
        let hits = library.related(Kind::SearchResults, id, name);
        page_of(library, Kind::SearchResults, id, name, &hits, query)
    })
}

/// The search that an id stands for.
pub(super) fn query_of(id: &str) -> Option<Wanted> {
    let (explicit, encoded) = match id.split_at_checked(1)? {
        ("e", encoded) => (true, encoded),
        ("c", encoded) => (false, encoded),
        _ => return None,
    };
    let query = String::from_utf8(unhex(encoded)?).ok()?;
    (!query.is_empty()).then_some(Wanted { query, explicit })
}

/// A search result's attributes.
pub(super) fn attributes(id: &str) -> Option<Value> {
    let wanted = query_of(id)?;
    Some(json!({ "query": wanted.query, "trackingId": id }))
}

fn id_of(wanted: &Wanted) -> String {
    format!("{}{}", if wanted.explicit { 'e' } else { 'c' }, hex(wanted.query.as_bytes()))
}

fn explicit(query: &Query) -> Result<bool, Failure> {
    match query.get("explicitFilter") {
        None | Some("INCLUDE") => Ok(true),
        Some("EXCLUDE") => Ok(false),
        Some(_) => Err(Failure::parameter("explicitFilter", "explicitFilter must be INCLUDE or EXCLUDE")),
    }
}
