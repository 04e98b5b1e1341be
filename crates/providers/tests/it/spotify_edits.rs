//! Spotify's playlists changed and read whole, against the sandbox, which does with each request what Spotify does.

use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{
    Access, Contents, Edit, Edited, Entry, ForbiddenReason, PlaylistChange, ProviderError,
};
use stagedoor_sandbox::{Effect, FaultRule, Other, Stage};

use crate::every::{playlist_named, tracks};
use crate::fixture::Fixture;

const ADD: &str = "POST /playlists/{id}/items";
const REMOVE: &str = "DELETE /playlists/{id}/items";

type Name = Box<str>;

/// A playlist that holds the tracks with these numbers.
fn playlist(fixture: &Fixture, numbers: &[usize]) -> ItemRef {
    let all = tracks(fixture, numbers.iter().max().map_or(0, |most| most + 1));
    let ids: Vec<&str> = numbers.iter().map(|number| all[*number].id()).collect();
    let id = fixture.sandbox.make_playlist(Provider::Spotify, &fixture.account, "Edited", &ids);
    ItemRef::new(Provider::Spotify, EntityKind::Playlist, &id).unwrap()
}

async fn contents(fixture: &Fixture, playlist: &ItemRef) -> Contents {
    fixture.music().playlist_contents(&fixture.ctx, &fixture.access(), playlist, 10_000).await.unwrap()
}

fn entries(contents: &Contents) -> Vec<Entry> {
    contents.items.iter().map(Entry::from).collect()
}

async fn edit(fixture: &Fixture, playlist: &ItemRef, edit: &Edit) -> Result<Edited, ProviderError> {
    let now = contents(fixture, playlist).await;
    let (current, version) = (entries(&now), now.playlist.version.as_deref());
    fixture.requests();
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    music.edit_playlist(ctx, access, playlist, (&current, version), edit, "key").await
}

/// What `edit` makes of `list`.
fn expected(list: &[Name], edit: &Edit) -> Vec<Name> {
    let mut names = list.to_vec();
    match edit {
        Edit::Remove(gone) => {
            let mut position = 0;
            names.retain(|_| {
                position += 1;
                !gone.contains(&(position - 1))
            });
        }
        Edit::Insert { at, names: new } => {
            names.splice(*at as usize..*at as usize, new.iter().cloned());
        }
        Edit::Move { start, length, before } => {
            let moved: Vec<_> = names.drain(*start as usize..(start + length) as usize).collect();
            let at = if before > start { before - length } else { *before } as usize;
            names.splice(at..at, moved);
        }
        Edit::Replace(new) => names.clone_from(new),
    }
    names
}

fn names(entries: &[Entry]) -> Vec<Name> {
    entries.iter().map(|entry| entry.name.clone()).collect()
}

/// Numbers without a pattern that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    /// An edit of a playlist of this length, with tracks that are in it already among those that are not.
    fn edit(&mut self, length: usize, all: &[ItemRef]) -> Edit {
        let number = |number: usize| u32::try_from(number).unwrap();
        let some = |dice: &mut Self, most| -> Vec<Name> {
            (0..=dice.below(most)).map(|_| all[dice.below(all.len())].to_string().into()).collect()
        };
        match self.below(4) {
            0 => Edit::Insert { at: number(self.below(length + 1)), names: some(self, 40) },
            1 if length > 0 => {
                let start = self.below(length);
                let long = 1 + self.below(length - start);
                let before = if self.below(2) == 0 { self.below(start + 1) } else { length };
                Edit::Move { start: number(start), length: number(long), before: number(before) }
            }
            2 if length > 0 => {
                let share = 1 + self.below(6);
                Edit::Remove((0..number(length)).filter(|_| self.below(share) == 0).collect())
            }
            _ => Edit::Replace(some(self, 150)),
        }
    }
}

