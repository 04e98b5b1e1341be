//! What is sent for what is written.

use stagedoor_ctl::Exit;

use crate::server::{Fixture, KEY};

fn environment(fixture: &Fixture) -> Vec<(&'static str, String)> {
    vec![("STAGEDOOR_SERVER", format!("http://{}", fixture.address)), ("STAGEDOOR_ADMIN_KEY", KEY.to_owned())]
}

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
    let ended = fixture
        .ctl_with("settings update --tenant acme --from-file -", &environment(&fixture), &changed)
        .await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let seen = fixture.seen();
    let request = &seen.settings[0];
    assert_eq!(request.etag, "\"7\"", "what was read is what may be changed");
    let settings = request.settings.as_ref().unwrap();
    assert_eq!(settings.cache_ttl_seconds["track"], 30);
    assert_eq!((settings.etag.as_str(), settings.tenant.as_str()), ("", ""), "only answers hold these");
    let mask = &request.update_mask.as_ref().unwrap().paths;
    for member in ["cache_ttl_seconds", "concurrent_calls", "limits", "preferences"] {
        assert!(mask.iter().any(|path| path == member), "what the file lacks is reset: {mask:?}");
    }
    assert!(!mask.iter().any(|path| path == "etag" || path == "tenant"), "{mask:?}");
}

#[tokio::test]
async fn a_file_says_what_changes_unless_a_mask_does() {
    let fixture = Fixture::start().await;
    let whole = "tenant: acme\ncacheTtlSeconds: {track: 30}\nconcurrentCalls: 3\netag: '\"7\"'\n";
    let part = "tenant: acme\ncacheTtlSeconds: {track: 30}\nconcurrentCalls: 3\n";
    let of_mask = ["concurrent_calls"].as_slice();
    for (flags, file, wanted) in [
        ("", part, ["cache_ttl_seconds", "concurrent_calls"].as_slice()),
        ("--update-mask concurrent-calls", part, of_mask),
        ("--update-mask concurrent-calls", whole, of_mask),
        (
            "--devices.new-device warn --update-mask concurrent-calls",
            whole,
            &["concurrent_calls", "devices.new_device"],
        ),
        ("--update-mask *", whole, &["*"]),
    ] {
        let line = format!("settings update --from-file - {flags}");
        let ended = fixture.ctl_with(&line, &environment(&fixture), file).await;
        assert_eq!(ended.exit, Exit::Done, "{line}: {ended:?}");
        let seen = fixture.seen().settings.pop().unwrap();
        assert_eq!(seen.tenant, "acme", "the file says which tenant");
        assert_eq!(seen.update_mask.unwrap().paths, wanted, "{line}");
    }
    let line = "settings update --from-file - --devices.new-device warn";
    assert_eq!(fixture.ctl_with(line, &environment(&fixture), whole).await.exit, Exit::Done);
    let mask = fixture.seen().settings.pop().unwrap().update_mask.unwrap().paths;
    assert!(mask.iter().any(|path| path == "devices"), "{mask:?}");
    assert!(!mask.iter().any(|path| path.contains('.')), "its whole is named already: {mask:?}");
}

#[tokio::test]
async fn an_object_as_it_is_printed_is_an_update_of_all_of_it() {
    let fixture = Fixture::start().await;
    fixture.has_tenants(&["acme"]);
    let printed = fixture.ctl("tenants get --tenant acme -o yaml").await.output;
    assert!(printed.contains("state: "), "{printed}");
    let edited: String = printed.split_inclusive('\n').filter(|line| !line.starts_with("plan")).collect();
    let ended = fixture.ctl_with("tenants update --from-file -", &environment(&fixture), &edited).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let request = fixture.seen().updates.pop().unwrap();
    assert_eq!((request.tenant.as_str(), request.etag.as_str()), ("acme", "\"1\""));
    assert_eq!((request.name.as_str(), request.plan.as_str()), ("The acme", ""));
    assert_eq!(request.update_mask.unwrap().paths, ["name", "plan"]);
    let unknown = format!("{printed}planned: gold\n");
    let ended = fixture.ctl_with("tenants update --from-file -", &environment(&fixture), &unknown).await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("planned"), "{ended:?}");
}

#[tokio::test]
async fn a_file_about_another_tenant_is_refused() {
    let fixture = Fixture::start().await;
    let file = "tenant: acme\nconcurrentCalls: 3\n";
    let line = "settings update --tenant birch --from-file -";
    let ended = fixture.ctl_with(line, &environment(&fixture), file).await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("--tenant"), "{ended:?}");
    let mut elsewhere = environment(&fixture);
    elsewhere.push(("STAGEDOOR_TENANT", "birch".to_owned()));
    let ended = fixture.ctl_with("settings update --from-file -", &elsewhere, file).await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("acme"), "{ended:?}");
    assert!(fixture.seen().settings.is_empty());
    let line = "settings update --tenant acme --from-file -";
    assert_eq!(fixture.ctl_with(line, &elsewhere, file).await.exit, Exit::Done, "the flag settles it");
}

#[tokio::test]
async fn a_file_that_says_something_else_is_refused() {
    let fixture = Fixture::start().await;
    let ended = fixture
        .ctl_with(
            "settings update --tenant acme --from-file -",
            &environment(&fixture),
            "cacheTtlSeconds: {track: soon}\n",
        )
        .await;
    assert_eq!(ended.exit, Exit::Usage, "{ended:?}");
    assert!(ended.messages.contains("cacheTtlSeconds.track"), "the member is named: {ended:?}");
    let ended = fixture
        .ctl_with("settings update --tenant acme --from-file -", &environment(&fixture), "retentions: {}\n")
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
