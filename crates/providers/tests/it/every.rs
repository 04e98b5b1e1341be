//! Every method of the trait as a value, so that a test can run them all.

use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{NewPlaylist, ProviderError, SearchQuery};

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
    AddToPlaylist,
    Profile,
    Refresh,
    ClientCredentials,
    ExchangeCode,
}

impl Method {
    pub(crate) const API: [Self; 11] = [
        Self::Search,
        Self::Track,
        Self::Album,
        Self::Artist,
        Self::TracksByIsrc,
        Self::AlbumsByUpc,
        Self::Playlists,
        Self::Playlist,
        Self::CreatePlaylist,
        Self::AddToPlaylist,
        Self::Profile,
    ];
    pub(crate) const TOKEN: [Self; 3] = [Self::Refresh, Self::ClientCredentials, Self::ExchangeCode];

    /// Whether the loss of its answer leaves open whether it was done.
    pub(crate) fn is_uncertain(self, provider: Provider) -> bool {
        let writes = matches!(self, Self::CreatePlaylist | Self::AddToPlaylist);
        self == Self::ExchangeCode || (writes && provider == Provider::Spotify)
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
            Self::AddToPlaylist => {
                let items = std::slice::from_ref(&targets.track);
                music.add_to_playlist(ctx, access, &targets.playlist, items, None, "add-key").await.map(drop)
            }
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
        let playlist = NewPlaylist { name: "Targets", description: None, public: true };
        let playlist = music.create_playlist(ctx, access, &playlist, "targets").await.unwrap();
        fixture.sandbox.reset_requests();
        Self {
            track,
            title: sample.title,
            album: reference(EntityKind::Album, &sample.album_id),
            artist: found.artists[0].reference.clone(),
            isrc: sample.isrc.unwrap(),
            upc: sample.upc,
            playlist: playlist.reference,
        }
    }
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