#[tokio::test]
async fn after_each_of_many_edits_the_playlist_holds_what_was_said() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (all, list) = (tracks(&fixture, 60), playlist(&fixture, &[0, 1, 2, 1, 0]));
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let mut dice = Dice(7);
    let mut now = contents(&fixture, &list).await;
    for round in 0..30 {
        let before = entries(&now);
        let change = dice.edit(before.len(), &all);
        let seen = (&before[..], now.playlist.version.as_deref());
        let edited = music.edit_playlist(ctx, access, &list, seen, &change, "key").await.unwrap();
        now = contents(&fixture, &list).await;
        assert_eq!(names(&edited.entries), expected(&names(&before), &change), "round {round}: {change:?}");
        assert_eq!(names(&edited.entries), names(&entries(&now)), "round {round}: {change:?}");
        assert_eq!(edited.version, now.playlist.version, "round {round}: {change:?}");
        assert!(edited.skipped.is_empty());
    }
}

#[tokio::test]
async fn a_short_playlist_is_read_by_one_request_and_a_long_one_between_two_looks() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for (length, requests) in [(0, 1), (100, 1), (101, 3), (330, 7)] {
        let numbers: Vec<usize> = (0..length).map(|number| number % 70).collect();
        let list = playlist(&fixture, &numbers);
        fixture.requests();
        let found = contents(&fixture, &list).await;
        assert_eq!(fixture.request_count(), requests, "{length}");
        let held = fixture.sandbox.playlist_tracks(Provider::Spotify, list.id()).unwrap();
        let read: Vec<_> =
            found.items.iter().map(|item| item.track.as_ref().unwrap().reference.id()).collect();
        assert_eq!(read, held);
        assert!(found.items.iter().zip(0..).all(|(item, position)| item.position == position));
        let head = music.playlist_head(ctx, access, &list).await.unwrap();
        assert_eq!((fixture.request_count(), &head.version), (1, &found.playlist.version));
    }
    let list = playlist(&fixture, &[0, 1, 2]);
    fixture.requests();
    let error = music.playlist_contents(ctx, access, &list, 2).await.unwrap_err();
    assert!(matches!(error, ProviderError::UnsupportedByProvider { .. }), "{error:?}");
    assert_eq!(fixture.request_count(), 1, "nothing is read that is not wanted");
}

#[tokio::test]
async fn what_is_no_track_has_a_name_and_stays() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let list = playlist(&fixture, &[0, 1, 0]);
    for other in [
        Other::LocalFile { title: "Demo".to_owned() },
        Other::Episode { title: "Talk".to_owned() },
        Other::Gone,
    ] {
        assert!(fixture.sandbox.add_other(Provider::Spotify, list.id(), other));
    }
    let before = contents(&fixture, &list).await;
    let others: Vec<&str> =
        before.items[3..].iter().map(|item| item.other.as_deref().unwrap_or_default()).collect();
    assert!(before.items[3..].iter().all(|item| item.track.is_none()));
    assert!(others[0].starts_with("spotify:local:") && others[0].contains("Demo"), "{others:?}");
    assert!(others[1].starts_with("spotify:episode:") && others[2].is_empty(), "{others:?}");

    let edited = edit(&fixture, &list, &Edit::Remove(vec![0])).await.unwrap();
    assert_eq!(names(&edited.entries), names(&entries(&before))[1..]);
    assert_eq!(names(&entries(&contents(&fixture, &list).await)), names(&edited.entries));

    // The episode can be taken out and brought back; the file and what is gone cannot.
    let (whole, mut without) = (names(&edited.entries), names(&edited.entries));
    without.remove(3);
    edit(&fixture, &list, &Edit::Replace(without.clone())).await.unwrap();
    assert_eq!(names(&entries(&contents(&fixture, &list).await)), without);
    edit(&fixture, &list, &Edit::Replace(whole.clone())).await.unwrap();
    assert_eq!(names(&entries(&contents(&fixture, &list).await)), whole);
    for change in [Edit::Remove(vec![2]), Edit::Insert { at: 0, names: vec![whole[2].clone()] }] {
        let error = edit(&fixture, &list, &change).await.unwrap_err();
        assert!(matches!(error, ProviderError::UnsupportedByProvider { .. }), "{error:?}");
        assert_eq!(fixture.request_count(), 0, "it is known before anything is sent: {change:?}");
    }
}

