//! Records that arrive after their person is gone, and codes that do not outlive their month.

use std::time::Duration;

use stagedoor_audit::{AuditClient, AuditOptions, PayloadView, verify_chain};
use stagedoor_domain::ToolName;

use crate::support::Database;
use crate::trail::{OK, Trail, another_call, opening, prompt, today, views};

#[tokio::test]
async fn a_record_that_comes_after_its_person_was_erased_is_chained_without_a_word() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let eve =
        stagedoor_storage::provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    let trail = Trail::start(&database, AuditOptions { flush_interval: Duration::from_mins(10), ..prompt() });
    let late = trail.open(&another_call(&database, &ada.as_user(eve)), ToolName::Search).await;
    trail.read(&another_call(&database, &ada.as_user(ada.user))).await;
    database.tamper(&format!("DELETE FROM users WHERE user_id = '{eve}'")).await;
    // Longer than keys stay open.
    database.clock.advance(Duration::from_mins(2));
    database.vault.forget_expired();
    late.close(OK).await;
    trail.log.flush().await.unwrap();

    let views = views(&database, &ada.context).await;
    assert_eq!(views.len(), 2);
    assert_eq!(views.iter().filter(|view| view.payload == PayloadView::Erased).count(), 1);
    let report = verify_chain(&database.vault, &ada.context, today(&database)).await.unwrap();
    assert_eq!((report.erased, report.faults), (1, Vec::new()));
    assert_eq!(trail.log.counts().parked, 0);
    let named = format!("SELECT count(*) FROM audit_payloads WHERE user_id = '{eve}'");
    assert_eq!(database.tamper(&named).await, "0");
}

#[tokio::test]
async fn a_payload_under_a_key_that_never_was_is_no_erased_one() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    trail.read(&ada.as_user(ada.user)).await;
    trail.log.flush().await.unwrap();
    // The id of the key stands in the envelope's first bytes.
    for byte in 0..20 {
        let flip = format!(
            "UPDATE audit_payloads SET sealed = set_byte(sealed, {byte}, get_byte(sealed, {byte}) # 1)"
        );
        database.tamper(&flip).await;
        let report = verify_chain(&database.vault, &ada.context, today(&database)).await.unwrap();
        assert_eq!((report.erased, report.faults.len()), (0, 1), "byte {byte}");
        database.tamper(&flip).await;
    }
}

#[tokio::test]
async fn codes_of_clients_are_the_same_within_a_month_and_no_longer() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    let codes = async || {
        trail.read(&another_call(&database, &ada.context)).await;
        trail.log.flush().await.unwrap();
        let details = views(&database, &ada.context).await.pop().unwrap().json().unwrap()["details"].take();
        ["ip_address", "user_agent", "software"].map(|code| details[code].as_str().unwrap().to_owned())
    };
    let first = codes().await;
    assert_eq!(codes().await, first);
    assert!(first[0] != first[1] && first[1] != first[2]);
    database.clock.advance(Duration::from_hours(31 * 24));
    let later = codes().await;
    for (before, after) in first.iter().zip(&later) {
        assert_ne!(before, after);
    }
    let client = AuditClient { user_agent: Some("é".repeat(100_000).into()), ..AuditClient::default() };
    let long = stagedoor_audit::AuditOpening { client, ..opening(ToolName::Search) };
    let entry = trail.log.open(&another_call(&database, &ada.context), long).await.unwrap();
    entry.close(OK).await;
    trail.log.flush().await.unwrap();
    assert!(views(&database, &ada.context).await.pop().unwrap().json().is_some());
}
