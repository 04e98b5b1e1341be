//! The copy: who gets it, how often, what is in it and what is not.

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_storage::personal_data;
use stagedoor_testkit::{Browser, Stage, TestGateway};

use super::{answer, ask, keys, lines, live, state, tokens, trail};

#[tokio::test]
async fn a_person_downloads_everything_once_and_the_file_proves_itself() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    live(&client, &stage, &ada, "Morning").await;
    let page = ask(&client, "export_my_data").await;

    // Looking changes nothing, however often.
    let browser = Browser::new();
    let mut shown = browser.open(&page).await;
    for _ in 0..2 {
        shown = browser.open(&page).await;
        assert_eq!(
            (shown.verdict().as_str(), shown.heading().as_str()),
            ("200 ok", "Take a copy of your data")
        );
        assert!(shown.text().contains("Your linked accounts</dt><dd>2"), "{}", shown.text());
        assert_eq!(shown.answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(state(&stage, "export").await, "requested");

    let file = browser.submit(&shown, &[("decision", "download")]).await;
    assert_eq!(file.status(), 200, "{}", file.text());
    assert_eq!(file.answer.header("cache-control"), Some("no-store"));
    let disposition = file.answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"stagedoor-personal-data-"), "{disposition}");

    let public = keys(&stage, &ada.tenant).await;
    let told = lines(&file.answer.body, &public);
    assert_eq!(told[0]["format"], "stagedoor/personal-data/1");
    assert_eq!(told[0]["person"], json!(ada.user.to_string()));
    let rows = |table: &str| -> Vec<&Value> {
        told.iter().filter(|line| line["table"] == table).map(|line| &line["row"]).collect()
    };
    assert_eq!(rows("users").len(), 1);
    assert_eq!(rows("linked_accounts").len(), 2);
    assert_eq!(rows("provider_sessions").len(), 2);
    assert_eq!(rows("idempotency_keys").len(), 2);
    assert!(rows("playlist_versions").len() >= 2 && !rows("audit_payloads").is_empty());
    // What is sealed in the database is open in the copy.
    let text = file.text();
    for known in [
        "Morning spotify",
        "Morning tidal",
        "\"cache_duration\":77",
        "playlist_create",
        &ada.account(Provider::Tidal).account,
    ] {
        assert!(text.contains(known), "{known} is missing");
    }
    // The counts at the end are those of the lines, of every table about people.
    let counts = told.last().unwrap()["counts"].as_object().unwrap();
    assert_eq!(counts.len(), personal_data::people().count());
    for (table, count) in counts {
        assert_eq!(count.as_u64().unwrap(), rows(table).len() as u64, "{table}");
    }
    // No way into the accounts is.
    for token in tokens(&stage, &ada).await {
        assert!(!text.contains(&token), "a token is in the copy");
    }

    // Once, also for the browser that still shows the form.
    let again = browser.submit(&shown, &[("decision", "download")]).await;
    assert_eq!(again.verdict(), "409 link_used");
    assert_eq!(browser.open(&page).await.verdict(), "409 link_used");
    let listed = client.call("privacy_requests", json!({})).await;
    assert_eq!(listed["requests"][0]["state"], "done", "{listed}");

    // Reads and answers are on record, without the address.
    gateway.flush_audit().await;
    let trail = trail(&ada.tenant).await;
    for action in ["export_my_data", "privacy_download", "privacy_requests"] {
        assert!(trail.contains(action), "{action}: {trail}");
    }
    let token = page.path().rsplit('/').next().unwrap();
    assert!(!trail.contains(token));
    assert!(ada.tenant.verify_chain().await.faults.is_empty());
}

#[tokio::test]
async fn a_download_that_breaks_off_is_no_whole_file_and_another_copy_can_be_asked_for() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    let page = ask(&client, "export_my_data").await;
    let first = answer(&Browser::new(), &page, "download").await.answer.body;
    let public = keys(&stage, &ada.tenant).await;
    let whole = lines(&first, &public).len();
    assert!(whole > 5);
    let cut = &first[..first.len() / 2];
    assert!(stagedoor_crypto::signed_lines::SignedLinesReader::new(cut).verify(&public).is_err());

    let page = ask(&client, "export_my_data").await;
    let second = answer(&Browser::new(), &page, "download").await;
    assert!(lines(&second.answer.body, &public).len() >= whole);
    let others = client.call("privacy_requests", json!({})).await;
    assert_eq!(others["requests"].as_array().unwrap().len(), 2, "{others}");
}
