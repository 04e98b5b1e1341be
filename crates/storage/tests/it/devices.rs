//! Devices of an account: who is known, who is new, how many at a time.

use std::time::Duration;

use chrono::TimeDelta;
use stagedoor_domain::{Clock as _, LinkedAccountId};
use stagedoor_storage::StoreError;
use stagedoor_storage::session_devices::{SightOf, Sighting, sight};

use crate::attempts::in_tenant;
use crate::support::Database;

#[tokio::test]
async fn the_first_device_is_noted_and_new_ones_as_the_caller_says() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let see = async |device: u8, record_new: bool| {
        let fingerprint = [device; 32];
        let sight_of = sight_of(&database, &fingerprint, record_new, None);
        in_tenant(&database, &ada, async |tx| sight(tx, ada.account, &sight_of).await).await
    };
    let first = Sighting { known: false, any: false, concurrent: 1, noted: true };
    assert_eq!(see(1, false).await, first);
    assert_eq!(see(1, false).await, Sighting { known: true, any: true, ..first });
    let stranger = Sighting { known: false, any: true, concurrent: 2, noted: false };
    assert_eq!(see(2, false).await, stranger);
    assert_eq!(see(2, false).await, stranger, "it was not noted");
    assert_eq!(see(2, true).await, Sighting { noted: true, ..stranger });
    assert_eq!(see(2, false).await, Sighting { known: true, noted: true, ..stranger });

    let kept = database.tamper("SELECT string_agg(principal, ',') FROM session_devices").await;
    assert_eq!(kept, "key:x,key:x");

    let nobody = sight_of(&database, &[1; 32], true, None);
    let missing = database
        .vault
        .store()
        .with_tenant(&ada.context, async |tx| sight(tx, LinkedAccountId(ada.user.0), &nobody).await)
        .await;
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn devices_count_within_the_window_and_a_refused_one_keeps_nobody_out() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let see = async |device: u8| {
        let fingerprint = [device; 32];
        let sight_of = sight_of(&database, &fingerprint, true, Some(3));
        in_tenant(&database, &ada, async |tx| sight(tx, ada.account, &sight_of).await).await
    };
    // All at once: exactly as many as are allowed get in.
    let mut devices = tokio::task::JoinSet::new();
    for device in 0..12_u8 {
        let (vault, context, account) = (database.vault.clone(), ada.context.clone(), ada.account);
        let at = database.clock.now();
        devices.spawn(async move {
            let fingerprint = [device; 32];
            let window = TimeDelta::minutes(15);
            let sight_of = SightOf {
                fingerprint: &fingerprint,
                principal: "key:x",
                at,
                window,
                record_new: true,
                at_most: Some(3),
            };
            let seen = vault.store().with_tenant(&context, async |tx| sight(tx, account, &sight_of).await);
            (device, seen.await.unwrap())
        });
    }
    let seen = devices.join_all().await;
    let (inside, outside): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(_, sighting)| sighting.noted);
    assert_eq!(inside.len(), 3);
    assert!(outside.iter().all(|(_, sighting)| sighting.concurrent == 4), "{outside:?}");
    for (device, _) in &inside {
        assert_eq!(see(*device).await.concurrent, 3, "not kept out by the nine that were refused");
    }

    database.clock.advance(Duration::from_mins(10));
    assert!(see(inside[0].0).await.noted);
    database.clock.advance(Duration::from_mins(6));
    let later = see(outside[0].0).await;
    assert_eq!((later.concurrent, later.noted), (2, true), "two of the three went out of the window");
}

#[tokio::test]
async fn devices_that_do_not_come_back_are_forgotten() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let see = async |device: u8| {
        let fingerprint = [device; 32];
        let sight_of = sight_of(&database, &fingerprint, true, None);
        in_tenant(&database, &ada, async |tx| sight(tx, ada.account, &sight_of).await).await
    };
    see(1).await;
    database.clock.advance(Duration::from_hours(24 * 91));
    see(2).await;
    assert_eq!(database.tamper("SELECT count(*) FROM session_devices").await, "1");
    database
        .tamper(&format!(
            "INSERT INTO session_devices SELECT tenant_id, account_id, sha256(n::text::bytea), 'key:x',
                last_seen - n * interval '1 second', last_seen - n * interval '1 second'
            FROM session_devices, generate_series(1, 2000) n WHERE account_id = '{}'",
            ada.account
        ))
        .await;
    see(3).await;
    assert_eq!(database.tamper("SELECT count(*) FROM session_devices").await, "1000");
    assert!(see(2).await.known, "those not seen for longest go first");
}

fn sight_of<'a>(
    database: &Database,
    fingerprint: &'a [u8; 32],
    record_new: bool,
    at_most: Option<u32>,
) -> SightOf<'a> {
    SightOf {
        fingerprint,
        principal: "key:x",
        at: database.clock.now(),
        window: TimeDelta::minutes(15),
        record_new,
        at_most,
    }
}
