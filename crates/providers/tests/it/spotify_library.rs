//! What a Spotify account has saved and listens to, and an artist's albums, against the sandbox.

use std::collections::BTreeSet;

use stagedoor_domain::music::{Item, Page, SavedItem};
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{Access, ProviderError, TopRange};
use stagedoor_sandbox::{Effect, FaultRule};

use crate::every::{Targets, tracks};
use crate::fixture::Fixture;

const SAVE: &str = "PUT /me/library";

fn reference(kind: EntityKind, id: &str) -> ItemRef {
    ItemRef::new(Provider::Spotify, kind, id).unwrap()
}

fn reference_of(item: &Item) -> &ItemRef {
    match item {
        Item::Track(track) => &track.reference,
        Item::Album(album) => &album.reference,
        Item::Artist(artist) => &artist.reference,
        Item::Playlist(playlist) => &playlist.reference,
    }
}

/// Different albums, or artists, of the catalogue.
fn several(fixture: &Fixture, kind: EntityKind, count: usize) -> Vec<ItemRef> {
    let mut seen = BTreeSet::new();
    let tracks = fixture.sandbox.catalogue(Provider::Spotify);
    let ids = tracks.tracks().map(|track| match kind {
        EntityKind::Album => track.album_id,
        _ => track.artist_ids[0].clone(),
    });
    ids.filter(|id| seen.insert(id.clone())).take(count).map(|id| reference(kind, &id)).collect()
}

/// Everything of a kind, page by page.
async fn library(fixture: &Fixture, kind: EntityKind, limit: u32) -> Vec<SavedItem> {
    let (mut found, mut page) = (Vec::new(), None);
    loop {
        let access = fixture.access();
        let answer = fixture.music().library(&fixture.ctx, &access, kind, limit, page.as_deref()).await;
        let Page { items, next, .. } = answer.unwrap();
        assert!(items.len() <= limit as usize);
        found.extend(items);
        page = next;
        if page.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn what_is_saved_is_listed_newest_first_until_it_is_removed() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for kind in [EntityKind::Track, EntityKind::Album, EntityKind::Artist] {
        let items =
            if kind == EntityKind::Track { tracks(&fixture, 90) } else { several(&fixture, kind, 90) };
        assert_eq!(library(&fixture, kind, 50).await, [], "{kind}");
        fixture.requests();
        music.library_save(ctx, access, &items, "key").await.unwrap();
        assert_eq!(fixture.requests()[SAVE], 3, "40 at a time");
        let listed = library(&fixture, kind, 25).await;
        let references: Vec<&ItemRef> = listed.iter().map(|saved| reference_of(&saved.item)).collect();
        assert_eq!(references, items.iter().rev().collect::<Vec<_>>(), "{kind}");
        assert_eq!(listed.iter().all(|saved| saved.added_at.is_some()), kind != EntityKind::Artist);

        music.library_remove(ctx, access, &items[..50], "key").await.unwrap();
        fixture.requests();
        let held = music.library_contains(ctx, access, &items).await.unwrap();
        assert_eq!(fixture.request_count(), 3);
        assert!(
            held[..50].iter().all(|held| !held) && held[50..].iter().all(|held| *held) && held.len() == 90
        );
        music.library_remove(ctx, access, &items, "key").await.unwrap();
        assert_eq!(library(&fixture, kind, 50).await, [], "what was not in it stays out");
    }
}

#[tokio::test]
async fn the_playlists_of_a_library_are_those_of_others() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let other = fixture.sandbox.create_account(Provider::Spotify, "Bob", "DE");
    for number in 0..3 {
        fixture.sandbox.make_playlist(Provider::Spotify, &fixture.account, &format!("Own {number}"), &[]);
    }
    let theirs = fixture.sandbox.make_playlist(Provider::Spotify, &other, "Theirs", &[]);
    let theirs = reference(EntityKind::Playlist, &theirs);
    music.library_save(ctx, access, std::slice::from_ref(&theirs), "key").await.unwrap();
    let listed = library(&fixture, EntityKind::Playlist, 2).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(reference_of(&listed[0].item), &theirs);
    let kinds = [tracks(&fixture, 1)[0].clone(), theirs.clone()];
    assert_eq!(music.library_contains(ctx, access, &kinds).await.unwrap(), [false, true]);
    music.library_remove(ctx, access, &[theirs], "key").await.unwrap();
    assert_eq!(library(&fixture, EntityKind::Playlist, 50).await, []);
}

#[tokio::test]
async fn a_later_batch_that_fails_leaves_the_earlier_ones_saved() {
    let mut fixture = Fixture::start(Provider::Spotify).await;
    let items = tracks(&fixture, 90);
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let faults = fixture.sandbox.faults();
    let pass = FaultRule::new(Provider::Spotify, Effect::Delay { milliseconds: 0 });
    faults.push(pass.operation(SAVE).times(1));
    faults.push(FaultRule::new(Provider::Spotify, Effect::rate_limited(30)).operation(SAVE).times(1));
    let error = music.library_save(ctx, access, &items, "key").await.unwrap_err();
    let ProviderError::PartlyDone { added, failed_at: 40, cause, .. } = &error else { panic!("{error:?}") };
    assert_eq!(added[..], items[..40]);
    assert!(matches!(**cause, ProviderError::RateLimited { .. }));
    // The client in use keeps to the wait that it was told.
    fixture.renew_client(|_| ());
    assert_eq!(library(&fixture, EntityKind::Track, 50).await.len(), 40);
}

