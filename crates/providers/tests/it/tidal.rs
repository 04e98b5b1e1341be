//! Tidal against the sandbox: compound documents, its own page lengths, idempotency keys.

use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{Access, ForbiddenReason, NewPlaylist, ProviderError, SearchQuery};
use stagedoor_sandbox::{Effect, FaultRule};

use crate::every::{Method, Targets, common_word, tracks};
use crate::fixture::Fixture;

const ADD: &str = "POST /playlists/{id}/relationships/items";

#[tokio::test]
async fn every_read_is_one_request() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    for method in Method::API {
        method.run(&fixture, &targets).await.unwrap();
        assert_eq!(fixture.request_count(), 1, "{method:?}");
    }
}

#[tokio::test]
async fn a_search_pages_kind_by_kind_and_loses_nothing() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let word = common_word(&fixture);
    let mut seen = Vec::new();
    let mut page = None::<String>;
    for _ in 0..4 {
        let kinds = EntityKindSet::empty().with(EntityKind::Track).with(EntityKind::Album);
        let query = SearchQuery { text: &word, kinds, limit: 7, page: page.as_deref() };
        let found = fixture.music().search(&fixture.ctx, &fixture.access(), &query).await.unwrap();
        assert!(found.tracks.items.len() <= 7);
        assert!(page.is_none() || found.albums.items.is_empty());
        seen.extend(found.tracks.items.into_iter().map(|track| track.reference));
        page = found.tracks.next;
        assert!(page.is_some());
    }
    let kinds = EntityKindSet::empty().with(EntityKind::Track);
    let query = SearchQuery { text: &word, kinds, limit: 50, page: None };
    let whole = fixture.music().search(&fixture.ctx, &fixture.access(), &query).await.unwrap();
    let whole: Vec<_> = whole.tracks.items.into_iter().map(|track| track.reference).collect();
    assert_eq!(seen[..whole.len().min(seen.len())], whole[..whole.len().min(seen.len())]);
}

#[tokio::test]
async fn fewer_than_asked_for_is_said() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let word = common_word(&fixture);
    let kinds = EntityKindSet::empty().with(EntityKind::Track);
    let query = SearchQuery { text: &word, kinds, limit: 50, page: None };
    let found = fixture.music().search(&fixture.ctx, &fixture.access(), &query).await.unwrap();
    assert!(found.tracks.items.len() < 50 && found.tracks.next.is_some());
    assert!(found.warnings[0].contains("fewer than the 50 asked for"), "{:?}", found.warnings);
}

#[tokio::test]
async fn what_is_unknown_is_skipped_and_named() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let unknown: ItemRef = "tidal:track:1".parse().unwrap();
    let items = [targets.track.clone(), unknown.clone()];
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let added = music.add_to_playlist(ctx, access, &targets.playlist, &items, None, "key").await.unwrap();
    assert_eq!(added.added, [targets.track]);
    assert_eq!((&added.skipped[0].item, added.skipped[0].reason.as_str()), (&unknown, "not_found"));
}

#[tokio::test]
async fn the_same_key_adds_once() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let items = tracks(&fixture, 60);
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for _ in 0..2 {
        music.add_to_playlist(ctx, access, &targets.playlist, &items, None, "key").await.unwrap();
    }
    let (playlist, _) = music.playlist(ctx, access, &targets.playlist, 5, None).await.unwrap();
    assert_eq!(playlist.item_count, Some(60));
    let error =
        music.add_to_playlist(ctx, access, &targets.playlist, &items[..3], None, "key").await.unwrap_err();
    assert!(matches!(error, ProviderError::Rejected { status: 422, .. }), "{error:?}");
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let lost = FaultRule::new(Provider::Tidal, Effect::CloseConnection).operation(ADD).times(1).after_work();
    fixture.sandbox.faults().push(lost);
    let items = tracks(&fixture, 3);
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let error = music.add_to_playlist(ctx, access, &targets.playlist, &items, None, "key").await.unwrap_err();
    assert!(error.retryable() && !error.uncertain(), "{error:?}");
    music.add_to_playlist(ctx, access, &targets.playlist, &items, None, "key").await.unwrap();
    let (playlist, _) = music.playlist(ctx, access, &targets.playlist, 5, None).await.unwrap();
    assert_eq!(playlist.item_count, Some(3));
}

#[tokio::test]
async fn a_playlist_that_is_not_public_is_unlisted() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let playlist = NewPlaylist { name: "Quiet", description: Some("Not listed."), public: false };
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let made = music.create_playlist(ctx, access, &playlist, "key").await.unwrap();
    assert_eq!(made.public, Some(false));
    let log = fixture.sandbox.request_log();
    assert!(log.last().unwrap().body.contains(r#""accessType":"UNLISTED""#));
}

#[tokio::test]
async fn a_missing_scope_and_a_strangers_playlist_are_told_apart() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let items = std::slice::from_ref(&targets.track);
    for (token, expected) in [
        (fixture.token_with(&["playlists.read"]), ForbiddenReason::MissingScope(&["playlists.write"])),
        (fixture.stranger(), ForbiddenReason::Ownership),
    ] {
        let access = Access { token: &token, ..fixture.access() };
        let outcome = fixture
            .music()
            .add_to_playlist(&fixture.ctx, &access, &targets.playlist, items, None, "key")
            .await;
        let ProviderError::Forbidden { reason, .. } = outcome.unwrap_err() else { panic!("not forbidden") };
        assert_eq!(reason, expected);
    }
}
