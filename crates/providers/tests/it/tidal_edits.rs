//! Edits of Tidal's playlists against the sandbox: what they do, what they say was done, how they fail.

use stagedoor_domain::{ItemRef, Provider};
use stagedoor_providers::{
    Access, Contents, Edit, Edited, Entry, ForbiddenReason, PlaylistChange, ProviderError,
};
use stagedoor_sandbox::{Effect, FaultRule, Other};

use crate::every::{playlist_named, tracks};
use crate::fixture::Fixture;

const ITEMS: &str = "/playlists/{id}/relationships/items";

/// A sandbox with a playlist of 130 tracks.
struct Long {
    fixture: Fixture,
    playlist: ItemRef,
    tracks: Vec<ItemRef>,
}

impl Long {
    async fn start() -> Self {
        let fixture = Fixture::start(Provider::Tidal).await;
        let tracks = tracks(&fixture, 260);
        let ids: Vec<&str> = tracks[..130].iter().map(ItemRef::id).collect();
        let id = fixture.sandbox.make_playlist(Provider::Tidal, &fixture.account, "Long", &ids);
        let playlist = format!("tidal:playlist:{id}").parse().unwrap();
        Self { fixture, playlist, tracks }
    }

    async fn contents(&self) -> Contents {
        let (music, access) = (self.fixture.music(), self.fixture.access());
        music.playlist_contents(&self.fixture.ctx, &access, &self.playlist, 1_000).await.unwrap()
    }

    async fn entries(&self) -> Vec<Entry> {
        self.contents().await.items.iter().map(Entry::from).collect()
    }

    async fn edit(&self, current: &[Entry], edit: &Edit, key: &str) -> Result<Edited, ProviderError> {
        let (music, access) = (self.fixture.music(), self.fixture.access());
        music.edit_playlist(&self.fixture.ctx, &access, &self.playlist, (current, None), edit, key).await
    }

    fn names(&self, range: std::ops::Range<usize>) -> Vec<Box<str>> {
        self.tracks[range].iter().map(|track| track.to_string().into()).collect()
    }

    /// How many requests of each method went to the playlist's items since the last look.
    fn writes(&self) -> [u64; 3] {
        let requests = self.fixture.requests();
        ["POST", "DELETE", "PATCH"]
            .map(|method| requests.get(&format!("{method} {ITEMS}")).copied().unwrap_or_default())
    }
}

fn names(entries: &[Entry]) -> Vec<Box<str>> {
    entries.iter().map(|entry| entry.name.clone()).collect()
}

#[tokio::test]
async fn each_edit_does_what_it_says_in_as_few_requests_as_it_takes() {
    let long = Long::start().await;
    let all = long.names(0..130);
    let mut replaced = all.clone();
    let first = replaced.remove(0);
    replaced.insert(100, first);
    let moved = |range: std::ops::Range<usize>, to: usize| {
        let mut names = all.clone();
        let block: Vec<_> = names.drain(range).collect();
        names.splice(to..to, block);
        names
    };
    let edits = [
        (Edit::Insert { at: 3, names: long.names(130..190) }, {
            let mut names = all.clone();
            names.splice(3..3, long.names(130..190));
            (names, [2, 0, 0])
        }),
        (
            Edit::Insert { at: 130, names: long.names(130..230) },
            ([all.clone(), long.names(130..230)].concat(), [2, 0, 0]),
        ),
        (
            Edit::Remove((0..130).filter(|position| position % 2 == 0).collect()),
            (all.iter().skip(1).step_by(2).cloned().collect(), [0, 2, 0]),
        ),
        (Edit::Move { start: 10, length: 30, before: 0 }, (moved(10..40, 0), [0, 0, 1])),
        (Edit::Move { start: 10, length: 30, before: 130 }, (moved(10..40, 100), [0, 0, 2])),
        (Edit::Replace(replaced.clone()), (replaced, [1, 1, 0])),
        (Edit::Replace(long.names(130..200)), (long.names(130..200), [2, 3, 0])),
        (Edit::Replace(Vec::new()), (Vec::new(), [0, 3, 0])),
        (Edit::Replace(all.clone()), (all.clone(), [0, 0, 0])),
    ];
    let ids: Vec<&str> = long.tracks[..130].iter().map(ItemRef::id).collect();
    for (number, (edit, (expected, requests))) in edits.into_iter().enumerate() {
        long.fixture.sandbox.change_playlist(Provider::Tidal, long.playlist.id(), &ids);
        let current = long.entries().await;
        long.fixture.requests();
        let edited = long.edit(&current, &edit, &format!("key-{number}")).await.unwrap();
        assert_eq!(long.writes(), requests, "{edit:?}");
        assert_eq!(names(&edited.entries), expected, "{edit:?}");
        assert_eq!(edited.entries, long.entries().await, "{edit:?}");
        assert!(edited.skipped.is_empty() && edited.version.is_none());
    }
}