#[tokio::test]
async fn favourites_differ_by_range_and_page_without_gaps() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let mut firsts = BTreeSet::new();
    for range in [TopRange::Short, TopRange::Medium, TopRange::Long] {
        for kind in [EntityKind::Track, EntityKind::Artist] {
            let first = music.top(ctx, access, (kind, range), 40, None).await.unwrap();
            let next = music.top(ctx, access, (kind, range), 40, first.next.as_deref()).await.unwrap();
            let all: BTreeSet<_> =
                first.items.iter().chain(&next.items).map(|item| reference_of(item).clone()).collect();
            assert_eq!((first.items.len(), Some(all.len())), (40, first.total.map(|total| total as usize)));
            assert!(all.iter().all(|item| item.kind() == kind) && next.next.is_none());
            firsts.insert(reference_of(&first.items[0]).clone());
        }
    }
    assert_eq!(firsts.len(), 6);
    fixture.requests();
    for kind in [EntityKind::Album, EntityKind::Playlist, EntityKind::Mix] {
        let error = music.top(ctx, access, (kind, TopRange::Short), 5, None).await.unwrap_err();
        assert!(matches!(error, ProviderError::UnsupportedByProvider { .. }), "{error:?}");
    }
    assert_eq!(fixture.request_count(), 0);
}

#[tokio::test]
async fn what_was_played_pages_back_in_time() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let (mut found, mut page) = (Vec::new(), None);
    loop {
        let answer = music.recently_played(ctx, access, 7, page.as_deref()).await.unwrap();
        assert!(answer.items.len() <= 7);
        found.extend(answer.items);
        page = answer.next;
        if page.is_none() {
            break;
        }
    }
    let whole = music.recently_played(ctx, access, 50, None).await.unwrap();
    assert_eq!(found, whole.items);
    assert!(found.len() > 7 && found.is_sorted_by(|left, right| left.played_at > right.played_at));
    fixture.requests();
    for token in ["nonsense", "-1", "2026-01-01"] {
        let error = music.recently_played(ctx, access, 7, Some(token)).await.unwrap_err();
        assert!(matches!(error, ProviderError::InvalidPage { .. }), "{error:?}");
        let error = music.library(ctx, access, EntityKind::Track, 7, Some("x")).await.unwrap_err();
        assert!(matches!(error, ProviderError::InvalidPage { .. }), "{error:?}");
        let error = music.library(ctx, access, EntityKind::Artist, 7, Some("../me")).await.unwrap_err();
        assert!(matches!(error, ProviderError::InvalidPage { .. }), "{error:?}");
    }
    assert_eq!(fixture.request_count(), 0);
}

#[tokio::test]
async fn the_scope_that_is_missing_is_the_one_of_the_kind() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let targets = Targets::of(&fixture).await;
    let token = fixture.token_with(&[]);
    let access = &Access { token: &token, ..fixture.access() };
    let (music, ctx) = (fixture.music(), &fixture.ctx);
    let one = std::slice::from_ref::<ItemRef>;
    let mixed = [targets.track.clone(), targets.artist.clone()];
    let cases = [
        (music.library(ctx, access, EntityKind::Track, 5, None).await.map(drop), "user-library-read."),
        (music.library(ctx, access, EntityKind::Artist, 5, None).await.map(drop), "user-follow-read."),
        (music.library(ctx, access, EntityKind::Playlist, 5, None).await.map(drop), "playlist-read-private."),
        (music.library_contains(ctx, access, one(&targets.artist)).await.map(drop), "user-follow-read."),
        (music.library_save(ctx, access, one(&targets.album), "k").await, "user-library-modify."),
        (music.library_remove(ctx, access, one(&targets.artist), "k").await, "user-follow-modify."),
        (music.library_save(ctx, access, &mixed, "k").await, "user-library-modify or user-follow-modify"),
        (music.recently_played(ctx, access, 5, None).await.map(drop), "user-read-recently-played."),
        (
            music.top(ctx, access, (EntityKind::Track, TopRange::Long), 5, None).await.map(drop),
            "user-top-read.",
        ),
    ];
    for (outcome, scope) in cases {
        let public = outcome.unwrap_err().public();
        assert!(public.message.contains(&format!("did not grant {scope}")), "{scope}: {public:?}");
    }
}

#[tokio::test]
async fn an_artists_albums_come_by_tens_and_without_gaps() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let mut albums = std::collections::BTreeMap::<String, BTreeSet<String>>::new();
    for track in fixture.sandbox.catalogue(Provider::Spotify).tracks() {
        albums.entry(track.artist_ids[0].clone()).or_default().insert(track.album_id);
    }
    let (artist, _) = albums.into_iter().max_by_key(|(_, albums)| albums.len()).unwrap();
    let artist = reference(EntityKind::Artist, &artist);
    let whole = music.artist_albums(ctx, access, &artist, 50, None).await.unwrap();
    assert_eq!(whole.total.map(|total| total as usize), Some(whole.items.len()));
    assert!(whole.items.iter().all(|album| !album.artists.is_empty() && album.tracks.is_empty()));
    let (mut found, mut page) = (Vec::new(), None);
    loop {
        let answer = music.artist_albums(ctx, access, &artist, 2, page.as_deref()).await.unwrap();
        found.extend(answer.items);
        page = answer.next;
        if page.is_none() {
            break;
        }
    }
    assert!(found.len() > 2);
    assert_eq!(found, whole.items);
}
