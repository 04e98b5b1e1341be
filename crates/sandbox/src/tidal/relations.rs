//! What is related to what: identifiers, with the meta that their relationship carries.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::attributes::time;
use super::include::Kind;
use super::mixes::{self, Recipe};
use crate::catalogue::{Catalogue, Index};
use crate::model::Side;
use crate::playlist::{Entry, Playlist};
use crate::text::fold;

/// The most hits of one kind that a search yields.
const MOST_HITS: usize = 300;

/// One related resource.
#[derive(Debug, Clone)]
pub(super) struct Identifier {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) meta: Option<Value>,
}

impl Identifier {
    pub(super) fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into(), meta: None }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut identifier = json!({ "type": self.kind.name(), "id": self.id });
        if let Some(meta) = &self.meta {
            identifier["meta"] = meta.clone();
        }
        identifier
    }
}

/// Where relations are looked up.
#[derive(Clone, Copy)]
pub(super) struct Library<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) side: &'a Side,
    pub(super) country: &'a str,
}

impl<'a> Library<'a> {
    /// A playlist of a person, of the house, or a mix.
    pub(super) fn playlist(&self, id: &str) -> Option<Cow<'a, Playlist>> {
        let kept = self.side.playlist(id).map(Cow::Borrowed);
        kept.or_else(|| mixes::compose(self.catalogue, id).map(Cow::Owned))
    }

    /// Everything that `name` of the resource leads to, in order; empty for what the sandbox does not fill.
    pub(super) fn related(&self, kind: Kind, id: &str, name: &str) -> Vec<Identifier> {
        match (kind, name) {
            (Kind::Tracks, "albums") => self.catalogue.track(id).map_or_else(Vec::new, |track| {
                vec![Identifier::new(Kind::Albums, &self.catalogue.albums[track.album].id)]
            }),
            (Kind::Tracks, "artists") => {
                self.catalogue.track(id).map_or_else(Vec::new, |track| self.artists(&track.artists))
            }
            (Kind::Albums, "artists") => {
                self.catalogue.album(id).map_or_else(Vec::new, |album| self.artists(&album.artists))
            }
            (Kind::Albums, "items") => self.album_items(id),
            (Kind::Artists, "albums") => self.artist_albums(id),
            (Kind::Artists, "tracks") => self.artist_tracks(id),
            (Kind::Tracks, "similarTracks") => of_position(self.catalogue.track_at(id), |at| {
                let tracks = mixes::similar_tracks(self.catalogue, at).into_iter();
                tracks.map(|at| Identifier::new(Kind::Tracks, &self.catalogue.tracks[at].id)).collect()
            }),
            (Kind::Albums, "similarAlbums") => of_position(self.catalogue.album_at(id), |at| {
                let albums = mixes::similar_albums(self.catalogue, at).into_iter();
                albums.map(|at| Identifier::new(Kind::Albums, &self.catalogue.albums[at].id)).collect()
            }),
            (Kind::Artists, "similarArtists") => of_position(self.catalogue.artist_at(id), |at| {
                self.artists(&mixes::similar_artists(self.catalogue, at))
            }),
            (Kind::Tracks, "radio") => {
                of_position(self.catalogue.track_at(id), |at| radio(Recipe::TrackRadio, at))
            }
            (Kind::Artists, "radio") => {
                of_position(self.catalogue.artist_at(id), |at| radio(Recipe::ArtistRadio, at))
            }
            (Kind::UserDailyMixes, "items") => (0..mixes::DAILY)
                .map(|number| Identifier::new(Kind::Playlists, mixes::id(Recipe::Daily, number, id)))
                .collect(),
            (Kind::UserDiscoveryMixes, "items") => {
                vec![Identifier::new(Kind::Playlists, mixes::id(Recipe::Discovery, 0, id))]
            }
            (Kind::UserNewReleaseMixes, "items") => {
                vec![Identifier::new(Kind::Playlists, mixes::id(Recipe::NewReleases, 0, id))]
            }
            (Kind::Playlists, "items") => self
                .playlist(id)
                .map_or_else(Vec::new, |playlist| playlist.entries.iter().map(playlist_item).collect()),
            (Kind::Playlists, "owners") => self
                .playlist(id)
                .filter(|playlist| !playlist.owner.is_empty())
                .map_or_else(Vec::new, |playlist| vec![Identifier::new(Kind::Users, &playlist.owner)]),
            (
                Kind::UserCollectionTracks
                | Kind::UserCollectionAlbums
                | Kind::UserCollectionArtists
                | Kind::UserCollectionPlaylists,
                "items",
            ) => super::collection::kept(self.side, kind, id)
                .into_iter()
                .map(|entry| Identifier {
                    kind: super::collection::item_kind(kind),
                    id: entry.id,
                    meta: Some(json!({ "addedAt": time(entry.added_at) })),
                })
                .collect(),
            (
                Kind::UserCollectionTracks
                | Kind::UserCollectionAlbums
                | Kind::UserCollectionArtists
                | Kind::UserCollectionPlaylists,
                "owners",
            ) => vec![Identifier::new(Kind::Users, id)],
            (Kind::SearchResults, name) => {
                super::search::query_of(id).map_or_else(Vec::new, |wanted| self.hits(name, &wanted))
            }
            _ => Vec::new(),
        }
    }

    /// Whether the track can be played in the caller's country.
    pub(super) fn is_available(&self, track: usize) -> bool {
        self.catalogue.tracks[track].playable_in(self.country)
    }

    fn artists(&self, positions: &[usize]) -> Vec<Identifier> {
        positions.iter().map(|at| Identifier::new(Kind::Artists, &self.catalogue.artists[*at].id)).collect()
    }

    fn album_items(&self, id: &str) -> Vec<Identifier> {
        let tracks = self.catalogue.album(id).map_or(&[][..], |album| &album.tracks);
        tracks
            .iter()
            .map(|at| {
                let track = &self.catalogue.tracks[*at];
                let meta = json!({ "trackNumber": track.number, "volumeNumber": track.disc });
                Identifier { kind: Kind::Tracks, id: track.id.clone(), meta: Some(meta) }
            })
            .collect()
    }

    fn artist_albums(&self, id: &str) -> Vec<Identifier> {
        let albums = self.catalogue.artist(id).map_or(&[][..], |artist| &artist.albums);
        albums.iter().map(|at| Identifier::new(Kind::Albums, &self.catalogue.albums[*at].id)).collect()
    }

    fn artist_tracks(&self, id: &str) -> Vec<Identifier> {
        let albums = self.catalogue.artist(id).map_or(&[][..], |artist| &artist.albums);
        albums
            .iter()
            .flat_map(|at| &self.catalogue.albums[*at].tracks)
            .map(|at| Identifier::new(Kind::Tracks, &self.catalogue.tracks[*at].id))
            .collect()
    }

    fn hits(&self, name: &str, wanted: &super::search::Wanted) -> Vec<Identifier> {
        let Catalogue { tracks, albums, artists, index, .. } = self.catalogue;
        let Index { tracks: track_words, albums: album_words, artists: artist_words } = index;
        match name {
            "tracks" => track_words
                .search(&wanted.query)
                .into_iter()
                .filter(|at| self.is_available(*at) && (wanted.explicit || !tracks[*at].explicit))
                .take(MOST_HITS)
                .map(|at| Identifier::new(Kind::Tracks, &tracks[at].id))
                .collect(),
            "albums" => album_words
                .search(&wanted.query)
                .into_iter()
                .take(MOST_HITS)
                .map(|at| Identifier::new(Kind::Albums, &albums[at].id))
                .collect(),
            "artists" => artist_words
                .search(&wanted.query)
                .into_iter()
                .take(MOST_HITS)
                .map(|at| Identifier::new(Kind::Artists, &artists[at].id))
                .collect(),
            "playlists" => self.playlist_hits(&wanted.query),
            "topHits" => ["artists", "tracks", "albums", "playlists"]
                .iter()
                .flat_map(|name| self.hits(name, wanted).into_iter().take(3))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn playlist_hits(&self, query: &str) -> Vec<Identifier> {
        let folded = fold(query);
        let words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
        let fits = |name: &str| {
            let name = fold(name);
            !words.is_empty() && words.iter().all(|word| name.contains(word))
        };
        let playlists = self.side.editorial.values().chain(self.side.playlists.values());
        playlists
            .filter(|playlist| playlist.public && fits(&playlist.name))
            .take(MOST_HITS)
            .map(|playlist| Identifier::new(Kind::Playlists, &playlist.id))
            .collect()
    }
}

fn of_position(at: Option<usize>, related: impl Fn(usize) -> Vec<Identifier>) -> Vec<Identifier> {
    at.map_or_else(Vec::new, related)
}

fn radio(recipe: Recipe, at: usize) -> Vec<Identifier> {
    vec![Identifier::new(Kind::Playlists, mixes::id(recipe, mixes::number(at), ""))]
}

pub(super) fn playlist_item(entry: &Entry) -> Identifier {
    Identifier {
        kind: if entry.other.is_some() { Kind::Videos } else { Kind::Tracks },
        id: entry.track_id.clone(),
        meta: Some(json!({ "addedAt": time(entry.added_at), "itemId": entry.item_id })),
    }
}
