//! Plays: each counts once, whoever tells of it, in whichever order and however often; they go with their account and
//! their person, and roll-ups with them.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use stagedoor_domain::{Clock as _, Provider};
use stagedoor_storage::listening::{
    self, Counts, GapReason, NewPlay, Owner, PlaySource, PlayedTrack, PollEnd, Recorded, RollupParts, Source,
    StoredPlay,
};
use stagedoor_storage::{StoreError, consents, linked_accounts};

use crate::attempts::in_tenant;
use crate::consents::decision;
use crate::support::{Database, Inhabited};

pub(crate) fn owner(one: &Inhabited) -> Owner {
    Owner { user: one.user, account: one.account, provider: Provider::Spotify }
}

/// Noon of the day before, with milliseconds.
fn noon(database: &Database) -> DateTime<Utc> {
    let today = database.clock.now().date_naive().and_hms_milli_opt(12, 0, 0, 0).unwrap();
    today.and_utc() - TimeDelta::days(1)
}

fn track(number: u32) -> PlayedTrack {
    PlayedTrack {
        reference: Some(format!("spotify:track:{number:022}")),
        title: format!("Song {number}"),
        artists: vec!["The Testers".to_owned(), "A Guest".to_owned()],
        album: Some("Album".to_owned()),
        duration_ms: Some(200_000),
        ms_played: None,
        skipped: None,
        context: None,
    }
}

/// A play that ended so many milliseconds after noon.
fn polled(database: &Database, ms: i64, number: u32) -> NewPlay {
    NewPlay { played_at: noon(database) + TimeDelta::milliseconds(ms), track: track(number) }
}

/// The same as the data download has it, to the second.
fn imported(database: &Database, second: i64, number: u32, ms_played: u32) -> NewPlay {
    let of =
        PlayedTrack { duration_ms: None, ms_played: Some(ms_played), skipped: Some(false), ..track(number) };
    NewPlay { played_at: noon(database) + TimeDelta::seconds(second), track: of }
}

/// The same in the short form, to the minute and without a reference.
fn short(database: &Database, minute: i64, number: u32, ms_played: u32) -> NewPlay {
    let of = PlayedTrack {
        reference: None,
        artists: vec!["The Testers".to_owned()],
        album: None,
        ..track(number)
    };
    let of = PlayedTrack { duration_ms: None, ms_played: Some(ms_played), ..of };
    NewPlay { played_at: noon(database) + TimeDelta::minutes(minute), track: of }
}

async fn record(database: &Database, one: &Inhabited, source: Source, plays: &[NewPlay]) -> (u64, u64) {
    let done = listening::record(&database.vault, &one.context, &owner(one), source, plays).await.unwrap();
    let Recorded { added, known } = done;
    (added, known)
}

/// All plays in the order of time.
async fn all(database: &Database, one: &Inhabited) -> Vec<StoredPlay> {
    let span = (noon(database) - TimeDelta::days(5_000), noon(database) + TimeDelta::days(1));
    let mut plays = Vec::new();
    let each = |play| {
        plays.push(play);
        Ok::<_, StoreError>(())
    };
    listening::each_play(&database.vault, &one.context, (one.user, Provider::Spotify), span, each)
        .await
        .unwrap();
    plays
}

/// A play, a gap, an import and a roll-up, for other modules' tests.
pub(crate) async fn listened(database: &Database, one: &Inhabited) {
    let (vault, context) = (&database.vault, &one.context);
    let now = database.clock.now();
    record(database, one, Source::Poll, &[polled(database, 0, 1)]).await;
    let begun = listening::begin_import(vault, context, &owner(one), &[7; 32]).await.unwrap();
    assert!(!begun.resumed);
    in_tenant(database, one, async |tx| {
        let span = (now - TimeDelta::hours(3), now - TimeDelta::hours(2));
        listening::record_gap(tx, &owner(one), span, GapReason::Missed, now).await
    })
    .await;
    let stale = in_tenant(database, one, async |tx| listening::stale_months(tx, None, 9).await).await;
    let parts = RollupParts { heard: b"heard".to_vec(), plays: b"plays".to_vec(), names: b"names".to_vec() };
    assert!(listening::build_rollup(vault, context, &stale[0], Some(&parts)).await.unwrap());
}

