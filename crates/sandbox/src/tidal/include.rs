//! Resource kinds, their relationships, and the `include` parameter checked against them.

use std::collections::BTreeMap;

use super::Failure;
use crate::exchange::Query;

/// A resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Tracks,
    Albums,
    Artists,
    Playlists,
    Users,
    Videos,
    SearchResults,
    UserCollectionTracks,
    UserCollectionAlbums,
    UserCollectionArtists,
    UserCollectionPlaylists,
    UserDailyMixes,
    UserDiscoveryMixes,
    UserNewReleaseMixes,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tracks => "tracks",
            Self::Albums => "albums",
            Self::Artists => "artists",
            Self::Playlists => "playlists",
            Self::Users => "users",
            Self::Videos => "videos",
            Self::SearchResults => "searchResults",
            Self::UserCollectionTracks => "userCollectionTracks",
            Self::UserCollectionAlbums => "userCollectionAlbums",
            Self::UserCollectionArtists => "userCollectionArtists",
            Self::UserCollectionPlaylists => "userCollectionPlaylists",
            Self::UserDailyMixes => "userDailyMixes",
            Self::UserDiscoveryMixes => "userDiscoveryMixes",
            Self::UserNewReleaseMixes => "userNewReleaseMixes",
        }
    }

    /// Relationships that the sandbox fills, with what they lead to.
    pub(super) const fn filled(self) -> &'static [(&'static str, &'static [Self])] {
        match self {
            Self::Tracks => &[
                ("albums", &[Self::Albums]),
                ("artists", &[Self::Artists]),
                ("radio", &[Self::Playlists]),
                ("similarTracks", &[Self::Tracks]),
            ],
            Self::Albums => &[
                ("artists", &[Self::Artists]),
                ("items", &[Self::Tracks]),
                ("similarAlbums", &[Self::Albums]),
            ],
            Self::Artists => &[
                ("albums", &[Self::Albums]),
                ("radio", &[Self::Playlists]),
                ("similarArtists", &[Self::Artists]),
                ("tracks", &[Self::Tracks]),
            ],
            Self::Playlists => &[("items", &[Self::Tracks, Self::Videos]), ("owners", &[Self::Users])],
            Self::Users | Self::Videos => &[],
            Self::SearchResults => &[
                ("albums", &[Self::Albums]),
                ("artists", &[Self::Artists]),
                ("playlists", &[Self::Playlists]),
                ("topHits", &[Self::Tracks, Self::Albums, Self::Artists, Self::Playlists]),
                ("tracks", &[Self::Tracks]),
            ],
            Self::UserCollectionTracks => &[("items", &[Self::Tracks]), ("owners", &[Self::Users])],
            Self::UserCollectionAlbums => &[("items", &[Self::Albums]), ("owners", &[Self::Users])],
            Self::UserCollectionArtists => &[("items", &[Self::Artists]), ("owners", &[Self::Users])],
            Self::UserCollectionPlaylists => &[("items", &[Self::Playlists]), ("owners", &[Self::Users])],
            Self::UserDailyMixes | Self::UserDiscoveryMixes | Self::UserNewReleaseMixes => {
                &[("items", &[Self::Playlists])]
            }
        }
    }

    /// To-many relationships that the API has and the sandbox leaves empty.
    pub(super) const fn empty(self) -> &'static [&'static str] {
        match self {
            Self::Tracks => {
                &["credits", "genres", "lyrics", "owners", "providers", "shares", "suggestedTracks"]
            }
            Self::Albums => &["coverArt", "genres", "owners", "providers", "shares", "suggestedCoverArts"],
            Self::Artists => {
                &["followers", "following", "owners", "profileArt", "roles", "trackProviders", "videos"]
            }
            Self::Playlists => {
                &["collaboratorProfiles", "collaborators", "coverArt", "ownerProfiles", "suggestedCoverArts"]
            }
            Self::Videos => &["albums", "artists", "credits", "providers", "similarVideos", "thumbnailArt"],
            Self::SearchResults => &["videos"],
            _ => &[],
        }
    }

    /// To-one relationships that the API has and the sandbox leaves null.
    pub(super) const fn null(self) -> &'static [&'static str] {
        match self {
            Self::Tracks => &[
                "download",
                "metadataStatus",
                "priceConfig",
                "replacement",
                "sourceFile",
                "trackStatistics",
                "usageRules",
            ],
            Self::Albums => &["albumStatistics", "priceConfig", "replacement", "usageRules"],
            Self::Artists => &["biography", "claimStatus"],
            _ => &[],
        }
    }

    fn targets(self, name: &str) -> Option<&'static [Self]> {
        match self.filled().iter().find(|(held, _)| *held == name) {
            Some((_, targets)) => Some(targets),
            None if self.empty().contains(&name) || self.null().contains(&name) => Some(&[]),
            None => None,
        }
    }
}

/// The related resources that a document should carry, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Include(BTreeMap<String, Self>);

impl Include {
    /// The `include` parameter of a request for resources of `kind`; paths of at most three names.
    pub(super) fn of(query: &Query, kind: Kind) -> Result<Self, Failure> {
        let mut tree = Self::default();
        for path in query.list("include") {
            let refused =
                |why: &str| Failure::parameter("include", format!("Invalid include path: {path} ({why})"));
            if path.split('.').count() > 3 {
                return Err(refused("at most 3 levels"));
            }
            let mut kinds: Vec<Kind> = vec![kind];
            let mut node = &mut tree;
            for name in path.split('.') {
                let found: Vec<&[Kind]> = kinds.iter().filter_map(|kind| kind.targets(name)).collect();
                if found.is_empty() {
                    return Err(refused("unknown relationship"));
                }
                kinds = found.concat();
                node = node.0.entry(name.to_owned()).or_default();
            }
        }
        Ok(tree)
    }

    /// The `include` parameter of a request for the relationship `name` itself, whose first name is `name`.
    pub(super) fn of_relationship(query: &Query, kind: Kind, name: &str) -> Result<Option<Self>, Failure> {
        let mut tree = Self::of(query, kind)?;
        let found = tree.0.remove(name);
        match tree.0.keys().next() {
            Some(other) => Err(Failure::parameter("include", format!("Invalid include path: {other}"))),
            None => Ok(found),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.0.get(name)
    }
}
