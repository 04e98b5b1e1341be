//! What a call leaves behind, whichever way it ends.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_audit::{AuditAction, AuditClient, AuditOptions, AuditOutcome, AuditResource, Refusal};
use stagedoor_domain::{CallId, ErrorCode, SessionId, ToolName};

use crate::support::Database;
use crate::trail::{OK, Trail, another_call, opening, prompt, story, views};

#[tokio::test]
async fn reads_writes_refusals_and_cancelled_calls_each_leave_their_records() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let trail = Trail::start(&database, AuditOptions { flush_interval: Duration::from_mins(1), ..prompt() });
    let context = ada.as_user(ada.user);

    trail.read(&context).await;
    trail.log.flush().await.unwrap();
    let write = trail.open(&context, ToolName::PlaylistCreate).await;
    assert_eq!(
        story(&database, &context).await.last().unwrap(),
        "opened playlist_create pending",
        "before the work"
    );
    write.close(AuditOutcome { error: Some(ErrorCode::ProviderForbidden), ..OK }).await;
    assert_eq!(story(&database, &context).await.len(), 3, "closed without a flush");
    drop(trail.open(&context, ToolName::TrackGet).await);
    drop(trail.open(&context, ToolName::PlaylistAdd).await);
    let refusal = Refusal {
        call: CallId::generate(&*database.clock, database.vault.entropy()),
        action: AuditAction::Authenticate,
        resource: None,
        claimed: Some("key:abcdefghijkl".into()),
        error: ErrorCode::Unauthenticated,
        response_code: 401,
        client: AuditClient::default(),
    };
    trail.log.refuse(Arc::new(context.tenant().clone()), refusal).await.unwrap();
    trail.log.flush().await.unwrap();

    assert_eq!(
        story(&database, &context).await,
        [
            "call search ok",
            "opened playlist_create pending",
            "closed playlist_create provider_forbidden",
            "opened playlist_add pending",
            "call track_get cancelled",
            "closed playlist_add cancelled",
            "refusal authenticate unauthenticated",
        ]
    );
    assert_eq!(story(&database, &bob.context).await, [""; 0]);
    let counts = trail.log.counts();
    assert_eq!((counts.queued, counts.written, counts.dropped), (4, 7, 0));
}

#[tokio::test]
async fn a_record_says_what_the_schema_promises_and_nothing_in_the_clear() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    let context = ada.as_user(ada.user);
    let mut entry = trail.open(&context, ToolName::TrackGet).await;
    entry.set_resource(AuditResource::item(&"spotify:track:77".parse().unwrap()));
    entry.set_session(SessionId(ada.account.0));
    entry.close(OK).await;
    trail.log.flush().await.unwrap();

    let view = views(&database, &context).await.remove(0);
    let json = view.json().unwrap();
    let codes = ["ip_address", "user_agent", "software"].map(|code| &json["details"][code]);
    assert!(codes.iter().all(|code| code.as_str().unwrap().len() == 32), "{codes:?}");
    assert_eq!(
        json,
        serde_json::json!({
            "version": 2,
            "event_id": context.call(),
            "record": "call",
            "timestamp": format!("{}T10:00:00.123456Z", crate::trail::today(&database)),
            "user_id": ada.user,
            "session_id": ada.account,
            "principal": format!("key:{}", ada.key.id()),
            "event_type": "api_call",
            "action": "track_get",
            "resource": { "type": "track", "id": "spotify:track:77" },
            "details": {
                "ip_address": codes[0],
                "user_agent": codes[1],
                "software": codes[2],
                "outcome": "ok",
                "response_code": 200,
                "processing_time_ms": 1.5,
                "cached": true,
            },
            "gdpr_category": "necessary",
        })
    );
    let stored = database.tamper("SELECT encode(sealed, 'escape') FROM audit_payloads").await;
    assert!(!stored.contains("track_get") && !stored.contains("203.0.113.7"));
}

#[tokio::test]
async fn people_are_sealed_apart_and_erasing_one_leaves_the_chain_whole() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let eve =
        stagedoor_storage::provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    let trail = Trail::start(&database, AuditOptions { flush_interval: Duration::from_mins(1), ..prompt() });
    for _ in 0..5 {
        trail.read(&another_call(&database, &ada.as_user(ada.user))).await;
        trail.read(&another_call(&database, &ada.as_user(eve))).await;
    }
    trail.log.flush().await.unwrap();
    assert_eq!(database.tamper("SELECT count(*), sum(records) FROM audit_payloads").await, "2|10");

    let erase = format!(
        "UPDATE audit_payloads SET user_id = NULL, sealed = '' WHERE user_id = '{eve}'; DELETE FROM users WHERE user_id = '{eve}'"
    );
    database.tamper(&erase).await;
    let day = crate::trail::today(&database);
    let report = stagedoor_audit::verify_chain(&database.vault, &ada.context, day).await.unwrap();
    assert_eq!((report.records, report.erased, report.faults), (10, 5, Vec::new()));
}

#[tokio::test]
async fn a_full_queue_refuses_before_the_work_and_loses_nothing() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let options = AuditOptions { queue_capacity: 2, enqueue_timeout: Duration::from_millis(50), ..prompt() };
    let trail = Trail::start(&database, options);
    let held =
        [trail.open(&ada.context, ToolName::Search).await, trail.open(&ada.context, ToolName::Search).await];
    let refused = trail.log.open(&ada.context, opening(ToolName::Search)).await.unwrap_err();
    assert_eq!(refused.public().code, ErrorCode::AuditUnavailable);
    for entry in held {
        entry.close(OK).await;
    }
    trail.log.flush().await.unwrap();
    trail.read(&ada.context).await;
    trail.log.flush().await.unwrap();
    assert_eq!(story(&database, &ada.context).await, ["call search ok"; 3]);
}

#[tokio::test]
async fn a_stopped_writer_has_written_everything_and_takes_no_more() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let mut trail =
        Trail::start(&database, AuditOptions { flush_interval: Duration::from_mins(1), ..prompt() });
    trail.read(&ada.context).await;
    let open_at_shutdown = trail.open(&ada.context, ToolName::TrackGet).await;
    trail.shutdown.cancel();
    open_at_shutdown.close(OK).await;
    trail.writer.join_next().await.unwrap().unwrap();
    assert_eq!(story(&database, &ada.context).await, ["call search ok", "call track_get ok"]);
    let refused = trail.log.open(&ada.context, opening(ToolName::Search)).await.unwrap_err();
    assert_eq!(refused.public().code, ErrorCode::AuditUnavailable);
    assert_eq!(trail.log.counts().dropped, 0);
}
