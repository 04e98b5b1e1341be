//! Tidal's collections against the sandbox, and what finds music from music.

use std::collections::BTreeSet;

use stagedoor_domain::music::{Item, Page};
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{Access, ForbiddenReason, ProviderError};
use stagedoor_sandbox::{Effect, FaultRule};

use crate::every::{Targets, playlist_named, tracks};
use crate::fixture::Fixture;

fn reference(item: &Item) -> &ItemRef {
    match item {
        Item::Track(track) => &track.reference,
        Item::Album(album) => &album.reference,
        Item::Artist(artist) => &artist.reference,
        Item::Playlist(playlist) => &playlist.reference,
    }
}

/// All pages of what is saved, few at a time.
async fn saved(fixture: &Fixture, kind: EntityKind) -> Vec<ItemRef> {
    let mut found = Vec::new();
    let mut page = None::<String>;
    loop {
        let (music, access) = (fixture.music(), fixture.access());
        let Page { items, next, .. } =
            music.library(&fixture.ctx, &access, kind, 13, page.as_deref()).await.unwrap();
        assert!(items.len() <= 13 && items.iter().all(|saved| saved.added_at.is_some()));
        found.extend(items.iter().map(|saved| reference(&saved.item).clone()));
        page = next;
        if page.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn everything_is_saved_listed_newest_first_and_removed() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let tracks = tracks(&fixture, 70);
    let bob = fixture.sandbox.create_account(Provider::Tidal, "Bob", "DE");
    let followed = fixture.sandbox.make_playlist(Provider::Tidal, &bob, "Of another", &[]);
    let followed: ItemRef = format!("tidal:playlist:{followed}").parse().unwrap();
    let others = [targets.album.clone(), targets.artist.clone(), followed.clone()];
    let mixed = [&tracks[..35], &others[..], &tracks[35..]].concat();
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());

    music.library_save(ctx, access, &mixed, "save").await.unwrap();
    // 70 tracks in two requests, and one for each other kind.
    assert_eq!(fixture.request_count(), 5);
    let newest_first: Vec<ItemRef> = tracks.iter().rev().cloned().collect();
    assert_eq!(saved(&fixture, EntityKind::Track).await, newest_first);
    assert_eq!(saved(&fixture, EntityKind::Album).await, others[..1]);
    assert_eq!(saved(&fixture, EntityKind::Artist).await, others[1..2]);
    let playlists = saved(&fixture, EntityKind::Playlist).await;
    assert!(playlists.contains(&followed) && playlists.contains(&targets.playlist));

    music.library_save(ctx, access, &mixed, "again").await.unwrap();
    assert_eq!(saved(&fixture, EntityKind::Track).await.len(), 70);

    let gone = [&tracks[..60], &others[..]].concat();
    for key in ["remove", "remove again"] {
        music.library_remove(ctx, access, &gone, &key.replace(' ', "-")).await.unwrap();
    }
    let left: Vec<ItemRef> = tracks[60..].iter().rev().cloned().collect();
    assert_eq!(saved(&fixture, EntityKind::Track).await, left);
    assert!(saved(&fixture, EntityKind::Album).await.is_empty());
    assert!(saved(&fixture, EntityKind::Artist).await.is_empty());
    assert!(!saved(&fixture, EntityKind::Playlist).await.contains(&followed));
}

#[tokio::test]
async fn what_cannot_be_saved_is_named_and_the_rest_is_in() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let mut items = tracks(&fixture, 3);
    items.insert(1, "tidal:track:1".parse().unwrap());
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let error = music.library_save(ctx, access, &items, "key").await.unwrap_err();
    let ProviderError::PartlyDone { added, skipped, failed_at, cause, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(added, [&items[..1], &items[2..]].concat());
    assert_eq!((skipped[0].item.clone(), skipped[0].reason.as_str()), (items[1].clone(), "not_found"));
    assert_eq!(failed_at, 1);
    assert!(matches!(*cause, ProviderError::NotFound { .. }));
    assert_eq!(saved(&fixture, EntityKind::Track).await.len(), 3);

    let outcome = music.library_save(ctx, access, &items[1..2], "other").await;
    assert!(matches!(outcome, Err(ProviderError::NotFound { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_batch_that_fails_leaves_the_ones_before_it_done() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let items = [tracks(&fixture, 2), vec![targets.album.clone()]].concat();
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for method in ["POST", "DELETE"] {
        let operation = format!("{method} /userCollectionAlbums/{{id}}/relationships/items");
        let refused = FaultRule::new(Provider::Tidal, Effect::status(500)).operation(&operation).times(1);
        fixture.sandbox.faults().push(refused);
        let outcome = match method {
            "POST" => music.library_save(ctx, access, &items, "save").await,
            _ => music.library_remove(ctx, access, &items, "remove").await,
        };
        let error = outcome.unwrap_err();
        assert!(error.uncertain());
        let ProviderError::PartlyDone { added, failed_at, .. } = error else { panic!("{error:?}") };
        assert_eq!((added, failed_at), (items[..2].to_vec(), 2));
    }
}

#[tokio::test]
async fn what_no_library_takes_is_refused_unasked() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let track = tracks(&fixture, 1).remove(0);
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for other in ["tidal:mix:1", "spotify:track:1"] {
        let items = [track.clone(), other.parse().unwrap()];
        assert!(music.library_save(ctx, access, &items, "key").await.is_err(), "{other}");
        assert!(music.library_remove(ctx, access, &items, "key").await.is_err(), "{other}");
    }
    assert!(music.library(ctx, access, EntityKind::Mix, 5, None).await.is_err());
    music.library_save(ctx, access, &[], "key").await.unwrap();
    assert_eq!(fixture.request_count(), 0);
}

#[tokio::test]
async fn the_scope_that_is_missing_is_named() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let items = std::slice::from_ref(&targets.track);
    let token = fixture.token_with(&["user.read"]);
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &Access { token: &token, ..fixture.access() });
    let outcomes = [
        ("collection.read", music.library(ctx, access, EntityKind::Album, 5, None).await.map(drop)),
        ("collection.write", music.library_save(ctx, access, items, "key").await),
        ("collection.write", music.library_remove(ctx, access, items, "other-key").await),
        ("recommendations.read", music.mixes(ctx, access).await.map(drop)),
    ];
    for (scope, outcome) in outcomes {
        let Err(ProviderError::Forbidden { reason: ForbiddenReason::MissingScope(named), .. }) = outcome
        else {
            panic!("{scope}: {outcome:?}");
        };
        assert_eq!(named, [scope]);
    }
}

#[tokio::test]
async fn an_artists_albums_come_page_by_page_and_complete() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let mut found = Vec::new();
    let mut page = None::<String>;
    loop {
        let albums = music.artist_albums(ctx, access, &targets.artist, 2, page.as_deref()).await.unwrap();
        assert!(albums.items.len() <= 2 && albums.items.iter().all(|album| !album.artists.is_empty()));
        found.extend(albums.items.into_iter().map(|album| album.reference));
        page = albums.next;
        if page.is_none() {
            break;
        }
    }
    let whole = music.artist_albums(ctx, access, &targets.artist, 50, None).await.unwrap();
    assert!(found.len() > 2 && found.contains(&targets.album) && whole.next.is_none());
    assert!(whole.items.iter().map(|album| &album.reference).eq(&found), "{found:?}");
}

