//! Every method of the trait as a value, so that a test can run them all.

use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{
    Edit, Edited, Entry, NewPlaylist, PlaybackCommand, PlaylistChange, ProviderError, SearchQuery, TopRange,
};

use crate::fixture::{Fixture, VERIFIER, redirect_uri};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Search,
    Track,
    Album,
    Artist,
    TracksByIsrc,
    AlbumsByUpc,
    Playlists,
    Playlist,
    CreatePlaylist,
    Profile,
    ArtistAlbums,
    PlaylistHead,
    PlaylistContents,
    EditPlaylist,
    UpdatePlaylist,
    DeletePlaylist,
    Library,
    LibrarySave,
    LibraryRemove,
    Similar,
    Radio,
    Mixes,
    MixItems,
    LibraryContains,
    Top,
    RecentlyPlayed,
    Playback,
    Queue,
    Devices,
    CommandPlayback,
    QueueAdd,
    Refresh,
    ClientCredentials,
    ExchangeCode,
}

impl Method {
    const COMMON: [Self; 19] = [
        Self::Search,
        Self::Track,
        Self::Album,
        Self::Artist,
        Self::TracksByIsrc,
        Self::AlbumsByUpc,
        Self::Playlists,
        Self::Playlist,
        Self::CreatePlaylist,
        Self::Profile,
        Self::ArtistAlbums,
        Self::PlaylistHead,
        Self::PlaylistContents,
        Self::EditPlaylist,
        Self::UpdatePlaylist,
        Self::DeletePlaylist,
        Self::Library,
        Self::LibrarySave,
        Self::LibraryRemove,
    ];
    const TIDAL: [Self; 4] = [Self::Similar, Self::Radio, Self::Mixes, Self::MixItems];
    const SPOTIFY: [Self; 8] = [
        Self::LibraryContains,
        Self::Top,
        Self::RecentlyPlayed,
        Self::Playback,
        Self::Queue,
        Self::Devices,
        Self::CommandPlayback,
        Self::QueueAdd,
    ];
    pub(crate) const TOKEN: [Self; 3] = [Self::Refresh, Self::ClientCredentials, Self::ExchangeCode];

    /// What a provider's API can do.
    pub(crate) fn api(provider: Provider) -> Vec<Self> {
        let own = match provider {
            Provider::Spotify => &Self::SPOTIFY[..],
            Provider::Tidal => &Self::TIDAL,
        };
        [&Self::COMMON, own].concat()
    }

    /// What a provider lacks.
    pub(crate) fn lacking(provider: Provider) -> Vec<Self> {
        match provider {
            Provider::Spotify => Self::TIDAL.to_vec(),
            Provider::Tidal => Self::SPOTIFY.to_vec(),
        }
    }

    /// Everything that sends something.
    pub(crate) fn every(provider: Provider) -> Vec<Self> {
        [Self::api(provider), Self::TOKEN.to_vec()].concat()
    }

    /// Whether it changes a playlist.
    pub(crate) fn edits(self) -> bool {
        matches!(self, Self::EditPlaylist | Self::UpdatePlaylist | Self::DeletePlaylist)
    }

    /// Whether the loss of its answer leaves open whether it was done.
    pub(crate) fn is_uncertain(self) -> bool {
        let writes = matches!(
            self,
            Self::CreatePlaylist
                | Self::LibrarySave
                | Self::LibraryRemove
                | Self::CommandPlayback
                | Self::QueueAdd
        );
        self == Self::ExchangeCode || self.edits() || writes
    }

    /// Whether its answer tells nothing but that it was done.
    pub(crate) fn is_only_acknowledged(self, provider: Provider) -> bool {
        let by_both = matches!(self, Self::UpdatePlaylist | Self::DeletePlaylist | Self::LibraryRemove);
        let by_spotify = matches!(self, Self::LibrarySave | Self::CommandPlayback | Self::QueueAdd);
        by_both || (by_spotify && provider == Provider::Spotify)
    }

