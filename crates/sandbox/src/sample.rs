//! The catalogue as tests look at it from inside the process.

use crate::catalogue::Catalogue;

/// One provider's catalogue, for tests.
#[derive(Debug)]
pub struct CatalogueView<'a>(&'a Catalogue);

/// A track as tests want to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleTrack {
    /// The provider's id.
    pub id: String,
    /// Title without version.
    pub title: String,
    /// "Live at …" and the like.
    pub version: Option<String>,
    /// Names, main artist first.
    pub artists: Vec<String>,
    /// Their ids.
    pub artist_ids: Vec<String>,
    /// The album's id.
    pub album_id: String,
    /// The album's UPC.
    pub upc: String,
    /// ISRC, where the provider tells.
    pub isrc: Option<String>,
    /// Which recording it is: the same for all its releases at both providers, whatever they tell of it.
    pub recording: String,
    /// Markets where it cannot be played.
    pub blocked_in: Vec<&'static str>,
}

impl<'a> CatalogueView<'a> {
    pub(crate) fn of(catalogue: &'a Catalogue) -> Self {
        Self(catalogue)
    }

    /// Every track.
    pub fn tracks(&self) -> impl Iterator<Item = SampleTrack> + '_ {
        self.0.tracks.iter().map(|track| SampleTrack {
            id: track.id.clone(),
            title: track.title.clone(),
            version: track.version.clone(),
            artists: track.artists.iter().map(|at| self.0.artists[*at].name.clone()).collect(),
            artist_ids: track.artists.iter().map(|at| self.0.artists[*at].id.clone()).collect(),
            album_id: self.0.albums[track.album].id.clone(),
            upc: self.0.albums[track.album].upc.clone(),
            isrc: track.isrc.clone(),
            recording: track.recording.clone(),
            blocked_in: track.blocked_in.clone(),
        })
    }

    /// How many tracks, albums and artists there are.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.0.tracks.len(), self.0.albums.len(), self.0.artists.len())
    }
}