#[tokio::test]
async fn an_edit_that_is_cut_off_says_what_the_playlist_holds() {
    let new = |fixture: &Fixture| -> Vec<Name> {
        tracks(fixture, 150).iter().map(|track| track.to_string().into()).collect()
    };
    for is_insert in [true, false] {
        let fixture = Fixture::start(Provider::Spotify).await;
        let numbers: Vec<usize> = (0..250).map(|number| number % 249).collect();
        let list = playlist(&fixture, &numbers);
        let before = names(&entries(&contents(&fixture, &list).await));
        // The removal first tries out whether what it takes out with it can be put back.
        let change =
            if is_insert { Edit::Insert { at: 1, names: new(&fixture) } } else { Edit::Remove(vec![249]) };
        let faults = fixture.sandbox.faults();
        let pass = FaultRule::new(Provider::Spotify, Effect::Delay { milliseconds: 0 });
        faults.push(pass.operation(ADD).times(1));
        faults.push(FaultRule::new(Provider::Spotify, Effect::rate_limited(30)).operation(ADD).times(1));
        let error = edit(&fixture, &list, &change).await.unwrap_err();
        let ProviderError::Interrupted { so_far, cause, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(**cause, ProviderError::RateLimited { .. }) && !error.uncertain());
        let held = fixture.sandbox.playlist_tracks(Provider::Spotify, list.id()).unwrap();
        let told: Vec<_> =
            so_far.entries.iter().map(|entry| entry.name.trim_start_matches("spotify:track:")).collect();
        assert_eq!(told, held);
        assert_ne!(names(&so_far.entries), before, "something was done");
        assert_ne!(names(&so_far.entries), expected(&before, &change), "and something was not");
    }
}

#[tokio::test]
async fn what_is_not_there_is_left_out_and_named() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let unknown = |number: usize| -> Name { format!("spotify:track:{number:0>22}").into() };
    let all: Vec<Name> = tracks(&fixture, 60).iter().map(|track| track.to_string().into()).collect();
    let mut wanted: Vec<Name> = (0..140).map(|number| all[number % 60].clone()).collect();
    for (at, number) in [(3, 1), (99, 2), (100, 3), (120, 1), (139, 4)] {
        wanted[at] = unknown(number);
    }
    let known: Vec<Name> = wanted.iter().filter(|name| all.contains(name)).cloned().collect();
    let kept = |list: &[Name]| [&list[..1], &known, &list[1..]].concat();
    for is_insert in [true, false] {
        let list = playlist(&fixture, &[0, 1, 2, 1, 0]);
        let before = names(&entries(&contents(&fixture, &list).await));
        let (change, after) = if is_insert {
            (Edit::Insert { at: 1, names: wanted.clone() }, kept(&before))
        } else {
            (Edit::Replace(wanted.clone()), known.clone())
        };
        let edited = edit(&fixture, &list, &change).await.unwrap();
        let mut skipped: Vec<Name> =
            edited.skipped.iter().map(|skipped| skipped.item.to_string().into()).collect();
        skipped.sort_unstable();
        assert_eq!(skipped, [1, 2, 3, 4].map(unknown), "{is_insert}");
        assert!(edited.skipped.iter().all(|skipped| skipped.reason == "not_found"));
        assert_eq!(names(&edited.entries), after, "{is_insert}");
        assert_eq!(names(&entries(&contents(&fixture, &list).await)), after, "{is_insert}");
    }
}