    pub(crate) async fn run(self, fixture: &Fixture, targets: &Targets) -> Result<(), ProviderError> {
        let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
        match self {
            Self::Search => {
                let query =
                    SearchQuery { text: &targets.title, kinds: EntityKindSet::all(), limit: 10, page: None };
                music.search(ctx, access, &query).await.map(drop)
            }
            Self::Track => music.track(ctx, access, &targets.track).await.map(drop),
            Self::Album => music.album(ctx, access, &targets.album).await.map(drop),
            Self::Artist => music.artist(ctx, access, &targets.artist).await.map(drop),
            Self::TracksByIsrc => music.tracks_by_isrc(ctx, access, &targets.isrc).await.map(drop),
            Self::AlbumsByUpc => music.albums_by_upc(ctx, access, &targets.upc).await.map(drop),
            Self::Playlists => music.playlists(ctx, access, 20, None).await.map(drop),
            Self::Playlist => music.playlist(ctx, access, &targets.playlist, 20, None).await.map(drop),
            Self::CreatePlaylist => {
                let playlist = NewPlaylist { name: "New", description: Some("For a test."), public: true };
                music.create_playlist(ctx, access, &playlist, "create-key").await.map(drop)
            }
            Self::ArtistAlbums => music.artist_albums(ctx, access, &targets.artist, 20, None).await.map(drop),
            Self::PlaylistHead => music.playlist_head(ctx, access, &targets.playlist).await.map(drop),
            Self::PlaylistContents => {
                music.playlist_contents(ctx, access, &targets.playlist, 1_000).await.map(drop)
            }
            Self::EditPlaylist => {
                let edit = Edit::Insert { at: 0, names: vec![targets.track.to_string().into()] };
                music
                    .edit_playlist(ctx, access, &targets.empty, (&[], None), &edit, "edit-key")
                    .await
                    .map(drop)
            }
            Self::UpdatePlaylist => {
                let change =
                    PlaylistChange { name: Some("Other"), description: Some(""), public: Some(false) };
                music.update_playlist(ctx, access, &targets.playlist, &change, "update-key").await
            }
            Self::DeletePlaylist => music.delete_playlist(ctx, access, &targets.unwanted, "delete-key").await,
            Self::Library => music.library(ctx, access, EntityKind::Track, 20, None).await.map(drop),
            Self::LibrarySave => music.library_save(ctx, access, &targets.items(), "save-key").await,
            Self::LibraryRemove => music.library_remove(ctx, access, &targets.items(), "remove-key").await,
            Self::Similar => music.similar(ctx, access, &targets.track, 20, None).await.map(drop),
            Self::Radio => music.radio(ctx, access, &targets.track, 20, None).await.map(drop),
            Self::Mixes => music.mixes(ctx, access).await.map(drop),
            Self::MixItems => music.mix_items(ctx, access, &targets.mix, 20, None).await.map(drop),
            Self::LibraryContains => music.library_contains(ctx, access, &targets.items()).await.map(drop),
            Self::Top => {
                let what = (EntityKind::Track, TopRange::Medium);
                music.top(ctx, access, what, 20, None).await.map(drop)
            }
            Self::RecentlyPlayed => music.recently_played(ctx, access, 20, None).await.map(drop),
            Self::Playback => music.playback(ctx, access).await.map(drop),
            Self::Queue => music.queue(ctx, access).await.map(drop),
            Self::Devices => music.devices(ctx, access).await.map(drop),
            Self::CommandPlayback => {
                let command = PlaybackCommand::Play { items: targets.items(), position: None };
                let device = targets.device.as_deref();
                music.command_playback(ctx, access, &command, device).await
            }
            Self::QueueAdd => music.queue_add(ctx, access, &targets.track, targets.device.as_deref()).await,
            Self::Profile => music.profile(ctx, access).await.map(drop),
            Self::ExchangeCode => {
                let code = fixture.code();
                music
                    .exchange_code(ctx, &fixture.app, &code, &VERIFIER.into(), &redirect_uri())
                    .await
                    .map(drop)
            }
            Self::Refresh => music.refresh(ctx, &fixture.app, &fixture.refresh_token).await.map(drop),
            Self::ClientCredentials => music.client_credentials(ctx, &fixture.app).await.map(drop),
        }
    }
}