#[tokio::test]
async fn what_is_like_an_item_is_of_its_kind() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for item in [&targets.track, &targets.album, &targets.artist] {
        let first = music.similar(ctx, access, item, 5, None).await.unwrap();
        let next = first.next.as_deref();
        let second = music.similar(ctx, access, item, 5, next).await.unwrap();
        let both: Vec<ItemRef> =
            first.items.iter().chain(&second.items).map(|item| reference(item).clone()).collect();
        assert!(first.items.len() == 5 && !second.items.is_empty(), "{item}: {both:?}");
        assert!(both.iter().all(|found| found.kind() == item.kind() && found != item));
        assert_eq!(both.iter().collect::<BTreeSet<_>>().len(), both.len());
        if let Item::Track(track) = &first.items[0] {
            assert!(!track.artists.is_empty() && track.album.is_some() && track.isrc.is_some());
        }
    }
    let outcome = music.similar(ctx, access, &targets.playlist, 5, None).await;
    assert!(matches!(outcome, Err(ProviderError::UnsupportedByProvider { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_radio_is_read_to_its_end_whatever_the_limit() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let targets = Targets::of(&fixture).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for item in [&targets.track, &targets.artist] {
        let mut lists = Vec::new();
        for limit in [7, 50] {
            let mut list = Vec::new();
            let mut page = None::<String>;
            loop {
                let radio = music.radio(ctx, access, item, limit, page.as_deref()).await.unwrap();
                assert!(radio.items.len() <= limit as usize);
                list.extend(radio.items.into_iter().map(|track| (track.reference, track.title)));
                page = radio.next;
                if page.is_none() {
                    break;
                }
            }
            lists.push(list);
        }
        assert!(lists[0].len() > 7, "{item}: {:?}", lists[0]);
        assert_eq!(lists[0], lists[1], "{item}");
    }
    assert!(music.radio(ctx, access, &targets.album, 5, None).await.is_err());
    let outcome = music.radio(ctx, access, &targets.track, 5, Some("nonsense")).await;
    assert!(matches!(outcome, Err(ProviderError::InvalidPage { .. })), "{outcome:?}");
}

#[tokio::test]
async fn the_mixes_of_all_sorts_are_listed_and_each_can_be_read() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let mixes = music.mixes(ctx, access).await.unwrap();
    assert_eq!(mixes.len(), 10, "eight a day, one to discover, one of what is new: {mixes:?}");
    for mix in &mixes {
        assert_eq!(mix.reference.kind(), EntityKind::Mix);
        assert!(!mix.title.is_empty() && mix.subtitle.is_some());
        let first = music.mix_items(ctx, access, &mix.reference, 10, None).await.unwrap();
        let second = music.mix_items(ctx, access, &mix.reference, 10, first.next.as_deref()).await.unwrap();
        assert!(!first.items.is_empty() && first.items.len() <= 10);
        assert!(second.items.iter().all(|track| !first.items.contains(track)));
    }
    let playlist = playlist_named(&fixture, "No mix").await;
    assert!(music.mix_items(ctx, access, &playlist, 10, None).await.is_err());
}

#[tokio::test]
async fn a_sort_of_mixes_that_an_account_has_not_hides_no_other() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let none = FaultRule::new(Provider::Tidal, Effect::status(404));
    fixture.sandbox.faults().push(none.clone().path_prefix("/userDailyMixes"));
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    assert_eq!(music.mixes(ctx, access).await.unwrap().len(), 2);
    fixture.sandbox.faults().push(none);
    let outcome = music.mixes(ctx, access).await;
    assert!(matches!(outcome, Err(ProviderError::NotFound { .. })), "{outcome:?}");
}
