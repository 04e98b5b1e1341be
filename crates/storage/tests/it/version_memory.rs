//! How much of a playlist's past is kept, and what it costs: bounded, and cheap for what it remembers.

use stagedoor_domain::{CallId, ToolName};
use stagedoor_storage::playlist_versions::{Cause, KEPT, list, load};

use crate::support::Database;
use crate::versions::{names, playlist, store, written};

#[tokio::test]
async fn a_long_transfer_is_one_version_and_forgets_nothing_else() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.as_user(ada.user));
    let [add, first, second] = [0; 3].map(|_| CallId::generate(vault.clock(), vault.entropy()));
    let to = (context, &ada);
    written(vault, to, (Cause::Before, add), &names(0..2)).await;
    written(vault, to, (Cause::After(ToolName::PlaylistAdd), add), &names(0..3)).await;
    for last in 4..(KEPT + 20) {
        written(vault, to, (Cause::Transfer, first), &names(0..last)).await;
    }
    let newest = written(vault, to, (Cause::Transfer, second), &names(0..KEPT + 20)).await;
    let stored = list(vault, context, ada.account, &playlist(1), None, KEPT).await.unwrap();
    let numbers: Vec<u32> = stored.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [newest, newest - 1, 2, 1]);
    for (number, entries) in [(2, 3), (newest - 1, KEPT + 19), (newest, KEPT + 20)] {
        let version = load(vault, context, ada.account, &playlist(1), number).await.unwrap().unwrap();
        assert_eq!(version.entries, names(0..entries), "the pieces that others share stay");
    }
}

/// What SECURITY promises of memory: bounded, and cheap for what it remembers.
#[tokio::test]
async fn edits_cost_little_and_old_versions_go_with_what_only_they_held() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let base62: Vec<char> = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut track = || -> Box<str> {
        let id: String = (0..22).map(|_| base62[random(62)]).collect();
        format!("spotify:track:{id}").into()
    };
    let mut entries: Vec<Box<str>> = (0..1_000).map(|_| track()).collect();
    let plain: usize = entries.iter().map(|name| name.len()).sum();
    let stored = async || -> usize {
        let sql = "SELECT (SELECT COALESCE(sum(octet_length(entries)), 0) FROM playlist_chunks)
            + (SELECT COALESCE(sum(octet_length(head) + 16 * cardinality(chunks)), 0) FROM playlist_versions)";
        database.tamper(sql).await.parse().unwrap()
    };
    let mut first = 0;
    for number in 1..=100_usize {
        store(vault, context, (&ada, 1), &entries).await.unwrap();
        if number == 1 {
            first = stored().await;
        }
        let at = number * 7_919 % entries.len();
        match number % 3 {
            0 => entries.insert(at, track()),
            1 => drop(entries.remove(at)),
            _ => {
                let moved = entries.remove(at);
                entries.insert(number * 104_729 % entries.len(), moved);
            }
        }
    }
    let hundred = stored().await;
    println!(
        "1 version of 1,000 tracks: {first} bytes of {plain}; 100 versions with an edit each: {hundred} bytes, \
        {} for each edit, {} % of storing each whole",
        (hundred - first) / 99,
        hundred / first
    );
    assert!(first < plain, "compressed more than sealing adds: {first}");
    assert!((hundred - first) / 99 < 4_000, "an edit costs about two pieces, not the playlist");

    let numbers =
        async || database.tamper("SELECT min(number), max(number), count(*) FROM playlist_versions").await;
    for number in 101..=KEPT {
        entries.rotate_left(1);
        entries.truncate(40);
        assert_eq!(store(vault, context, (&ada, 1), &entries).await.unwrap().number, number);
    }
    assert_eq!(numbers().await, format!("1|{KEPT}|{KEPT}"));
    for _ in 0..5 {
        entries.rotate_left(1);
        store(vault, context, (&ada, 1), &entries).await.unwrap();
    }
    assert_eq!(numbers().await, format!("6|{}|{KEPT}", KEPT + 5));
    let first = playlist(1);
    assert_eq!(load(vault, context, ada.account, &first, 5).await.unwrap(), None);
    for number in [6, 100, KEPT + 5] {
        let loaded = load(vault, context, ada.account, &first, number).await.unwrap().unwrap();
        assert_eq!(loaded.entries.len(), usize::try_from(loaded.summary.entries).unwrap());
    }
    let unheld = "SELECT count(*) FROM playlist_chunks c WHERE NOT EXISTS
        (SELECT FROM playlist_versions v WHERE c.chunk_id = ANY(v.chunks))";
    assert_eq!(database.tamper(unheld).await, "0", "pieces that no version has");
}