#[tokio::test]
async fn an_edit_whose_only_answer_is_lost_may_be_done() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let list = playlist(&fixture, &[0, 1]);
    let faults = fixture.sandbox.faults();
    let rule = |effect| FaultRule::new(Provider::Spotify, effect).operation(REMOVE).times(1);
    faults.push(rule(Effect::status(500)));
    let error = edit(&fixture, &list, &Edit::Remove(vec![0])).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { uncertain: true, .. }), "{error:?}");
    faults.push(FaultRule { stage: Stage::AfterWork, ..rule(Effect::CloseConnection) });
    let error = edit(&fixture, &list, &Edit::Remove(vec![0])).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { uncertain: true, .. }), "{error:?}");
    let held = fixture.sandbox.playlist_tracks(Provider::Spotify, list.id()).unwrap();
    assert_eq!(held.len(), 1, "it was done, once");
}

#[tokio::test]
async fn what_was_read_before_a_change_from_elsewhere_is_not_edited() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let list = playlist(&fixture, &[0, 1, 2]);
    let before = contents(&fixture, &list).await;
    let other = tracks(&fixture, 5);
    assert!(fixture.sandbox.change_playlist(Provider::Spotify, list.id(), &[other[4].id()]));
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let seen = (&entries(&before)[..], before.playlist.version.as_deref());
    for change in [Edit::Remove(vec![0]), Edit::Move { start: 0, length: 1, before: 3 }] {
        let error = music.edit_playlist(ctx, access, &list, seen, &change, "key").await.unwrap_err();
        assert!(matches!(error, ProviderError::Rejected { status: 400, .. }), "{error:?}");
    }
    assert_eq!(contents(&fixture, &list).await.items.len(), 1);
}

#[tokio::test]
async fn a_playlist_that_is_changed_and_deleted_shows_it() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let list = playlist_named(&fixture, "Before").await;
    let change = PlaylistChange { name: Some("After"), description: Some("Slow."), public: Some(false) };
    music.update_playlist(ctx, access, &list, &change, "key").await.unwrap();
    let head = music.playlist_head(ctx, access, &list).await.unwrap();
    assert_eq!(
        (head.name.as_str(), head.description.as_deref(), head.public),
        ("After", Some("Slow."), Some(false))
    );
    let change = PlaylistChange { description: Some(""), ..PlaylistChange::default() };
    music.update_playlist(ctx, access, &list, &change, "key").await.unwrap();
    let head = music.playlist_head(ctx, access, &list).await.unwrap();
    assert_eq!((head.name.as_str(), head.description), ("After", None));
    fixture.requests();
    music.update_playlist(ctx, access, &list, &PlaylistChange::default(), "key").await.unwrap();
    assert_eq!(fixture.request_count(), 0, "nothing to change is nothing to send");

    music.delete_playlist(ctx, access, &list, "key").await.unwrap();
    let mine = music.playlists(ctx, access, 50, None).await.unwrap();
    assert!(mine.items.iter().all(|listed| listed.reference != list));
}

#[tokio::test]
async fn a_strangers_playlist_is_not_edited() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let list = playlist_named(&fixture, "Mine").await;
    let stranger = fixture.stranger();
    let access = Access { token: &stranger, ..fixture.access() };
    let (music, ctx) = (fixture.music(), &fixture.ctx);
    let insert = Edit::Insert { at: 0, names: vec![tracks(&fixture, 1)[0].to_string().into()] };
    let change = PlaylistChange { name: Some("Yours"), ..PlaylistChange::default() };
    let errors = [
        music.edit_playlist(ctx, &access, &list, (&[], None), &insert, "key").await.unwrap_err(),
        music.update_playlist(ctx, &access, &list, &change, "key").await.unwrap_err(),
    ];
    for error in errors {
        let is_ownership =
            matches!(error, ProviderError::Forbidden { reason: ForbiddenReason::Ownership, .. });
        assert!(is_ownership, "{error:?}");
    }
}