#[tokio::test]
async fn a_play_that_is_told_again_counts_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let plays: Vec<NewPlay> = (0..60).map(|n| polled(&database, i64::from(n) * 180_123, n % 7)).collect();
    assert_eq!(record(&database, &ada, Source::Poll, &plays[..50]).await, (50, 0));
    assert_eq!(record(&database, &ada, Source::Poll, &plays[10..]).await, (10, 40), "lists overlap");
    assert_eq!(record(&database, &ada, Source::Poll, &plays[..]).await, (0, 60));
    let mut twice = vec![polled(&database, 60_000_000, 1); 2];
    twice[1].track.title.push_str(" - Remastered");
    assert_eq!(
        record(&database, &ada, Source::Poll, &twice).await,
        (1, 1),
        "one account, one time, one play"
    );
    let stored = all(&database, &ada).await;
    let times: Vec<_> = stored.iter().map(|play| play.played_at).collect();
    let expected: Vec<_> = plays.iter().chain(&twice[..1]).map(|play| play.played_at).collect();
    assert_eq!(times, expected, "to the millisecond, in the order of time");
    assert!(stored.iter().zip(&plays).all(|(stored, play)| stored.track == play.track));
}

#[tokio::test]
async fn several_at_once_add_each_play_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let plays: Vec<NewPlay> = (0..40).map(|n| polled(&database, i64::from(n) * 200_000, n)).collect();
    let batches: Vec<&[NewPlay]> = vec![&plays[..25], &plays[10..], &plays[5..30]];
    let at_once = batches.into_iter().map(|batch| {
        let (vault, context, owner) = (&database.vault, &ada.context, owner(&ada));
        async move { listening::record(vault, context, &owner, Source::Poll, batch).await.unwrap().added }
    });
    let added: u64 = futures_util::future::join_all(at_once).await.into_iter().sum();
    assert_eq!((added, all(&database, &ada).await.len()), (40, 40));
}

#[tokio::test]
async fn a_polled_and_an_imported_play_are_one_whichever_comes_first() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    // On repeat, with a start that was left after 8 s, which the service's list does not have.
    let list = [polled(&database, 400, 1), polled(&database, 200_900, 1), polled(&database, 400_100, 2)];
    let file = [
        imported(&database, 0, 1, 200_000),
        imported(&database, 9, 1, 8_000),
        imported(&database, 199, 1, 190_500),
        imported(&database, 401, 2, 199_100),
        imported(&database, 900, 3, 100_000),
    ];
    assert_eq!(record(&database, &ada, Source::Poll, &list).await, (3, 0));
    assert_eq!(record(&database, &ada, Source::ImportBySecond, &file).await, (2, 3));
    assert_eq!(record(&database, &bob, Source::ImportBySecond, &file).await, (5, 0));
    assert_eq!(record(&database, &bob, Source::Poll, &list).await, (0, 3));
    for one in [&ada, &bob] {
        assert_eq!(record(&database, one, Source::ImportBySecond, &file).await, (0, 5), "again");
        assert_eq!(record(&database, one, Source::Poll, &list).await, (0, 3), "again");
    }
    let told = |plays: Vec<StoredPlay>| -> Vec<_> {
        plays.into_iter().map(|play| (play.played_at, play.source, play.track)).collect()
    };
    let (first, second) = (told(all(&database, &ada).await), told(all(&database, &bob).await));
    assert_eq!(first, second);
    let heard: Vec<_> = first
        .iter()
        .map(|(at, source, track)| ((*at - noon(&database)).num_milliseconds(), *source, track.ms_played))
        .collect();
    assert_eq!(
        heard,
        [
            (400, PlaySource::Both, Some(200_000)),
            (9_000, PlaySource::Import, Some(8_000)),
            (200_900, PlaySource::Both, Some(190_500)),
            (400_100, PlaySource::Both, Some(199_100)),
            (900_000, PlaySource::Import, Some(100_000)),
        ]
    );
    assert_eq!(first[0].2.duration_ms, Some(200_000), "the list's words stay");
}

#[tokio::test]
async fn the_short_form_is_the_same_plays_too() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    assert_eq!(record(&database, &ada, Source::Poll, &[polled(&database, 30_000, 1)]).await, (1, 0));
    // Two plays of one track that end in one minute.
    let file =
        [short(&database, 0, 1, 180_000), short(&database, 5, 2, 40_000), short(&database, 5, 2, 12_000)];
    assert_eq!(record(&database, &ada, Source::ImportByMinute, &file).await, (2, 1));
    assert_eq!(record(&database, &ada, Source::ImportByMinute, &file).await, (0, 3));
    let exact = [
        imported(&database, 310, 2, 40_000),
        imported(&database, 330, 2, 12_000),
        imported(&database, 420, 2, 9),
    ];
    assert_eq!(
        record(&database, &ada, Source::ImportBySecond, &exact).await,
        (1, 2),
        "the exact times of two of them"
    );
    assert_eq!(record(&database, &ada, Source::ImportByMinute, &file).await, (0, 3));
    let stored = all(&database, &ada).await;
    let seconds: Vec<_> =
        stored.iter().map(|play| (play.played_at - noon(&database)).num_seconds()).collect();
    assert_eq!(seconds, [30, 310, 330, 420]);
    assert!(stored[1].track.reference.is_some(), "the longer form names the track");
}

