//! The invented catalogue as one provider shows it: artists, albums, tracks, looked up by id, ISRC and UPC.
//! Names are made in `words` and `compose`, ids and gaps in `view`; nothing here knows HTTP.

mod compose;
mod dice;
mod index;
mod view;
mod words;

use std::collections::HashMap;

use stagedoor_domain::Provider;

pub(crate) use compose::{Master, compose};
pub(crate) use dice::{Dice, mix};
pub(crate) use index::{Index, Words};
pub(crate) use words::playlist_name;

/// Countries that the providers serve.
pub(crate) const MARKETS: &[&str] = &[
    "AT", "AU", "BE", "BR", "CA", "CH", "DE", "DK", "ES", "FI", "FR", "GB", "IE", "IT", "JP", "MX", "NL",
    "NO", "NZ", "PL", "PT", "SE", "US",
];

/// How an album was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlbumKind {
    Album,
    Ep,
    Single,
    Compilation,
}

/// A performer. Two artists may have the same name.
#[derive(Debug)]
pub(crate) struct Artist {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) genre: &'static str,
    /// 0 to 100.
    pub(crate) popularity: u8,
    /// Positions in `Catalogue::albums`, newest first.
    pub(crate) albums: Vec<usize>,
}

/// A release.
#[derive(Debug)]
pub(crate) struct Album {
    pub(crate) id: String,
    pub(crate) title: String,
    /// "Deluxe Edition", "2019 Remaster" and the like.
    pub(crate) version: Option<String>,
    pub(crate) artists: Vec<usize>,
    pub(crate) upc: String,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub(crate) release_date: String,
    pub(crate) kind: AlbumKind,
    pub(crate) label: &'static str,
    pub(crate) popularity: u8,
    /// Positions in `Catalogue::tracks`, in playing order.
    pub(crate) tracks: Vec<usize>,
}

/// A track on one release. The same recording on two releases is two tracks with one ISRC.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: String,
    pub(crate) title: String,
    /// "Live at …", "… Remix" and the like.
    pub(crate) version: Option<String>,
    pub(crate) artists: Vec<usize>,
    pub(crate) album: usize,
    /// Missing on a few tracks at Spotify; Tidal's contract requires it.
    pub(crate) isrc: Option<String>,
    /// The recording's own code, whatever the provider tells.
    pub(crate) recording: String,
    pub(crate) duration_ms: u64,
    pub(crate) explicit: bool,
    pub(crate) disc: u32,
    pub(crate) number: u32,
    pub(crate) beats_per_minute: u16,
    pub(crate) key: usize,
    pub(crate) popularity: u8,
    /// Markets where it must not be played.
    pub(crate) blocked_in: Vec<&'static str>,
}

impl Album {
    /// Title and version as one text.
    pub(crate) fn full_title(&self) -> String {
        self.version
            .as_ref()
            .map_or_else(|| self.title.clone(), |version| format!("{} ({version})", self.title))
    }
}

impl Track {
    /// Title and version as one text, the way Spotify writes it.
    pub(crate) fn full_title(&self) -> String {
        self.version
            .as_ref()
            .map_or_else(|| self.title.clone(), |version| format!("{} - {version}", self.title))
    }

    /// Whether it can be played in `country`; anywhere that is not a market counts as served.
    pub(crate) fn playable_in(&self, country: &str) -> bool {
        !self.blocked_in.contains(&country)
    }
}

/// One provider's catalogue.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) artists: Vec<Artist>,
    pub(crate) albums: Vec<Album>,
    pub(crate) tracks: Vec<Track>,
    pub(crate) index: Index,
    artist_ids: HashMap<String, usize>,
    album_ids: HashMap<String, usize>,
    track_ids: HashMap<String, usize>,
    isrcs: HashMap<String, Vec<usize>>,
    upcs: HashMap<String, Vec<usize>>,
}

impl Catalogue {
    /// The part of `master` that `provider` has, under the provider's own ids.
    pub(crate) fn of(master: &Master, provider: Provider, seed: u64) -> Self {
        let (artists, albums, tracks) = view::view(master, provider, seed);
        let index = Index::build(&artists, &albums, &tracks);
        let mut isrcs: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, track) in tracks.iter().enumerate() {
            if let Some(isrc) = &track.isrc {
                isrcs.entry(isrc.clone()).or_default().push(position);
            }
        }
        let mut upcs: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, album) in albums.iter().enumerate() {
            upcs.entry(album.upc.clone()).or_default().push(position);
        }
        let by_id = |ids: Vec<String>| ids.into_iter().enumerate().map(|(at, id)| (id, at)).collect();
        Self {
            artist_ids: by_id(artists.iter().map(|artist| artist.id.clone()).collect()),
            album_ids: by_id(albums.iter().map(|album| album.id.clone()).collect()),
            track_ids: by_id(tracks.iter().map(|track| track.id.clone()).collect()),
            artists,
            albums,
            tracks,
            index,
            isrcs,
            upcs,
        }
    }

    pub(crate) fn artist(&self, id: &str) -> Option<&Artist> {
        self.artist_ids.get(id).map(|at| &self.artists[*at])
    }

    pub(crate) fn album(&self, id: &str) -> Option<&Album> {
        self.album_ids.get(id).map(|at| &self.albums[*at])
    }

    pub(crate) fn track(&self, id: &str) -> Option<&Track> {
        self.track_ids.get(id).map(|at| &self.tracks[*at])
    }

    pub(crate) fn track_at(&self, id: &str) -> Option<usize> {
        self.track_ids.get(id).copied()
    }

    pub(crate) fn album_at(&self, id: &str) -> Option<usize> {
        self.album_ids.get(id).copied()
    }

    pub(crate) fn artist_at(&self, id: &str) -> Option<usize> {
        self.artist_ids.get(id).copied()
    }

    /// Every track of a recording, most popular first.
    pub(crate) fn by_isrc(&self, isrc: &str) -> &[usize] {
        self.isrcs.get(&isrc.to_ascii_uppercase()).map_or(&[], Vec::as_slice)
    }

    /// Every album with this UPC or EAN; leading zeros do not count.
    pub(crate) fn by_upc(&self, upc: &str) -> &[usize] {
        let bare = upc.trim_start_matches('0');
        [upc.to_owned(), format!("{bare:0>12}")]
            .iter()
            .find_map(|code| self.upcs.get(code))
            .map_or(&[], Vec::as_slice)
    }
}