/// Things that exist: a track with its codes, and a playlist of the account.
pub(crate) struct Targets {
    pub(crate) track: ItemRef,
    pub(crate) title: String,
    pub(crate) album: ItemRef,
    pub(crate) artist: ItemRef,
    pub(crate) isrc: String,
    pub(crate) upc: String,
    pub(crate) playlist: ItemRef,
    /// A playlist to edit that stays empty for who made it.
    pub(crate) empty: ItemRef,
    /// A playlist to delete.
    pub(crate) unwanted: ItemRef,
    /// Tidal only: one of the account's mixes; else something that is none.
    pub(crate) mix: ItemRef,
    /// Spotify only: where the account plays.
    pub(crate) device: Option<String>,
}

impl Targets {
    pub(crate) async fn of(fixture: &Fixture) -> Self {
        let sample = fixture
            .sandbox
            .catalogue(fixture.provider)
            .tracks()
            .find(|track| track.isrc.is_some() && track.blocked_in.is_empty())
            .unwrap();
        let reference = |kind, id: &str| ItemRef::new(fixture.provider, kind, id).unwrap();
        let track = reference(EntityKind::Track, &sample.id);
        let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
        let found = music.track(ctx, access, &track).await.unwrap();
        let playlist = playlist_named(fixture, "Targets").await;
        let empty = playlist_named(fixture, "Empty").await;
        let unwanted = playlist_named(fixture, "Unwanted").await;
        let (mix, device) = match fixture.provider {
            Provider::Spotify => {
                let device = fixture.sandbox.devices(&fixture.account)[0].id.clone();
                fixture.sandbox.play(&fixture.account, &device, &[&sample.id]);
                (reference(EntityKind::Mix, "none"), Some(device))
            }
            Provider::Tidal => (music.mixes(ctx, access).await.unwrap()[0].reference.clone(), None),
        };
        fixture.sandbox.reset_requests();
        Self {
            track,
            title: sample.title,
            album: reference(EntityKind::Album, &sample.album_id),
            artist: found.artists[0].reference.clone(),
            isrc: sample.isrc.unwrap(),
            upc: sample.upc,
            playlist,
            empty,
            unwanted,
            mix,
            device,
        }
    }

    /// What a library takes and a player plays.
    fn items(&self) -> Vec<ItemRef> {
        vec![self.track.clone()]
    }
}

/// A new playlist of the account.
pub(crate) async fn playlist_named(fixture: &Fixture, name: &str) -> ItemRef {
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let playlist = NewPlaylist { name, description: None, public: true };
    music.create_playlist(ctx, access, &playlist, &name.replace(' ', "-")).await.unwrap().reference
}

/// Puts tracks into a playlist that holds `current`.
pub(crate) async fn insert(
    fixture: &Fixture,
    playlist: &ItemRef,
    (current, at): (&[Entry], u32),
    tracks: &[ItemRef],
    key: &str,
) -> Result<Edited, ProviderError> {
    let (music, access) = (fixture.music(), fixture.access());
    let edit = Edit::Insert { at, names: tracks.iter().map(|track| track.to_string().into()).collect() };
    music.edit_playlist(&fixture.ctx, &access, playlist, (current, None), &edit, key).await
}

/// References to the first `count` tracks that can be played anywhere.
pub(crate) fn tracks(fixture: &Fixture, count: usize) -> Vec<ItemRef> {
    let catalogue = fixture.sandbox.catalogue(fixture.provider);
    let playable = catalogue.tracks().filter(|track| track.blocked_in.is_empty());
    playable
        .take(count)
        .map(|track| ItemRef::new(fixture.provider, EntityKind::Track, &track.id).unwrap())
        .collect()
}

/// A word that is in many titles.
pub(crate) fn common_word(fixture: &Fixture) -> String {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for track in fixture.sandbox.catalogue(fixture.provider).tracks() {
        for word in track.title.split_whitespace().filter(|word| word.len() > 3) {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).unwrap().0
}