#[tokio::test]
async fn plays_go_with_their_account_and_so_do_roll_ups() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    listened(&database, &ada).await;
    listened(&database, &bob).await;
    let months = async |one: &Inhabited| {
        let all = (NaiveDate::MIN.with_year(2000).unwrap(), NaiveDate::MIN.with_year(3000).unwrap());
        let of = (one.user, Provider::Spotify);
        listening::rollups(&database.vault, &one.context, of, all).await.unwrap()
    };
    let before = months(&ada).await;
    assert!(!before[0].stale && before[0].parts.as_ref().unwrap().plays == b"plays");
    record(&database, &ada, Source::Poll, &[polled(&database, 1, 2)]).await;
    let grown = months(&ada).await;
    assert!(
        grown[0].stale && grown[0].parts.is_some(),
        "what was right before is shown until it is made anew"
    );

    let foreign = Owner { account: ada.account, ..owner(&bob) };
    let refused =
        listening::record(&database.vault, &bob.context, &foreign, Source::Poll, &[polled(&database, 5, 1)])
            .await;
    assert!(matches!(refused, Err(StoreError::Missing("linked account"))), "{refused:?}");
    let unlinked =
        in_tenant(&database, &ada, async |tx| linked_accounts::unlink(tx, ada.account).await).await;
    assert!(unlinked.is_some());
    assert_eq!(all(&database, &ada).await, []);
    let after = months(&ada).await;
    assert!(after.iter().all(|month| month.stale && month.parts.is_none()), "{after:?}");
    for table in ["listening_history", "listening_gaps", "listening_cursors", "listening_imports"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE user_id = '{}'", ada.user);
        assert_eq!(database.tamper(&sql).await, "0", "{table}");
    }
    let stale = in_tenant(&database, &ada, async |tx| listening::stale_months(tx, None, 9).await).await;
    assert!(listening::build_rollup(&database.vault, &ada.context, &stale[0], None).await.unwrap());
    assert_eq!(months(&ada).await.len(), 0, "a month without plays has none");
    assert_eq!((all(&database, &bob).await.len(), months(&bob).await.len()), (1, 1), "another's stay");
    let (of, late) = (owner(&ada), [polled(&database, 5, 1)]);
    let gone = listening::record(&database.vault, &ada.context, &of, Source::Poll, &late).await;
    assert!(matches!(gone, Err(StoreError::Missing("linked account"))), "an import under way ends");
}

#[tokio::test]
async fn a_roll_up_of_plays_that_changed_meanwhile_is_not_kept() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    record(&database, &ada, Source::Poll, &[polled(&database, 0, 1)]).await;
    let stale = in_tenant(&database, &ada, async |tx| listening::stale_months(tx, None, 9).await).await;
    assert_eq!(stale.len(), 1);
    assert!(stale[0].span().0 <= noon(&database) && noon(&database) < stale[0].span().1);
    record(&database, &ada, Source::Poll, &[polled(&database, 1, 2)]).await;
    let parts = RollupParts { heard: Vec::new(), plays: b"old".to_vec(), names: Vec::new() };
    assert!(!listening::build_rollup(vault, context, &stale[0], Some(&parts)).await.unwrap());
    assert!(!listening::build_rollup(vault, context, &stale[0], None).await.unwrap());
    let again =
        in_tenant(&database, &ada, async |tx| listening::stale_months(tx, Some(ada.user), 9).await).await;
    assert!(listening::build_rollup(vault, context, &again[0], Some(&parts)).await.unwrap());
    let none = in_tenant(&database, &ada, async |tx| listening::stale_months(tx, None, 9).await).await;
    assert_eq!(none, []);
}

#[tokio::test]
async fn pages_of_the_newest_join_to_the_whole() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let plays: Vec<NewPlay> = (0..25).map(|n| polled(&database, i64::from(n) * 60_000, n)).collect();
    record(&database, &ada, Source::Poll, &plays).await;
    let span = (noon(&database) + TimeDelta::minutes(2), noon(&database) + TimeDelta::minutes(22));
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let of = (ada.user, &[Provider::Spotify][..]);
        let page = listening::newest(&database.vault, &ada.context, of, span, before, 6).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.played_at, last.id));
        found.extend(page.into_iter().map(|play| play.played_at));
    }
    let expected: Vec<_> = plays[2..22].iter().rev().map(|play| play.played_at).collect();
    assert_eq!(found, expected);
    let counted = in_tenant(&database, &ada, async |tx| listening::per_account(tx, ada.user).await).await;
    assert_eq!((counted[0].plays, counted[0].polled, counted[0].imported), (25, 25, 0));
    assert_eq!((counted[0].first, counted[0].last), (plays[0].played_at, plays[24].played_at));
}