#[tokio::test]
async fn a_whole_playlist_comes_with_what_is_no_track_and_no_longer_one() {
    let long = Long::start().await;
    assert!(long.fixture.sandbox.add_other(Provider::Tidal, long.playlist.id(), Other::Video));
    let catalogue = long.fixture.sandbox.catalogue(Provider::Tidal);
    let blocked = catalogue.tracks().find(|track| track.blocked_in.contains(&"DE"));
    let blocked: Box<str> = format!("tidal:track:{}", blocked.unwrap().id).into();
    let edit = Edit::Insert { at: 131, names: vec![blocked.clone()] };
    let mut current = long.entries().await;
    let edited = long.edit(&current, &edit, "key").await.unwrap();
    let contents = long.contents().await;
    assert_eq!(contents.playlist.item_count, Some(132));
    assert!(contents.playlist.version.is_some());
    let positions = contents.items.iter().map(|item| item.position);
    assert!(positions.eq(0..132) && contents.items.iter().all(|item| item.item_id.is_some()));
    assert!(contents.items[..130].iter().all(|item| item.track.is_some() && item.other.is_none()));
    let [video, gone] = &contents.items[130..] else { panic!("two more") };
    assert!(video.track.is_none() && video.other.as_deref().unwrap().starts_with("tidal:video:"));
    assert_eq!((&gone.track, gone.other.as_deref()), (&None, Some(&*blocked)));

    // Both can be taken out and put in again.
    current = edited.entries;
    let both = names(&current[130..]);
    let without = long.edit(&current, &Edit::Remove(vec![130, 131]), "out").await.unwrap();
    assert_eq!(without.entries.len(), 130);
    let with = long.edit(&without.entries, &Edit::Insert { at: 0, names: both.clone() }, "in").await.unwrap();
    assert_eq!(names(&with.entries[..2]), both);
    assert_eq!(with.entries, long.entries().await);
}

#[tokio::test]
async fn more_than_asked_for_is_refused_at_once() {
    let long = Long::start().await;
    let (music, ctx, access) = (long.fixture.music(), &long.fixture.ctx, &long.fixture.access());
    let outcome = music.playlist_contents(ctx, access, &long.playlist, 129).await;
    assert!(matches!(outcome, Err(ProviderError::UnsupportedByProvider { .. })), "{outcome:?}");
    assert_eq!(long.fixture.request_count(), 1);
    assert_eq!(long.contents().await.items.len(), 130);
    // Seven pages of 20 and the head again.
    assert_eq!(long.fixture.request_count(), 8);
}

#[tokio::test]
async fn a_failure_in_between_says_what_the_playlist_holds() {
    let long = Long::start().await;
    let current = long.entries().await;
    let edit = Edit::Replace(long.names(130..150));
    let refused = FaultRule::new(Provider::Tidal, Effect::status(500)).operation(&format!("DELETE {ITEMS}"));
    long.fixture.sandbox.faults().push(refused.times(1));
    let error = long.edit(&current, &edit, "first").await.unwrap_err();
    assert!(error.uncertain(), "{error:?}");
    let ProviderError::Interrupted { so_far, .. } = error else { panic!("not interrupted: {error:?}") };
    assert_eq!(so_far.entries.len(), 150);
    assert_eq!(so_far.entries, long.entries().await);

    let edited = long.edit(&so_far.entries, &edit, "second").await.unwrap();
    assert_eq!(names(&edited.entries), long.names(130..150));
    assert_eq!(edited.entries, long.entries().await);
}

#[tokio::test]
async fn a_failure_of_the_first_request_is_only_that() {
    let long = Long::start().await;
    let current = long.entries().await;
    long.fixture.sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::rate_limited(9)).times(1));
    let error = long.edit(&current, &Edit::Remove(vec![0]), "key").await.unwrap_err();
    assert!(matches!(error, ProviderError::RateLimited { .. }), "{error:?}");
    assert_eq!(long.fixture.sandbox.playlist_tracks(Provider::Tidal, long.playlist.id()).unwrap().len(), 130);
}

#[tokio::test]
async fn an_edit_sent_again_is_done_once() {
    let long = Long::start().await;
    let current = long.entries().await;
    let edit = Edit::Insert { at: 5, names: long.names(130..240) };
    let lost = FaultRule::new(Provider::Tidal, Effect::CloseConnection).operation(&format!("POST {ITEMS}"));
    long.fixture.sandbox.faults().push(lost.times(2).after_work());
    let error = long.edit(&current, &edit, "key").await.unwrap_err();
    assert!(error.uncertain() && !matches!(error, ProviderError::Interrupted { .. }), "{error:?}");
    let edited = long.edit(&current, &edit, "key").await.unwrap();
    assert_eq!(edited.entries.len(), 240);
    assert_eq!(edited.entries, long.entries().await);
}

