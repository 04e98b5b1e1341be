//! The caller's profile and playlists, without their items.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use super::caller::{Caller, Id};
use super::catalogue::painter;
use super::paging::Window;
use super::render::snapshot_id;
use super::{Failure, fields, items, library, ok};
use crate::exchange::{Origin, Query};
use crate::model::Model;
use crate::playlist::Playlist;
use crate::sandbox::Sandbox;

pub(super) async fn me(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let account = caller.account()?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let mut profile = painter.linked("user", &account.user_id);
    profile["account_id"] = json!(account.account_id);
    profile["display_name"] = json!(account.display_name);
    profile["images"] = json!([]);
    profile["followers"] = json!({ "href": null, "total": 0 });
    if caller.0.has_scope("user-read-private") {
        profile["country"] = json!(account.country);
        profile["product"] = json!(account.plan);
        profile["explicit_content"] = json!({ "filter_enabled": false, "filter_locked": false });
    }
    if caller.0.has_scope("user-read-email") {
        profile["email"] = json!(format!("{}@people.example", account.user_id));
    }
    Ok(ok(StatusCode::OK, &profile))
}

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let account = caller.account()?;
    caller.needs("playlist-read-private")?;
    let window = Window::of(&query, 20, (1, 50), 100_000)?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let page = sandbox.read(|model| {
        let side = model.side(Provider::Spotify);
        let mut mine: Vec<&Playlist> = side
            .playlists
            .values()
            .filter(|playlist| library::lists(side, playlist, &account.account_id))
            .collect();
        mine.extend(
            side.editorial.values().filter(|playlist| library::follows(side, playlist, &account.account_id)),
        );
        mine.sort_by(|left, right| right.created_at.cmp(&left.created_at).then(left.id.cmp(&right.id)));
        let items = window
            .slice(&mine)
            .iter()
            .map(|playlist| painter.playlist(playlist, side, Some(painter.items_reference(playlist))))
            .collect();
        window.page(&format!("{}/me/playlists", painter.api), &query, mine.len(), items)
    });
    Ok(ok(StatusCode::OK, &page))
}

pub(super) async fn create(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
    body: Bytes,
) -> Result<Response, Failure> {
    let account = caller.account()?;
    let wanted = Details::parse(&body)?;
    let name = wanted.name.clone().ok_or_else(|| Failure::bad("Missing required field: name"))?;
    let now = sandbox.now();
    let mut playlist = Playlist::new(sandbox.random_id(), account.account_id.clone(), name, now);
    wanted.apply(&mut playlist)?;
    needs_write_scope(&caller, playlist.public)?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let answer = sandbox.write(|model| {
        let items =
            items::page(&painter, &playlist, model.side(Provider::Spotify), FIRST_ITEMS, &Query::default());
        let answer = painter.playlist(&playlist, model.side(Provider::Spotify), Some(items));
        model.side_mut(Provider::Spotify).playlists.insert(playlist.id.clone(), playlist);
        answer
    });
    Ok(ok(StatusCode::CREATED, &answer))
}

pub(super) async fn read(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let painter = painter(&sandbox, &caller, &origin, &query);
    let answer = sandbox.read(|model| {
        let playlist = visible(model, &id, &caller)?;
        let side = model.side(Provider::Spotify);
        // Development mode shows the items of one's own playlists only; of others, the rest.
        let items = (caller.is_extended() || playlist.is_open_to(caller.0.account_id()))
            .then(|| items::page(&painter, playlist, side, FIRST_ITEMS, &Query::default()));
        Ok::<_, Failure>(painter.playlist(playlist, side, items))
    })?;
    Ok(ok(StatusCode::OK, &fields::only(answer, query.get("fields"))?))
}

pub(super) async fn change(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    Id(id): Id,
    body: Bytes,
) -> Result<Response, Failure> {
    let wanted = Details::parse(&body)?;
    write_to(&sandbox, &caller, &id, |playlist| wanted.apply(playlist))?;
    Ok(StatusCode::OK.into_response())
}

const FIRST_ITEMS: Window = Window { limit: 100, offset: 0 };

/// The playlist if the caller may know of it: public, or open to the caller.
pub(super) fn visible<'a>(model: &'a Model, id: &str, caller: &Caller) -> Result<&'a Playlist, Failure> {
    model
        .side(Provider::Spotify)
        .playlist(id)
        .filter(|playlist| playlist.public || playlist.is_open_to(caller.0.account_id()))
        .ok_or_else(|| Failure::not_found("Resource not found"))
}

/// Runs a write on a playlist that the caller may change: scope, then ownership. A refused write changes nothing.
/// Returns the new snapshot id.
pub(super) fn write_to(
    sandbox: &Sandbox,
    caller: &Caller,
    id: &str,
    change: impl FnOnce(&mut Playlist) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let account = caller.account()?;
    let now = sandbox.now();
    sandbox.write(|model| {
        let found = visible(model, id, caller)?;
        needs_write_scope(caller, found.public)?;
        if !found.is_open_to(Some(&account.account_id)) {
            return Err(Failure::forbidden("You cannot change a playlist you don't own."));
        }
        let mut draft = found.clone();
        change(&mut draft)?;
        draft.touch(now);
        let answer = snapshot_id(&draft);
        model.side_mut(Provider::Spotify).playlists.insert(draft.id.clone(), draft);
        Ok(answer)
    })
}

fn needs_write_scope(caller: &Caller, public: bool) -> Result<(), Failure> {
    caller.needs(if public { "playlist-modify-public" } else { "playlist-modify-private" })
}

/// What a body may say about a playlist.
struct Details {
    name: Option<String>,
    description: Option<String>,
    public: Option<bool>,
    collaborative: Option<bool>,
}

impl Details {
    fn parse(body: &[u8]) -> Result<Self, Failure> {
        let body = json_body(body)?;
        let text = |name: &str| match &body[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(Failure::bad(format!("Invalid value for field: {name}"))),
        };
        let flag = |name: &str| match &body[name] {
            Value::Null => Ok(None),
            Value::Bool(flag) => Ok(Some(*flag)),
            _ => Err(Failure::bad(format!("Invalid value for field: {name}"))),
        };
        if text("name")?.is_some_and(|name| name.is_empty()) {
            return Err(Failure::bad("Missing required field: name"));
        }
        Ok(Self {
            name: text("name")?,
            description: text("description")?,
            public: flag("public")?,
            collaborative: flag("collaborative")?,
        })
    }

    fn apply(&self, playlist: &mut Playlist) -> Result<(), Failure> {
        if let Some(name) = &self.name {
            playlist.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            playlist.description = Some(description.clone());
        }
        playlist.public = self.public.unwrap_or(playlist.public);
        playlist.collaborative = self.collaborative.unwrap_or(playlist.collaborative);
        if playlist.collaborative && playlist.public {
            return Err(Failure::bad("Collaborative playlists can only be private."));
        }
        Ok(())
    }
}

/// The body as a JSON object.
pub(super) fn json_body(body: &[u8]) -> Result<Value, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) | Err(_) => Err(Failure::bad("Error parsing JSON.")),
    }
}