#[tokio::test]
async fn polling_and_imports_go_on_where_they_were() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context, now) = (&database.vault, &ada.context, database.clock.now());
    let due = async |policy: &str, at| {
        let read = async |tx: &mut _| listening::due(tx, Provider::Spotify, policy, at, 9).await;
        in_tenant(&database, &ada, read).await
    };
    assert_eq!(due("2026-11", now).await, [], "nobody is polled who was not asked");
    consents::decide(vault, context, decision(ada.user, true, 0)).await.unwrap();
    let found = due("2026-11", now).await;
    assert_eq!(found.iter().map(|due| due.owner).collect::<Vec<_>>(), [owner(&ada)]);
    assert_eq!(found[0].consented_at, now);
    assert_eq!(due("2026-12", now).await, [], "nor under a policy that nobody was shown");
    consents::decide(vault, context, decision(ada.user, false, 1)).await.unwrap();
    assert_eq!(due("2026-11", now).await, [], "nor who has taken it back");
    consents::decide(vault, context, decision(ada.user, true, 2)).await.unwrap();
    consents::decide(vault, context, decision(ada.user, true, 3)).await.unwrap();
    let due = async |at| due("2026-11", at).await;
    assert_eq!(due(now).await, found, "a consent that is given again began with the first");
    let end = PollEnd {
        polled_to: Some(noon(&database)),
        next_poll_at: now + TimeDelta::minutes(30),
        outcome: "new_plays",
        failed: false,
    };
    let note = async |end: &PollEnd| {
        in_tenant(&database, &ada, async |tx| listening::end_poll(tx, &owner(&ada), end, now).await).await;
        in_tenant(&database, &ada, async |tx| listening::cursor(tx, ada.account).await).await.unwrap()
    };
    assert_eq!(note(&end).await.polled_to, Some(noon(&database)));
    assert_eq!(due(now).await, []);
    assert_eq!(due(end.next_poll_at).await, found);
    let failed = PollEnd { polled_to: None, outcome: "provider_unavailable", failed: true, ..end };
    note(&failed).await;
    let cursor = note(&failed).await;
    assert_eq!((cursor.failures, cursor.polled_to), (2, Some(noon(&database))), "a cursor never goes back");

    let gap = (noon(&database), noon(&database) + TimeDelta::hours(1));
    in_tenant(&database, &ada, async |tx| {
        listening::record_gap(tx, &owner(&ada), gap, GapReason::Missed, now).await?;
        listening::record_gap(tx, &owner(&ada), gap, GapReason::Missed, now).await
    })
    .await;
    let begun = listening::begin_import(vault, context, &owner(&ada), &[7; 32]).await.unwrap();
    let mut import = begun.import;
    import.entries_done = 500;
    import.counts = Counts { added: 400, known: 90, other: 7, malformed: 3 };
    import.plays = Some((gap.0 - TimeDelta::seconds(1), gap.1));
    in_tenant(&database, &ada, async |tx| listening::note_import(tx, &import, now).await).await;
    let again = listening::begin_import(vault, context, &owner(&ada), &[7; 32]).await.unwrap();
    assert!(again.resumed && !again.import.done);
    assert_eq!((again.import.entries_done, again.import.counts), (500, import.counts));
    in_tenant(&database, &ada, async |tx| listening::finish_import(tx, &import, now).await).await;
    let done = listening::begin_import(vault, context, &owner(&ada), &[7; 32]).await.unwrap();
    assert!(done.import.done);
    let gaps = in_tenant(&database, &ada, async |tx| listening::gaps(tx, ada.user).await).await;
    assert_eq!((gaps.len(), gaps[0].filled_at.is_some()), (1, true), "the download covers it");
    let late =
        vault.store().with_tenant(context, async |tx| listening::note_import(tx, &import, now).await).await;
    assert!(matches!(late, Err(StoreError::Missing("import under way"))));
}

#[tokio::test]
async fn the_database_drops_no_young_years_and_makes_none_without_end() {
    let database = Database::start().await;
    let store = database.vault.store();
    let this_year = database.clock.now().year();
    listening::ensure_partitions(store, (listening::FIRST_YEAR, listening::FIRST_YEAR + 1)).await.unwrap();
    listening::ensure_partitions(store, (this_year - 10, this_year + 1)).await.unwrap();
    for refused in [(2005, 2006), (2010, 2009), (this_year, this_year + 2)] {
        assert!(listening::ensure_partitions(store, refused).await.is_err(), "{refused:?}");
    }
    assert!(listening::drop_years(store, 2100, 99).await.is_err(), "not the gateway's business");
    assert_eq!(database.tamper("SELECT retention_drop_listening_years(2100, 99)").await, "2");
    let years = listening::partition_years(store).await.unwrap();
    assert_eq!(years, (this_year - 10..=this_year + 1).collect::<Vec<_>>());
}
