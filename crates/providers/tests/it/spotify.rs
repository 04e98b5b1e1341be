//! Spotify against the sandbox: what is particular to it, and what differs from Tidal.

use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{
    Access, Edit, ForbiddenReason, NewPlaylist, ProviderError, SearchQuery, SpotifyMode,
};
use stagedoor_sandbox::{AppMode, Effect, FaultRule};

use crate::every::{Method, Targets, common_word, insert, tracks};
use crate::fixture::{CLIENT_ID, Fixture};

const ADD: &str = "POST /playlists/{id}/items";

#[tokio::test]
async fn development_mode_pages_inside_and_stops_at_five_calls() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let word = common_word(&fixture);
    let kinds = EntityKindSet::empty().with(EntityKind::Track);
    let query = SearchQuery { text: &word, kinds, limit: 25, page: None };
    let first = fixture.music().search(&fixture.ctx, &fixture.access(), &query).await.unwrap();
    assert_eq!(first.tracks.items.len(), 25);
    assert_eq!(first.tracks.next.as_deref(), Some("track:25"));
    assert_eq!(fixture.requests()["GET /search"], 3);

    let query = SearchQuery { page: first.tracks.next.as_deref(), ..query };
    let second = fixture.music().search(&fixture.ctx, &fixture.access(), &query).await.unwrap();
    assert!(second.tracks.items.iter().all(|track| !first.tracks.items.contains(track)));
    assert!(second.albums.items.is_empty());
    fixture.requests();

    let query = SearchQuery { limit: 5_000, page: None, ..query };
    fixture.music().search(&fixture.ctx, &fixture.access(), &query).await.unwrap();
    assert!(fixture.request_count() <= 5);
}

#[tokio::test]
async fn the_first_page_of_a_playlist_costs_one_request_and_later_ones_two() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let targets = Targets::of(&fixture).await;
    let items = tracks(&fixture, 60);
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    insert(&fixture, &targets.playlist, (&[], 0), &items, "key").await.unwrap();
    fixture.requests();
    let (playlist, first) = music.playlist(ctx, access, &targets.playlist, 50, None).await.unwrap();
    assert_eq!((fixture.request_count(), playlist.item_count, first.total), (1, Some(60), Some(60)));
    let next = first.next.as_deref();
    let (again, second) = music.playlist(ctx, access, &targets.playlist, 50, next).await.unwrap();
    assert_eq!((fixture.request_count(), second.items.len()), (2, 10));
    assert_eq!((again.name, again.version, again.item_count), (playlist.name, playlist.version, Some(60)));
}

#[tokio::test]
async fn a_batch_that_fails_later_says_what_is_in() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let targets = Targets::of(&fixture).await;
    let items = tracks(&fixture, 150);
    let faults = fixture.sandbox.faults();
    faults.push(FaultRule::new(Provider::Spotify, Effect::Delay { milliseconds: 0 }).operation(ADD).times(1));
    faults.push(FaultRule::new(Provider::Spotify, Effect::rate_limited(30)).operation(ADD).times(1));
    let error = insert(&fixture, &targets.playlist, (&[], 0), &items, "key").await.unwrap_err();
    let ProviderError::Interrupted { so_far, cause, .. } = &error else { panic!("{error:?}") };
    let names = so_far.entries.iter().map(|entry| entry.name.to_string());
    assert!(names.eq(items[..100].iter().map(ToString::to_string)));
    assert!(matches!(**cause, ProviderError::RateLimited { .. }));
}

#[tokio::test]
async fn a_strangers_playlist_is_shown_to_be_one() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let targets = Targets::of(&fixture).await;
    let stranger = fixture.stranger();
    let access = Access { token: &stranger, ..fixture.access() };
    let music = fixture.music();
    let read = music.playlist(&fixture.ctx, &access, &targets.playlist, 10, None).await.unwrap_err();
    let edit = Edit::Insert { at: 0, names: vec![targets.track.to_string().into()] };
    let written =
        music.edit_playlist(&fixture.ctx, &access, &targets.playlist, (&[], None), &edit, "key").await;
    for error in [read, written.unwrap_err()] {
        assert!(
            matches!(error, ProviderError::Forbidden { reason: ForbiddenReason::Ownership, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn both_modes_use_the_same_paths_and_the_wider_one_shows_more() {
    let mut operations = Vec::new();
    for (mode, shown, searches) in [(SpotifyMode::Development, 25, 3), (SpotifyMode::Extended, 25, 1)] {
        let mut fixture = Fixture::start(Provider::Spotify).await;
        fixture.app.mode = mode;
        if mode == SpotifyMode::Extended {
            fixture.sandbox.set_mode(Provider::Spotify, CLIENT_ID, AppMode::Extended);
        }
        let targets = Targets::of(&fixture).await;
        for method in Method::every(Provider::Spotify) {
            method.run(&fixture, &targets).await.unwrap();
        }
        operations.push(fixture.requests().into_keys().collect::<Vec<_>>());
        let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
        let (word, kinds) = (common_word(&fixture), EntityKindSet::empty().with(EntityKind::Track));
        let query = SearchQuery { text: &word, kinds, limit: 25, page: None };
        let found = music.search(ctx, access, &query).await.unwrap();
        assert_eq!((found.tracks.items.len(), fixture.requests()["GET /search"]), (shown, searches));

        let other = fixture.sandbox.create_account(Provider::Spotify, "Bob", "DE");
        let theirs =
            fixture.sandbox.make_playlist(Provider::Spotify, &other, "Theirs", &[targets.track.id()]);
        let theirs = ItemRef::new(Provider::Spotify, EntityKind::Playlist, &theirs).unwrap();
        let read = music.playlist_contents(ctx, access, &theirs, 100).await;
        match mode {
            SpotifyMode::Development => {
                let error = read.unwrap_err();
                assert!(error.public().message.contains("neither owns"), "{error:?}");
            }
            SpotifyMode::Extended => assert_eq!(read.unwrap().items.len(), 1),
        }
    }
    assert_eq!(operations[0], operations[1]);
}

#[tokio::test]
async fn the_scope_that_is_missing_depends_on_the_playlist() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let token = fixture.token_with(&["playlist-modify-public"]);
    let access = Access { token: &token, ..fixture.access() };
    let playlist = NewPlaylist { name: "Secret", description: None, public: false };
    let error = fixture.music().create_playlist(&fixture.ctx, &access, &playlist, "key").await.unwrap_err();
    assert!(
        error.public().message.contains("did not grant playlist-modify-private."),
        "{:?}",
        error.public()
    );
    let error = fixture.music().playlists(&fixture.ctx, &access, 5, None).await.unwrap_err();
    assert!(error.public().message.contains("playlist-read-private"), "{:?}", error.public());
}
