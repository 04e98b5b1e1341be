//! `GET /search`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};
use stagedoor_domain::Provider;

use super::caller::Caller;
use super::catalogue::painter;
use super::paging::Window;
use super::query::Expression;
use super::render::Painter;
use super::{Failure, ok};
use crate::catalogue::Words;
use crate::exchange::{Origin, Query};
use crate::sandbox::Sandbox;
use crate::text::fold;

const TYPES: &[&str] = &["album", "artist", "playlist", "track", "show", "episode", "audiobook"];

pub(super) async fn search(
    State(sandbox): State<Sandbox>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, Failure> {
    let text = query
        .get("q")
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Failure::bad("No search query"))?;
    let types = query.list("type");
    if types.is_empty() {
        return Err(Failure::bad("Missing parameter type"));
    }
    if types.iter().any(|kind| !TYPES.contains(kind)) {
        return Err(Failure::bad("Bad search type field"));
    }
    let (usual, most) = if caller.is_extended() { (20, 50) } else { (5, 10) };
    let window = Window::of(&query, usual, (1, most), 1000)?;
    let expression = Expression::parse(text)?;
    let painter = painter(&sandbox, &caller, &origin, &query);
    let mut found = Map::new();
    for kind in TYPES.iter().filter(|kind| types.contains(kind)) {
        let url = format!("{}/search", painter.api);
        let (total, items) = match *kind {
            "track" => tracks(&painter, &expression, window),
            "album" => albums(&painter, &expression, window),
            "artist" => artists(&painter, &expression, window),
            "playlist" => playlists(&sandbox, &painter, &expression, window),
            // The catalogue holds music only.
            _ => (0, Vec::new()),
        };
        let links = query.having("type", kind);
        found.insert(format!("{kind}s"), window.page(&url, &links, total, items));
    }
    Ok(ok(StatusCode::OK, &Value::Object(found)))
}

fn tracks(painter: &Painter<'_>, expression: &Expression, window: Window) -> (usize, Vec<Value>) {
    let catalogue = painter.catalogue;
    let found = match (&expression.isrc, &expression.upc) {
        (Some(isrc), _) => catalogue.by_isrc(isrc).to_vec(),
        (None, Some(_)) => Vec::new(),
        (None, None) => catalogue.index.tracks.search(&expression.all_words()),
    };
    let found: Vec<usize> = found
        .into_iter()
        .filter(|at| {
            painter.is_playable(&catalogue.tracks[*at]) && fits(&catalogue.index.tracks, *at, expression)
        })
        .collect();
    let items = window.slice(&found).iter().map(|at| painter.track(&catalogue.tracks[*at])).collect();
    (found.len(), items)
}

fn albums(painter: &Painter<'_>, expression: &Expression, window: Window) -> (usize, Vec<Value>) {
    let catalogue = painter.catalogue;
    let found = match (&expression.upc, &expression.isrc) {
        (Some(upc), _) => catalogue.by_upc(upc).to_vec(),
        (None, Some(_)) => Vec::new(),
        (None, None) => catalogue.index.albums.search(&expression.all_words()),
    };
    let found: Vec<usize> =
        found.into_iter().filter(|at| fits(&catalogue.index.albums, *at, expression)).collect();
    let items = window.slice(&found).iter().map(|at| painter.simple_album(&catalogue.albums[*at])).collect();
    (found.len(), items)
}

fn artists(painter: &Painter<'_>, expression: &Expression, window: Window) -> (usize, Vec<Value>) {
    let catalogue = painter.catalogue;
    let found: Vec<usize> = catalogue
        .index
        .artists
        .search(&expression.all_words())
        .into_iter()
        .filter(|at| catalogue.artists[*at].genre.contains(&expression.genre))
        .collect();
    let items = window.slice(&found).iter().map(|at| painter.artist(&catalogue.artists[*at])).collect();
    (found.len(), items)
}

fn playlists(
    sandbox: &Sandbox,
    painter: &Painter<'_>,
    expression: &Expression,
    window: Window,
) -> (usize, Vec<Value>) {
    let words: Vec<&str> = expression.words.split(' ').filter(|word| !word.is_empty()).collect();
    sandbox.read(|model| {
        let side = model.side(Provider::Spotify);
        let found: Vec<_> = side
            .editorial
            .values()
            .chain(side.playlists.values())
            .filter(|playlist| playlist.public && !words.is_empty())
            .filter(|playlist| {
                let name = fold(&playlist.name);
                words.iter().all(|word| name.contains(word))
            })
            .collect();
        let items = window
            .slice(&found)
            .iter()
            .map(|playlist| painter.playlist(playlist, side, Some(painter.items_reference(playlist))))
            .collect();
        (found.len(), items)
    })
}

/// Whether the field filters hold; the free words were the index's task.
fn fits(words: &Words, position: usize, expression: &Expression) -> bool {
    let document = words.document(position);
    let holds = |text: &str, wanted: &str| wanted.split(' ').all(|word| text.contains(word));
    holds(&document.title, &expression.track)
        && holds(&document.artist, &expression.artist)
        && holds(&document.album, &expression.album)
        && expression.years.is_none_or(|(first, last)| (first..=last).contains(&document.year))
}
