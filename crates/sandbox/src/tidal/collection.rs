//! The person: profile, mixes, and the four parts of the collection: tracks, albums, artists, and playlists, own ones
//! and those of others.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
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
use super::relations::{Identifier, Library};
use super::{Failure, document};
use crate::exchange::Query;
use crate::library::{Kept, Shelf};
use crate::model::{Collected, Side};
use crate::sandbox::Sandbox;
use crate::text::fold;

/// The parts of a collection.
pub(super) const KINDS: [Kind; 4] = [
    Kind::UserCollectionTracks,
    Kind::UserCollectionAlbums,
    Kind::UserCollectionArtists,
    Kind::UserCollectionPlaylists,
];
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

/// `/userCollection…/{id}`.
pub(super) fn routes(kind: Kind) -> MethodRouter<Sandbox> {
    get(async move |State(sandbox): State<Sandbox>, caller: Caller, Path(id): Path<String>, query: Query| {
        let own = own(&caller, &id)?;
        caller.needs("collection.read")?;
        single(&sandbox, &caller, kind, &own, &query)
    })
}

/// `/userCollection…/{id}/relationships/items`.
pub(super) fn item_routes(kind: Kind) -> MethodRouter<Sandbox> {
    get(async move |State(sandbox): State<Sandbox>, caller: Caller, Path(id): Path<String>, query: Query| {
        items(kind, &sandbox, &caller, &id, &query)
    })
    .post(async move |State(sandbox): State<Sandbox>, caller: Caller, Path(id): Path<String>, body: Bytes| {
        add(kind, &sandbox, &caller, &id, &body)
    })
    .delete(
        async move |State(sandbox): State<Sandbox>, caller: Caller, Path(id): Path<String>, body: Bytes| {
            remove(kind, &sandbox, &caller, &id, &body)
        },
    )
}

/// `/user…Mixes/{id}`, or a relationship of it.
pub(super) fn mix_routes(kind: Kind, relationship: Option<&'static str>) -> MethodRouter<Sandbox> {
    get(async move |State(sandbox): State<Sandbox>, caller: Caller, Path(id): Path<String>, query: Query| {
        let own = own(&caller, &id)?;
        caller.needs("recommendations.read")?;
        allow_filters(&query, &[])?;
        let Some(name) = relationship else { return single(&sandbox, &caller, kind, &own, &query) };
        sandbox.read(|model| {
            let library = library(&sandbox, model, &caller);
            page_of(library, kind, &own, name, &library.related(kind, &own, name), &query)
        })
    })
}

/// What a part of a collection holds.
pub(super) const fn item_kind(collection: Kind) -> Kind {
    match collection {
        Kind::UserCollectionTracks => Kind::Tracks,
        Kind::UserCollectionAlbums => Kind::Albums,
        Kind::UserCollectionArtists => Kind::Artists,
        _ => Kind::Playlists,
    }
}

/// A part of an account's collection, oldest first; of playlists, also those that it made.
pub(super) fn kept(side: &Side, collection: Kind, account: &str) -> Vec<Kept> {
    if let Some(shelf) = shelf(collection) {
        let library = side.libraries.get(account);
        return library.map_or_else(Vec::new, |library| library.shelf(shelf).to_vec());
    }
    let made = side
        .playlists
        .values()
        .filter(|playlist| playlist.owner == account)
        .map(|playlist| Kept { id: playlist.id.clone(), added_at: playlist.created_at });
    let collected = side.collections.get(account).into_iter().flatten().map(Kept::from);
    let mut all: Vec<Kept> = made.chain(collected).collect();
    all.sort_by(|left, right| left.added_at.cmp(&right.added_at).then(left.id.cmp(&right.id)));
    all
}

const fn shelf(collection: Kind) -> Option<Shelf> {
    match collection {
        Kind::UserCollectionTracks => Some(Shelf::Tracks),
        Kind::UserCollectionAlbums => Some(Shelf::Albums),
        Kind::UserCollectionArtists => Some(Shelf::Artists),
        _ => None,
    }
}

fn items(
    kind: Kind,
    sandbox: &Sandbox,
    caller: &Caller,
    id: &str,
    query: &Query,
) -> Result<Response, Failure> {
    let own = own(caller, id)?;
    caller.needs("collection.read")?;
    allow_filters(query, &[])?;
    let sort = query.get("sort").unwrap_or("-addedAt");
    let field = sort.trim_start_matches('-');
    if !sorts(kind).contains(&field) {
        return Err(Failure::parameter("sort", format!("Unknown sort: {sort}")));
    }
    sandbox.read(|model| {
        let library = library(sandbox, model, caller);
        let mut all = library.related(kind, &own, "items");
        if field == "duration" {
            all.sort_by_key(|item| library.catalogue.track(&item.id).map(|track| track.duration_ms));
        } else if field != "addedAt" {
            all.sort_by_cached_key(|item| sort_text(library, item, field));
        }
        if sort.starts_with('-') {
            all.reverse();
        }
        page_of(library, kind, &own, "items", &all, query)
    })
}

