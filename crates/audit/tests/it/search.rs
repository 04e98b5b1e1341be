//! Looking for records.

use std::time::Duration;

use chrono::TimeDelta;
use stagedoor_audit::{
    AuditCursor, AuditFilter, AuditOrder, AuditOutcome, AuditPage, LARGEST_PAGE, PayloadView, query,
};
use stagedoor_domain::{Clock as _, ErrorCode, ToolName};

use crate::support::{Database, Inhabited};
use crate::trail::{OK, Trail, another_call, prompt, today};

struct Place {
    database: Database,
    ada: Inhabited,
    eve: stagedoor_domain::UserId,
}

/// Three days: on each, in turn, ten reads of Ada and one of Eve, a write of Ada that fails.
async fn furnished() -> Place {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let eve =
        stagedoor_storage::provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    let trail = Trail::start(&database, prompt());
    let failed = AuditOutcome { error: Some(ErrorCode::ProviderForbidden), ..OK };
    for day in 0..3 {
        if day > 0 {
            database.clock.advance(Duration::from_hours(24));
        }
        for _ in 0..10 {
            trail.read(&another_call(&database, &ada.as_user(ada.user))).await;
            database.clock.advance(Duration::from_secs(1));
        }
        trail.read(&another_call(&database, &ada.as_user(eve))).await;
        trail.log.flush().await.unwrap();
        let write = another_call(&database, &ada.as_user(ada.user));
        trail.open(&write, ToolName::PlaylistAdd).await.close(failed).await;
    }
    Place { database, ada, eve }
}

async fn ask(
    place: &Place,
    filter: &AuditFilter,
    order: AuditOrder,
    after: Option<AuditCursor>,
    limit: u32,
) -> AuditPage {
    query(&place.database.vault, &place.ada.context, filter, order, after, limit).await.unwrap()
}

/// Every record, page by page, as `day.seq`.
async fn all(place: &Place, filter: &AuditFilter, order: AuditOrder, limit: u32) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = ask(place, filter, order, after, limit).await;
        assert!(page.records.len() <= limit as usize && !page.stopped_early);
        found.extend(page.records.iter().map(|one| format!("{}.{}", one.day, one.view.record.seq)));
        let Some(next) = page.next else { return found };
        after = Some(next.to_string().parse().unwrap());
    }
}

#[tokio::test]
async fn records_are_found_by_person_agent_tool_outcome_time_and_call() {
    let place = furnished().await;
    let (newest, everything) = (AuditOrder::NewestFirst, AuditFilter::default());
    let count =
        async |filter: AuditFilter| ask(&place, &filter, newest, None, LARGEST_PAGE).await.records.len();
    assert_eq!(count(everything.clone()).await, 39);
    assert_eq!(count(AuditFilter { user: Some(place.eve), ..everything.clone() }).await, 3);
    let key = format!("key:{}", place.ada.key.id());
    assert_eq!(count(AuditFilter { principal: Some(key.into()), ..everything.clone() }).await, 39);
    assert_eq!(count(AuditFilter { principal: Some("key:other".into()), ..everything.clone() }).await, 0);
    let write = AuditFilter { action: Some("playlist_add".into()), ..everything.clone() };
    assert_eq!(count(write.clone()).await, 6);
    let failed = AuditFilter { outcome: Some("provider_forbidden".into()), ..write };
    assert_eq!(count(failed.clone()).await, 3);
    assert_eq!(count(AuditFilter { user: Some(place.eve), ..failed.clone() }).await, 0);

    let now = place.database.clock.now();
    let since = |seconds| Some(now - TimeDelta::seconds(seconds));
    assert_eq!(count(AuditFilter { from: since(3), ..everything.clone() }).await, 6);
    assert_eq!(count(AuditFilter { from: since(3), to: since(1), ..everything.clone() }).await, 2);
    assert_eq!(count(AuditFilter { to: since(86_415), ..everything.clone() }).await, 18);

    let page = ask(&place, &failed, newest, None, 1).await;
    let call = page.records[0].view.record.call_id;
    let page = ask(&place, &AuditFilter { call: Some(call.into()), ..everything }, newest, None, 10).await;
    assert_eq!(page.records.iter().map(|one| one.view.record.kind).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((page.examined, page.next), (2, None));
}

#[tokio::test]
async fn pages_join_to_the_whole_in_either_order() {
    let place = furnished().await;
    let everything = AuditFilter::default();
    let forward = all(&place, &everything, AuditOrder::OldestFirst, LARGEST_PAGE).await;
    assert_eq!(forward.len(), 39);
    assert!(forward.is_sorted_by_key(|at| at.parse::<AuditCursor>().map(|at| (at.day, at.seq)).unwrap()));
    for limit in [1, 4, 13, 38, 39] {
        assert_eq!(all(&place, &everything, AuditOrder::OldestFirst, limit).await, forward, "{limit}");
        let mut backward = all(&place, &everything, AuditOrder::NewestFirst, limit).await;
        backward.reverse();
        assert_eq!(backward, forward, "{limit}");
    }
    let eve = AuditFilter { user: Some(place.eve), ..everything };
    for limit in [1, 2, 3] {
        assert_eq!(all(&place, &eve, AuditOrder::NewestFirst, limit).await.len(), 3);
    }
    for wrong in ["", "2026-11-22", "2026-11-22.", "x.1", "2026-11-22.-1", "2026-11-22.9223372036854775807"] {
        assert!(wrong.parse::<AuditCursor>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn what_was_erased_is_shown_as_erased_and_another_tenant_finds_nothing() {
    let place = furnished().await;
    let bob = place.database.inhabit("bob").await;
    let everything = AuditFilter::default();
    let theirs = query(&place.database.vault, &bob.context, &everything, AuditOrder::NewestFirst, None, 10)
        .await
        .unwrap();
    assert_eq!((theirs.records.len(), theirs.examined), (0, 0));

    let eve = place.eve;
    let erase = format!(
        "UPDATE audit_payloads SET user_id = NULL, sealed = '' WHERE user_id = '{eve}'; DELETE FROM users WHERE user_id = '{eve}'"
    );
    place.database.tamper(&erase).await;
    let page = ask(&place, &everything, AuditOrder::NewestFirst, None, LARGEST_PAGE).await;
    let erased = page.records.iter().filter(|one| one.view.payload == PayloadView::Erased).count();
    assert_eq!((page.records.len(), erased, page.erased), (39, 3, 0));
    let searches = AuditFilter { action: Some("search".into()), ..everything.clone() };
    let page = ask(&place, &searches, AuditOrder::NewestFirst, None, LARGEST_PAGE).await;
    assert_eq!((page.records.len(), page.erased), (30, 3));
    let page =
        ask(&place, &AuditFilter { user: Some(eve), ..everything }, AuditOrder::NewestFirst, None, 10).await;
    assert_eq!((page.records.len(), page.next), (0, None));
    assert_eq!(today(&place.database), place.database.clock.now().date_naive());
}