#[tokio::test]
async fn entries_without_ids_are_looked_up_and_must_be_what_was_meant() {
    let long = Long::start().await;
    let bare: Vec<Entry> = long.names(0..130).into_iter().map(Entry::new).collect();
    let edited = long.edit(&bare, &Edit::Remove(vec![129]), "one").await.unwrap();
    assert_eq!(edited.entries, long.entries().await);

    let bare: Vec<Entry> = long.names(1..130).into_iter().map(Entry::new).collect();
    long.fixture.requests();
    let outcome = long.edit(&bare, &Edit::Remove(vec![0]), "two").await;
    assert!(matches!(outcome, Err(ProviderError::Changed { .. })), "{outcome:?}");
    assert_eq!(long.writes(), [0, 0, 0]);

    let bare: Vec<Entry> = long.names(0..129).into_iter().map(Entry::new).collect();
    long.fixture.requests();
    let edited = long.edit(&bare, &Edit::Insert { at: 129, names: long.names(200..201) }, "three").await;
    assert_eq!(edited.unwrap().entries.len(), 130);
    assert_eq!(long.fixture.request_count(), 1, "the end needs no id");
}

#[tokio::test]
async fn what_is_unknown_to_the_service_is_left_out_and_named() {
    let long = Long::start().await;
    let current = long.entries().await;
    let edit = Edit::Insert { at: 0, names: vec!["tidal:track:1".into(), long.names(130..131).remove(0)] };
    let edited = long.edit(&current, &edit, "key").await.unwrap();
    assert_eq!(edited.entries.len(), 131);
    let [skipped] = &edited.skipped[..] else { panic!("{:?}", edited.skipped) };
    assert_eq!((skipped.item.to_string().as_str(), skipped.reason.as_str()), ("tidal:track:1", "not_found"));
}

#[tokio::test]
async fn what_is_no_entry_of_the_service_stops_an_edit_before_it_begins() {
    let long = Long::start().await;
    let current = long.entries().await;
    long.fixture.requests();
    for name in ["spotify:track:1", "tidal:album:1", "tidal:track:../1", "tidal:hologram:1", ""] {
        for edit in [
            Edit::Insert { at: 130, names: [long.names(130..190), vec![name.into()]].concat() },
            Edit::Replace(vec![name.into()]),
        ] {
            let outcome = long.edit(&current, &edit, "key").await;
            assert!(
                matches!(outcome, Err(ProviderError::UnsupportedByProvider { .. })),
                "{name}: {outcome:?}"
            );
        }
    }
    let too_long = "x".repeat(101);
    assert!(long.edit(&current, &Edit::Remove(vec![0]), &too_long).await.is_err());
    assert_eq!(long.fixture.request_count(), 0);
}

#[tokio::test]
async fn a_playlist_is_changed_and_deleted() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let playlist = playlist_named(&fixture, "Before").await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let before = music.playlist_head(ctx, access, &playlist).await.unwrap();
    let change = PlaylistChange { name: Some("After"), description: Some("Told."), public: Some(false) };
    music.update_playlist(ctx, access, &playlist, &change, "one").await.unwrap();
    let after = music.playlist_head(ctx, access, &playlist).await.unwrap();
    assert_eq!(
        (after.name.as_str(), after.description.as_deref(), after.public),
        ("After", Some("Told."), Some(false))
    );
    assert_ne!(after.version, before.version);

    let change = PlaylistChange { description: Some(""), ..PlaylistChange::default() };
    music.update_playlist(ctx, access, &playlist, &change, "two").await.unwrap();
    let after = music.playlist_head(ctx, access, &playlist).await.unwrap();
    assert_eq!((after.name.as_str(), after.description, after.public), ("After", None, Some(false)));

    fixture.requests();
    music.update_playlist(ctx, access, &playlist, &PlaylistChange::default(), "three").await.unwrap();
    assert_eq!(fixture.request_count(), 0);

    music.delete_playlist(ctx, access, &playlist, "four").await.unwrap();
    let outcome = music.playlist_head(ctx, access, &playlist).await;
    assert!(matches!(outcome, Err(ProviderError::NotFound { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_missing_scope_and_a_strangers_playlist_are_told_apart_by_every_edit() {
    let long = Long::start().await;
    let current = long.entries().await;
    let (music, ctx) = (long.fixture.music(), &long.fixture.ctx);
    for (token, expected) in [
        (long.fixture.token_with(&["playlists.read"]), ForbiddenReason::MissingScope(&["playlists.write"])),
        (long.fixture.stranger(), ForbiddenReason::Ownership),
    ] {
        let access = Access { token: &token, ..long.fixture.access() };
        let mut outcomes = Vec::new();
        for (key, edit) in [
            ("remove", Edit::Remove(vec![0])),
            ("insert", Edit::Insert { at: 0, names: long.names(0..1) }),
            ("move", Edit::Move { start: 0, length: 1, before: 9 }),
        ] {
            let outcome = music.edit_playlist(ctx, &access, &long.playlist, (&current, None), &edit, key);
            outcomes.push(outcome.await.map(drop));
        }
        let change = PlaylistChange { name: Some("Mine"), ..PlaylistChange::default() };
        outcomes.push(music.update_playlist(ctx, &access, &long.playlist, &change, "update").await);
        outcomes.push(music.delete_playlist(ctx, &access, &long.playlist, "delete").await);
        for outcome in outcomes {
            let Err(ProviderError::Forbidden { reason, .. }) = outcome else { panic!("{outcome:?}") };
            assert_eq!(reason, expected);
        }
    }
}
