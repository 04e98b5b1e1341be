//! The items that a call on the library names, and what of the person's data they belong to.

use stagedoor_cache::DataScope;
use stagedoor_domain::{EntityKind, ItemRef, Provider, PublicError};

use crate::arguments::{invalid, item_among};

/// The most items of one call.
const MOST: usize = 200;
/// What can be saved.
const KINDS: [EntityKind; 4] =
    [EntityKind::Track, EntityKind::Album, EntityKind::Artist, EntityKind::Playlist];

/// Items of one service, each once.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) provider: Provider,
    pub(super) items: Vec<ItemRef>,
}

impl Named {
    /// The items that `refs` names; the first one says of which service they are.
    pub(super) fn read(refs: &[String]) -> Result<Self, PublicError> {
        if refs.is_empty() || refs.len() > MOST {
            return Err(invalid(format!("`refs` has {} entries, but must have 1 to {MOST}.", refs.len())));
        }
        let mut items: Vec<ItemRef> = Vec::with_capacity(refs.len());
        for (index, text) in refs.iter().enumerate() {
            let service = items.first().map(ItemRef::provider);
            let item = item_among(&format!("refs[{index}]"), text, &KINDS, service)?;
            if !items.contains(&item) {
                items.push(item);
            }
        }
        let provider = items[0].provider();
        Ok(Self { provider, items })
    }

    /// Refuses what would do more than take something out of a library.
    pub(super) fn may_be_removed(&self) -> Result<(), PublicError> {
        match self.items.iter().find(|item| is_playlist(item)) {
            Some(playlist) if self.provider == Provider::Spotify => Err(invalid(format!(
                "{playlist} is a playlist, and at Spotify taking one out of the library is deleting it; playlist_delete \
                 does that, and keeps what was in it."
            ))),
            _ => Ok(()),
        }
    }

    /// What saving or removing these changes. Playlists stand in two places.
    pub(super) fn changes(&self) -> DataScope {
        if self.items.iter().any(is_playlist) { DataScope::Account } else { DataScope::Library }
    }

    /// What an answer about these depends on; `None` if that is more than one thing.
    pub(super) fn depends_on(&self) -> Option<DataScope> {
        match self.items.iter().filter(|item| is_playlist(item)).count() {
            0 => Some(DataScope::Library),
            count if count == self.items.len() => Some(DataScope::Playlists),
            _ => None,
        }
    }
}

fn is_playlist(item: &ItemRef) -> bool {
    item.kind() == EntityKind::Playlist
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(refs: &[&str]) -> Result<Named, String> {
        let refs: Vec<String> = refs.iter().map(|text| (*text).to_owned()).collect();
        Named::read(&refs).map_err(|error| error.message)
    }

    #[test]
    fn items_are_of_one_service_and_named_once() {
        let read = named(&["tidal:track:1", "https://tidal.com/album/2", "tidal:track:1"]).unwrap();
        assert_eq!((read.provider, read.items.len()), (Provider::Tidal, 2));
        let mixed = named(&["tidal:track:1", "spotify:track:1"]).unwrap_err();
        assert!(mixed.contains("refs[1]") && mixed.contains("Tidal is meant"), "{mixed}");
        assert!(named(&["tidal:mix:1"]).unwrap_err().contains("another kind"), "a mix cannot be saved");
        assert!(named(&[]).unwrap_err().contains("1 to 200") && named(&["tidal:track:1"; 201]).is_err());
    }

    #[test]
    fn a_playlist_of_spotify_is_not_deleted_by_the_way() {
        let refused =
            |text: &str| named(&["spotify:track:1", text]).map(|named| named.may_be_removed().is_err());
        assert_eq!(refused("spotify:playlist:1"), Ok(true));
        assert_eq!(refused("spotify:album:1"), Ok(false));
        let tidal = named(&["tidal:playlist:1"]).unwrap();
        assert_eq!(tidal.may_be_removed(), Ok(()));
    }

    #[test]
    fn playlists_belong_to_more_than_the_library() {
        let of = |refs: &[&str]| {
            let named = named(refs).unwrap();
            (named.changes(), named.depends_on())
        };
        assert_eq!(of(&["tidal:track:1"]), (DataScope::Library, Some(DataScope::Library)));
        assert_eq!(of(&["tidal:playlist:1"]), (DataScope::Account, Some(DataScope::Playlists)));
        assert_eq!(of(&["tidal:playlist:1", "tidal:track:1"]), (DataScope::Account, None));
    }
}