fn add(kind: Kind, sandbox: &Sandbox, caller: &Caller, id: &str, body: &[u8]) -> Result<Response, Failure> {
    let own = own(caller, id)?;
    caller.needs("collection.write")?;
    let body = payload(body)?;
    let name = item_kind(kind).name();
    let now = sandbox.now();
    let named: Vec<_> = identifiers(&body, MOST_AT_ONCE, &[name])?
        .into_iter()
        .map(|(item, id)| Ok((id, added_at(item, now)?)))
        .collect::<Result<_, Failure>>()?;
    let songs = sandbox.songs(Provider::Tidal);
    let (mut added, mut skipped) = (Vec::new(), Vec::new());
    sandbox.write(|model| {
        let side = model.side_mut(Provider::Tidal);
        for (id, added_at) in named {
            let known = match shelf(kind) {
                Some(Shelf::Tracks) => songs.track(id).is_some(),
                Some(Shelf::Albums) => songs.album(id).is_some(),
                Some(Shelf::Artists) => songs.artist(id).is_some(),
                None => side.playlist(id).is_some() || super::mixes::compose(songs, id).is_some(),
            };
            let skip = if !known {
                Some("NOT_FOUND")
            } else if kept(side, kind, &own).iter().any(|entry| entry.id == id) {
                Some("ALREADY_PRESENT")
            } else {
                None
            };
            if let Some(reason) = skip {
                skipped.push(json!({ "id": id, "type": name, "reason": reason }));
                continue;
            }
            added.push(json!({ "id": id, "type": name, "meta": { "addedAt": time(added_at) } }));
            if let Some(shelf) = shelf(kind) {
                side.libraries.entry(own.clone()).or_default().put(shelf, id, added_at);
            } else {
                let collected = side.collections.entry(own.clone()).or_default();
                collected.push(Collected { playlist_id: id.to_owned(), added_at });
            }
        }
    });
    let links = json!({ "self": format!("/{}/{own}/relationships/items", kind.name()) });
    Ok(document(StatusCode::OK, &json!({ "data": added, "links": links, "meta": { "skipped": skipped } })))
}

fn remove(
    kind: Kind,
    sandbox: &Sandbox,
    caller: &Caller,
    id: &str,
    body: &[u8],
) -> Result<Response, Failure> {
    let own = own(caller, id)?;
    caller.needs("collection.write")?;
    let body = payload(body)?;
    let gone: Vec<&str> =
        identifiers(&body, MOST_AT_ONCE, &[item_kind(kind).name()])?.into_iter().map(|(_, id)| id).collect();
    sandbox.write(|model| {
        let side = model.side_mut(Provider::Tidal);
        if let Some(shelf) = shelf(kind) {
            let library = side.libraries.entry(own.clone()).or_default();
            for id in gone {
                library.take(shelf, id);
            }
        } else {
            let collected = side.collections.entry(own.clone()).or_default();
            collected.retain(|entry| !gone.contains(&entry.playlist_id.as_str()));
        }
    });
    Ok(done(&format!("/{}/{own}/relationships/items", kind.name())))
}

const fn sorts(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::UserCollectionTracks => &["addedAt", "albums.title", "artists.name", "duration", "title"],
        Kind::UserCollectionAlbums => &["addedAt", "artists.name", "releaseDate", "title"],
        Kind::UserCollectionArtists => &["addedAt", "name"],
        _ => &["addedAt", "lastModifiedAt", "name"],
    }
}

/// What an item is sorted by; times and dates as text sort as they should.
fn sort_text(library: Library<'_>, item: &Identifier, field: &str) -> String {
    let songs = library.catalogue;
    let artist = |artists: &[usize]| artists.first().map_or("", |at| &songs.artists[*at].name);
    match item.kind {
        Kind::Tracks => songs.track(&item.id).map(|track| match field {
            "albums.title" => fold(&songs.albums[track.album].title),
            "artists.name" => fold(artist(&track.artists)),
            _ => fold(&track.title),
        }),
        Kind::Albums => songs.album(&item.id).map(|album| match field {
            "artists.name" => fold(artist(&album.artists)),
            "releaseDate" => album.release_date.clone(),
            _ => fold(&album.title),
        }),
        Kind::Artists => songs.artist(&item.id).map(|artist| fold(&artist.name)),
        _ => library.playlist(&item.id).map(|playlist| match field {
            "lastModifiedAt" => time(playlist.modified_at),
            _ => playlist.name.clone(),
        }),
    }
    .unwrap_or_default()
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
