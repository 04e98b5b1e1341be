//! What is sent for what is written.

use stagedoor_ctl::Exit;

use crate::server::{Fixture, KEY};

#[tokio::test]
async fn a_create_has_an_id_and_keeps_it_when_it_is_tried_again() {
    let fixture = Fixture::start().await;
    fixture.seen().away = 2;
    let ended = fixture.ctl("tenants create --tenant acme --plan gold").await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let seen = fixture.seen();
    assert_eq!((seen.creates[0].tenant.as_str(), seen.creates[0].plan.as_str()), ("acme", "gold"));
    assert!(uuid::Uuid::parse_str(&seen.creates[0].request_id).is_ok());
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_not_tried_again() {
    let fixture = Fixture::start().await;
    fixture.seen().away = 1;
    let ended = fixture.ctl("tenants update --tenant acme --plan gold").await;
    assert_eq!(ended.exit, Exit::Unavailable, "{ended:?}");
    assert!(fixture.seen().updates.is_empty());
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_so() {
    let fixture = Fixture::start().await;
    let ended = fixture.ctl("tenants create --tenant acme --dry-run").await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    assert!(ended.messages.contains("Nothing was changed"));
    assert!(fixture.seen().creates[0].validate_only);
    assert!(fixture.seen().tenants.is_empty());
    let refused = fixture.ctl("tenants list --dry-run").await;
    assert_eq!(refused.exit, Exit::Usage);
    assert!(refused.messages.contains("only reads"), "{refused:?}");
}

#[tokio::test]
async fn the_mask_names_the_flags_that_were_given() {
    let fixture = Fixture::start().await;
    assert_eq!(
        fixture.ctl("tenants update --tenant acme --plan gold --update-mask name").await.exit,
        Exit::Done
    );
    let nothing = fixture.ctl("tenants update --tenant acme").await;
    assert_eq!(nothing.exit, Exit::Usage, "{nothing:?}");
    let seen = fixture.seen();
    assert_eq!(seen.updates.len(), 1);
    assert_eq!(seen.updates[0].update_mask.as_ref().unwrap().paths, ["name", "plan"]);
}

#[tokio::test]
async fn members_of_a_resource_are_flags() {
    let fixture = Fixture::start().await;
    let line = "settings update --tenant acme --concurrent-calls 3 --devices.new-device warn \
                --cache-ttl-seconds track=30 --cache-ttl-seconds search=7 \
                --limits api={\"quotas\":[{\"capacity\":10,\"windowSeconds\":60}]}";
    let ended = fixture.ctl(line).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let seen = fixture.seen();
    let settings = seen.settings[0].settings.as_ref().unwrap();
    assert_eq!(settings.concurrent_calls, Some(3));
    assert_eq!(settings.devices.as_ref().unwrap().new_device, "warn");
    assert_eq!(settings.cache_ttl_seconds["search"], 7);
    assert_eq!(settings.limits["api"].quotas[0].capacity, 10);
    let mask = &seen.settings[0].update_mask.as_ref().unwrap().paths;
    assert_eq!(mask, &["cache_ttl_seconds", "concurrent_calls", "devices.new_device", "limits"]);
}

#[tokio::test]
async fn what_was_printed_can_be_changed_and_handed_back() {
    let fixture = Fixture::start().await;
    let printed = fixture.ctl("settings get --tenant acme -o yaml").await.output;
    let changed = printed.replace("90", "30");
    assert_ne!(printed, changed);
    let environment = [
        ("STAGEDOOR_SERVER", format!("http://{}", fixture.address)),
        ("STAGEDOOR_ADMIN_KEY", KEY.to_owned()),
    ];
    let ended = fixture.ctl_with("settings update --tenant acme --from-file -", &environment, &changed).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let seen = fixture.seen();
    let request = &seen.settings[0];
    assert_eq!(request.etag, "\"7\"", "what was read is what may be changed");
    let settings = request.settings.as_ref().unwrap();
    assert_eq!(settings.cache_ttl_seconds["track"], 30);
    assert_eq!((settings.etag.as_str(), settings.tenant.as_str()), ("", ""), "only answers hold these");
    assert_eq!(request.update_mask.as_ref().unwrap().paths, ["cache_ttl_seconds"]);
}

#[tokio::test]
async fn a_file_that_says_something_else_is_refused() {
    let fixture = Fixture::start().await;
    let environment = [
        ("STAGEDOOR_SERVER", format!("http://{}", fixture.address)),
        ("STAGEDOOR_ADMIN_KEY", KEY.to_owned()),
    ];
    let ended = fixture
        .ctl_with(
            "settings update --tenant acme --from-file -",
            &environment,
            "cacheTtlSeconds: {track: soon}\n",
        )
        .await;
    assert_eq!(ended.exit, Exit::Usage, "{ended:?}");
    let ended = fixture
        .ctl_with("settings update --tenant acme --from-file -", &environment, "retentions: {}\n")
        .await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("retentions"), "{ended:?}");
    assert!(fixture.seen().settings.is_empty());
}

#[tokio::test]
async fn what_is_required_is_asked_for_before_anything_is_sent() {
    let fixture = Fixture::start().await;
    let ended = fixture.ctl("tenants create").await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("--tenant"), "{ended:?}");
    let ended = fixture.ctl("tenants get").await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("which tenant"), "{ended:?}");
    let ended = fixture.ctl("tenants list --state running").await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("suspended"), "{ended:?}");
    let ended = fixture.ctl("usage query --tenant acme --from yesterday").await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("--from"), "{ended:?}");
}
