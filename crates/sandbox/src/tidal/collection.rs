//! The person: profile, and the playlists in their collection, their own and those of others.

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use stagedoor_domain::Provider;

use super::attributes::time;
use super::caller::{Caller, allow_filters, identifiers, payload};
use super::catalogue::{library, page_of, single};
use super::include::Kind;
use super::items::added_at;
use super::playlists::done;
use super::{Failure, document};
use crate::exchange::Query;
use crate::model::{Collected, Side};
use crate::sandbox::Sandbox;

const MOST_AT_ONCE: usize = 50;

pub(super) async fn user(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let own = own(&caller, &id)?;
    caller.needs("user.read")?;
    single(&sandbox, &caller, Kind::Users, &own, &query)
}

pub(super) async fn read(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let own = own(&caller, &id)?;
    caller.needs("collection.read")?;
    single(&sandbox, &caller, Kind::UserCollectionPlaylists, &own, &query)
}

pub(super) async fn items(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let own = own(&caller, &id)?;
    caller.needs("collection.read")?;
    allow_filters(&query, &[])?;
    let sort = query.get("sort").unwrap_or("-addedAt");
    sandbox.read(|model| {
        let library = library(&sandbox, model, &caller);
        let playlist = |id: &str| library.side.playlist(id);
        let mut all = library.related(Kind::UserCollectionPlaylists, &own, "items");
        match sort.trim_start_matches('-') {
            "addedAt" => {}
            "name" => all.sort_by_key(|item| playlist(&item.id).map(|playlist| playlist.name.clone())),
            "lastModifiedAt" => {
                all.sort_by_key(|item| playlist(&item.id).map(|playlist| playlist.modified_at));
            }
            _ => return Err(Failure::parameter("sort", format!("Unknown sort: {sort}"))),
        }
        if sort.starts_with('-') {
            all.reverse();
        }
        page_of(library, Kind::UserCollectionPlaylists, &own, "items", &all, &query)
    })
}

pub(super) async fn add(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let own = own(&caller, &id)?;
    caller.needs("collection.write")?;
    let body = payload(&body)?;
    let named = identifiers(&body, MOST_AT_ONCE, &["playlists"])?;
    let now = sandbox.now();
    let named: Vec<_> =
        named.into_iter().map(|(item, id)| Ok((id, added_at(item, now)?))).collect::<Result<_, Failure>>()?;
    let (mut added, mut skipped) = (Vec::new(), Vec::new());
    sandbox.write(|model| {
        let side = model.side_mut(Provider::Tidal);
        for (id, added_at) in named {
            let skip = match side.playlist(id) {
                None => Some("NOT_FOUND"),
                Some(_) if entries(side, &own).iter().any(|entry| entry.playlist_id == id) => {
                    Some("ALREADY_PRESENT")
                }
                Some(_) => None,
            };
            if let Some(reason) = skip {
                skipped.push(json!({ "id": id, "type": "playlists", "reason": reason }));
                continue;
            }
            added.push(json!({ "id": id, "type": "playlists", "meta": { "addedAt": time(added_at) } }));
            side.collections
                .entry(own.clone())
                .or_default()
                .push(Collected { playlist_id: id.to_owned(), added_at });
        }
    });
    let links = json!({ "self": format!("/userCollectionPlaylists/{own}/relationships/items") });
    Ok(document(StatusCode::OK, &json!({ "data": added, "links": links, "meta": { "skipped": skipped } })))
}

pub(super) async fn remove(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let own = own(&caller, &id)?;
    caller.needs("collection.write")?;
    let body = payload(&body)?;
    let gone: Vec<&str> =
        identifiers(&body, MOST_AT_ONCE, &["playlists"])?.into_iter().map(|(_, id)| id).collect();
    sandbox.write(|model| {
        let collected = model.side_mut(Provider::Tidal).collections.entry(own.clone()).or_default();
        collected.retain(|entry| !gone.contains(&entry.playlist_id.as_str()));
    });
    Ok(done(&format!("/userCollectionPlaylists/{own}/relationships/items")))
}

/// The account's own playlists and those it collected, oldest first.
pub(super) fn entries(side: &Side, account: &str) -> Vec<Collected> {
    let made = side
        .playlists
        .values()
        .filter(|playlist| playlist.owner == account)
        .map(|playlist| Collected { playlist_id: playlist.id.clone(), added_at: playlist.created_at });
    let mut all: Vec<Collected> =
        made.chain(side.collections.get(account).into_iter().flatten().cloned()).collect();
    all.sort_by(|left, right| {
        left.added_at.cmp(&right.added_at).then(left.playlist_id.cmp(&right.playlist_id))
    });
    all
}

/// The caller's own id, for `me` or the id itself; what belongs to others is not there.
fn own(caller: &Caller, id: &str) -> Result<String, Failure> {
    let account = caller.account()?;
    if id == "me" || id == account.account_id {
        Ok(account.account_id.clone())
    } else {
        Err(Failure::not_found())
    }
}
