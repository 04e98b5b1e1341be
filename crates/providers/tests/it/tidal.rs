//! Tidal against the sandbox: compound documents, its own page lengths, idempotency keys.

use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, Provider};
use stagedoor_providers::{Entry, NewPlaylist, SearchQuery};
use stagedoor_sandbox::{Effect, FaultRule};

use crate::every::{Method, Targets, common_word, insert, tracks};
use crate::fixture::Fixture;

const ADD: &str = "POST /playlists/{id}/relationships/items";

#[tokio::test]
async fn a_method_is_one_request_but_for_the_three_sorts_of_mixes() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    for method in Method::api(Provider::Tidal) {
        method.run(&fixture, &targets).await.unwrap();
        let expected = if method == Method::Mixes { 3 } else { 1 };
        assert_eq!(fixture.request_count(), expected, "{method:?}");
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
async fn the_same_key_adds_once() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let items = tracks(&fixture, 60);
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for _ in 0..2 {
        insert(&fixture, &targets.playlist, (&[], 0), &items, "key").await.unwrap();
    }
    let (playlist, _) = music.playlist(ctx, access, &targets.playlist, 5, None).await.unwrap();
    assert_eq!(playlist.item_count, Some(60));
    // Another write under the same key is no repetition.
    insert(&fixture, &targets.playlist, (&[], 0), &items[..3], "key").await.unwrap();
    let (playlist, _) = music.playlist(ctx, access, &targets.playlist, 5, None).await.unwrap();
    assert_eq!(playlist.item_count, Some(63));
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_asked_for_again_and_done_once() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let lost = FaultRule::new(Provider::Tidal, Effect::CloseConnection).operation(ADD).after_work();
    fixture.sandbox.faults().push(lost.clone().times(1));
    let items = tracks(&fixture, 3);
    let first = insert(&fixture, &targets.playlist, (&[], 0), &items, "key").await.unwrap();
    fixture.sandbox.faults().push(lost.times(2));
    let current = (&first.entries[..], 3);
    let error = insert(&fixture, &targets.playlist, current, &items, "more").await.unwrap_err();
    assert!(error.uncertain() && !error.retryable(), "{error:?}");
    let second = insert(&fixture, &targets.playlist, current, &items, "more").await.unwrap();
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let contents = music.playlist_contents(ctx, access, &targets.playlist, 100).await.unwrap();
    assert_eq!(contents.items.iter().map(Entry::from).collect::<Vec<_>>(), second.entries);
    assert_eq!(second.entries.len(), 6);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_undone_by_what_its_repetition_is_told() {
    let refusals = [Effect::rate_limited(3), Effect::status(401), Effect::status(404), Effect::status(409)];
    for refusal in refusals {
        let fixture = Fixture::start(Provider::Tidal).await;
        let targets = Targets::of(&fixture).await;
        let lost =
            FaultRule::new(Provider::Tidal, Effect::CloseConnection).operation(ADD).after_work().times(1);
        let refused = FaultRule::new(Provider::Tidal, refusal.clone()).operation(ADD).times(1);
        fixture.sandbox.faults().push(lost);
        fixture.sandbox.faults().push(refused);
        let items = tracks(&fixture, 3);
        let error = insert(&fixture, &targets.playlist, (&[], 0), &items, "key").await.unwrap_err();
        assert!(fixture.sandbox.faults().list().is_empty(), "it was repeated");
        assert!(error.uncertain(), "{refusal:?}: {error:?}");
        let held = fixture.sandbox.playlist_tracks(Provider::Tidal, targets.playlist.id()).unwrap();
        assert_eq!(held.len(), 3, "{refusal:?}");
    }
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
