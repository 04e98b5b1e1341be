//! Playlists: listed, read, made, changed, deleted; `PUBLIC` or `UNLISTED` only.

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::caller::{Caller, allow_filters, payload};
use super::catalogue::{library, several, single};
use super::compound::Compound;
use super::include::{Include, Kind};
use super::{Failure, document, mixes};
use crate::exchange::Query;
use crate::playlist::Playlist;
use crate::sandbox::Sandbox;

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    query: Query,
) -> Result<Response, Failure> {
    allow_filters(&query, &["filter[id]", "filter[owners.id]", "filter[collaborators.id]"])?;
    let sort = query.get("sort").unwrap_or("-createdAt");
    if !["createdAt", "lastModifiedAt", "name"].contains(&sort.trim_start_matches('-')) {
        return Err(Failure::parameter("sort", format!("Unknown sort: {sort}")));
    }
    let person = |name: &str| -> Result<Vec<String>, Failure> {
        let named = query.list(name).into_iter();
        named.map(|id| if id == "me" { own_id(&caller) } else { Ok(id.to_owned()) }).collect()
    };
    let owners = person("filter[owners.id]")?;
    let collaborators = person("filter[collaborators.id]")?;
    let ids = query.list("filter[id]");
    let me = caller.bearer.account_id();
    let found: Vec<String> = sandbox.read(|model| {
        let side = model.side(Provider::Tidal);
        let mut found: Vec<&Playlist> = side
            .playlists
            .values()
            .chain(side.editorial.values())
            .filter(|playlist| {
                let listed = playlist.public || playlist.is_open_to(me) || !ids.is_empty();
                listed
                    && (owners.is_empty() || owners.contains(&playlist.owner))
                    && (collaborators.is_empty()
                        || collaborators.iter().any(|id| playlist.collaborators.contains(id)))
                    && (ids.is_empty() || ids.contains(&playlist.id.as_str()))
            })
            .collect();
        found.sort_by(|left, right| {
            let order = match sort.trim_start_matches('-') {
                "name" => left.name.cmp(&right.name),
                "lastModifiedAt" => left.modified_at.cmp(&right.modified_at),
                _ => left.created_at.cmp(&right.created_at),
            };
            if sort.starts_with('-') { order.reverse() } else { order }.then(left.id.cmp(&right.id))
        });
        let mixes = |id: &&&str| mixes::compose(sandbox.songs(Provider::Tidal), id).is_some();
        let named = if owners.is_empty() && collaborators.is_empty() { &ids[..] } else { &[] };
        let mixes = named.iter().filter(mixes).map(|id| (*id).to_owned());
        found.into_iter().map(|playlist| playlist.id.clone()).chain(mixes).collect()
    });
    several(&sandbox, &caller, Kind::Playlists, &found, &query)
}

pub(super) async fn read(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    single(&sandbox, &caller, Kind::Playlists, &id, &query)
}

pub(super) async fn create(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Failure> {
    let owner = caller.account()?.account_id.clone();
    caller.needs("playlists.write")?;
    let body = payload(&body)?;
    let wanted = Details::parse(&body["data"])?;
    let name = wanted.name.clone().ok_or_else(|| Failure::bad("data.attributes.name is required"))?;
    let mut playlist = Playlist::new(sandbox.random_uuid(), owner, name, sandbox.now());
    wanted.apply(&mut playlist);
    let id = playlist.id.clone();
    sandbox.write(|model| model.side_mut(Provider::Tidal).playlists.insert(id.clone(), playlist));
    written(&sandbox, &caller, &id, StatusCode::CREATED)
}

pub(super) async fn change(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = payload(&body)?;
    if body["data"]["id"].as_str() != Some(&id) {
        return Err(Failure::bad("data.id must be the id in the path"));
    }
    let wanted = Details::parse(&body["data"])?;
    write_to(&sandbox, &caller, &id, |playlist| {
        wanted.apply(playlist);
        Ok(())
    })?;
    written(&sandbox, &caller, &id, StatusCode::OK)
}

pub(super) async fn delete(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    write_to(&sandbox, &caller, &id, |_| Ok(()))?;
    sandbox.write(|model| {
        let side = model.side_mut(Provider::Tidal);
        side.playlists.remove(&id);
        for collected in side.collections.values_mut() {
            collected.retain(|entry| entry.playlist_id != id);
        }
    });
    Ok(done(&format!("/playlists/{id}")))
}

/// Runs a write on a playlist that the caller may change. A refused write changes nothing.
pub(super) fn write_to<T>(
    sandbox: &Sandbox,
    caller: &Caller,
    id: &str,
    change: impl FnOnce(&mut Playlist) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let account = caller.account()?;
    caller.needs("playlists.write")?;
    let now = sandbox.now();
    sandbox.write(|model| {
        let side = model.side_mut(Provider::Tidal);
        let mut draft = side.playlist(id).ok_or_else(Failure::not_found)?.clone();
        if !draft.is_open_to(Some(&account.account_id)) {
            return Err(Failure::forbidden("Only the owner or a collaborator may change this playlist"));
        }
        let outcome = change(&mut draft)?;
        draft.touch(now);
        side.playlists.insert(draft.id.clone(), draft);
        Ok(outcome)
    })
}

/// The answer to a write that has nothing to tell.
pub(super) fn done(path: &str) -> Response {
    document(StatusCode::OK, &json!({ "links": { "self": path } }))
}

fn written(sandbox: &Sandbox, caller: &Caller, id: &str, status: StatusCode) -> Result<Response, Failure> {
    sandbox.read(|model| {
        let mut compound = Compound::new(library(sandbox, model, caller));
        let data =
            compound.primary(Kind::Playlists, id, &Include::default()).ok_or_else(Failure::not_found)?;
        let links = json!({ "self": format!("/playlists/{id}") });
        Ok(document(status, &compound.finish(data, links, false)))
    })
}

fn own_id(caller: &Caller) -> Result<String, Failure> {
    let account = caller.account()?;
    caller.needs("playlists.read")?;
    Ok(account.account_id.clone())
}

/// What a body may say about a playlist.
struct Details {
    name: Option<String>,
    description: Option<String>,
    public: Option<bool>,
}

impl Details {
    fn parse(data: &Value) -> Result<Self, Failure> {
        if data["type"].as_str() != Some("playlists") {
            return Err(Failure::bad("data.type must be playlists"));
        }
        let attributes =
            data["attributes"].as_object().ok_or_else(|| Failure::bad("data.attributes is required"))?;
        let text = |name: &str| match attributes.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Failure::bad(format!("data.attributes.{name} must be a string"))),
        };
        let name = text("name")?;
        if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Failure::bad("data.attributes.name must not be empty"));
        }
        let public = match text("accessType")?.as_deref() {
            None => None,
            Some("PUBLIC") => Some(true),
            Some("UNLISTED") => Some(false),
            Some(_) => return Err(Failure::bad("data.attributes.accessType must be PUBLIC or UNLISTED")),
        };
        Ok(Self { name, description: text("description")?, public })
    }

    fn apply(&self, playlist: &mut Playlist) {
        if let Some(name) = &self.name {
            playlist.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            playlist.description = Some(description.clone());
        }
        playlist.public = self.public.unwrap_or(playlist.public);
    }
}
