//! How answers look, and how lists are paged.

use stagedoor_ctl::Exit;

use crate::server::Fixture;

#[tokio::test]
async fn a_list_is_a_table_and_says_that_there_is_more() {
    let fixture = Fixture::start().await;
    fixture.has_tenants(&["acme", "birch", "cedar"]);
    let ended = fixture.ctl("tenants list").await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let lines: Vec<&str> = ended.output.lines().collect();
    assert!(
        lines[0].starts_with("TENANT") && lines[0].contains("PLAN") && lines[0].contains("CREATE TIME"),
        "{ended:?}"
    );
    assert!(
        lines[1].starts_with("acme") && lines[1].contains("The acme") && lines[1].contains("active"),
        "{ended:?}"
    );
    assert_eq!(lines.len(), 3);
    assert!(ended.messages.contains("--page-token birch"), "{ended:?}");
}

#[tokio::test]
async fn all_shows_every_page_and_limit_no_more_than_that() {
    let fixture = Fixture::start().await;
    fixture.has_tenants(&["acme", "birch", "cedar", "dogwood", "elm"]);
    let all = fixture.ctl("tenants list --all -o json").await;
    let all: serde_json::Value = serde_json::from_str(&all.output).unwrap();
    assert_eq!(all["tenants"].as_array().unwrap().len(), 5);
    assert_eq!(all.get("nextPageToken"), None);
    let limited = fixture.ctl("tenants list --limit 3 --page-size 2").await;
    assert_eq!(limited.output.lines().count(), 4, "{limited:?}");
    fixture.seen().lists.clear();
    let limited = fixture.ctl("tenants list --limit 3").await;
    assert_eq!(limited.output.lines().count(), 4, "{limited:?}");
    assert_eq!(fixture.seen().lists[0].page_size, 3, "no more is asked for than is shown");
    assert!(limited.messages.contains("--page-token cedar"), "{limited:?}");
}

#[tokio::test]
async fn programs_get_the_standard_json() {
    let fixture = Fixture::start().await;
    fixture.has_tenants(&["acme"]);
    let ended = fixture.ctl("tenants get --tenant acme --output json").await;
    let json: serde_json::Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!(json["state"], "TENANT_STATE_ACTIVE");
    assert_eq!(ended.messages, "");
    let yaml = fixture.ctl("tenants get --tenant acme --output yaml").await;
    assert!(yaml.output.contains("state: TENANT_STATE_ACTIVE"), "{yaml:?}");
}

#[tokio::test]
async fn one_thing_is_a_line_for_each_field() {
    let fixture = Fixture::start().await;
    fixture.has_tenants(&["acme"]);
    let ended = fixture.ctl("tenants get --tenant acme").await;
    assert!(ended.output.lines().any(|line| line == "plan    standard"), "{ended:?}");
    let settings = fixture.ctl("settings get --tenant acme").await;
    assert!(settings.output.contains("cache_ttl_seconds.track  90"), "{settings:?}");
}

#[tokio::test]
async fn an_empty_list_is_no_table() {
    let fixture = Fixture::start().await;
    let ended = fixture.ctl("tenants list").await;
    assert_eq!((ended.exit, ended.output.as_str(), ended.messages.as_str()), (Exit::Done, "", "Nothing.\n"));
}
