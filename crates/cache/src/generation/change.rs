//! What has a generation of its own, and which a write raises.

use std::fmt;
use std::str::FromStr;

use stagedoor_crypto::digest::sha256;
use stagedoor_domain::Provider;

/// What a write changes. A change of the account makes everything of the person at the provider stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataScope {
    /// Which playlists there are, with what a list shows of each.
    Playlists,
    /// What is in one playlist. A change of it changes [`Self::Playlists`] as well.
    Playlist(PlaylistSlot),
    /// Saved tracks, albums and artists.
    Library,
    /// The account itself: linked again, scopes changed, profile.
    Account,
}

/// One of 16 places among which a person's playlists are spread, so that a write to one leaves most of the others
/// findable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlaylistSlot(u8);

impl PlaylistSlot {
    const COUNT: u8 = 16;

    /// The slot of the playlist with this id at its provider.
    pub fn of(playlist: &str) -> Self {
        Self(sha256(&[playlist.as_bytes()])[0] % Self::COUNT)
    }
}

/// The text form is a part of keys: no colon and no full stop.
impl fmt::Display for DataScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playlists => f.write_str("playlists"),
            Self::Playlist(PlaylistSlot(slot)) => write!(f, "playlist-{slot}"),
            Self::Library => f.write_str("library"),
            Self::Account => f.write_str("account"),
        }
    }
}

/// What has a generation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    /// The person's data of this scope at the provider.
    Of(Provider, DataScope),
    /// The person's preferences.
    Preferences,
}

impl Change {
    /// All that is raised when this changes.
    pub(super) fn raises(self) -> impl Iterator<Item = Self> {
        let list = match self {
            Self::Of(provider, DataScope::Playlist(_)) => Some(Self::Of(provider, DataScope::Playlists)),
            _ => None,
        };
        std::iter::once(self).chain(list)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(provider, scope) => write!(f, "{provider}.{scope}"),
            Self::Preferences => f.write_str("preferences"),
        }
    }
}

/// A field of another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownChange;

impl FromStr for Change {
    type Err = UnknownChange;

    fn from_str(text: &str) -> Result<Self, UnknownChange> {
        if text == "preferences" {
            return Ok(Self::Preferences);
        }
        let (provider, scope) = text.split_once('.').ok_or(UnknownChange)?;
        let scope = match scope.strip_prefix("playlist-") {
            Some(slot) => {
                let slot = slot.parse().ok().filter(|slot| *slot < PlaylistSlot::COUNT);
                DataScope::Playlist(PlaylistSlot(slot.ok_or(UnknownChange)?))
            }
            None => match scope {
                "playlists" => DataScope::Playlists,
                "library" => DataScope::Library,
                "account" => DataScope::Account,
                _ => return Err(UnknownChange),
            },
        };
        Ok(Self::Of(provider.parse().map_err(|_| UnknownChange)?, scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let slots = (0..PlaylistSlot::COUNT).map(|slot| DataScope::Playlist(PlaylistSlot(slot)));
        let scopes: Vec<_> =
            [DataScope::Playlists, DataScope::Library, DataScope::Account].into_iter().chain(slots).collect();
        for provider in Provider::ALL {
            for scope in &scopes {
                let change = Change::Of(*provider, *scope);
                assert_eq!(change.to_string().parse(), Ok(change));
            }
        }
        assert_eq!("preferences".parse(), Ok(Change::Preferences));
        for odd in ["", "origin", "spotify.", "spotify.playlist-16", "napster.library"] {
            assert_eq!(odd.parse::<Change>(), Err(UnknownChange), "{odd}");
        }
    }

    #[test]
    fn a_playlist_raises_the_list_as_well() {
        let slot = DataScope::Playlist(PlaylistSlot::of("37i9dQZF1DXcBWIGoYBM5M"));
        let raised: Vec<_> = Change::Of(Provider::Tidal, slot).raises().collect();
        let expected = [slot, DataScope::Playlists].map(|scope| Change::Of(Provider::Tidal, scope));
        assert_eq!(raised, expected);
        assert_eq!(Change::Preferences.raises().count(), 1);
    }
}
