//! Clients at music services: their secrets come from Secrets and are seen nowhere else.

use serde_json::json;
use stagedoor_operator::resources::{ProviderApp, Tenant};

use crate::stage::{Stage, until};

const SPOTIFY: i32 = 1;

fn spec() -> serde_json::Value {
    json!({
        "tenantRef": {"name": "acme"}, "provider": "spotify", "clientId": "5f1c",
        "clientSecretRef": {"name": "spotify-client"},
    })
}

fn secret_of(stage: &Stage) -> Option<String> {
    stage.installation().seen().app_secrets.get(&("acme".to_owned(), SPOTIFY)).cloned()
}

#[tokio::test]
async fn a_client_waits_for_its_tenant_and_its_secret_and_follows_both() {
    let stage = Stage::start("app-waits").await;
    let running = stage.operator("one");
    stage.make::<ProviderApp>("spotify", spec()).await;
    stage.ready::<ProviderApp>("spotify", "TenantMissing").await;
    stage.tenant("acme").await;
    stage.ready::<ProviderApp>("spotify", "SecretMissing").await;
    stage.secret("spotify-client", "other", "x").await;
    stage.secret("spotify-client", "clientSecret", "hush-hush-1\n").await;
    let app = stage.ready::<ProviderApp>("spotify", "Available").await;
    assert_eq!(secret_of(&stage).as_deref(), Some("hush-hush-1"));
    let status = app.status.clone().unwrap();
    assert_eq!(status.redirect_uri.as_deref(), Some("https://music.example.com/connect/acme/callback"));

    // The Secret is replaced.
    stage.secret("spotify-client", "clientSecret", "hush-hush-2").await;
    until("the new secret is there", async || (secret_of(&stage)? == "hush-hush-2").then_some(())).await;

    let told = serde_json::to_string(&stage.api::<ProviderApp>().get("spotify").await.unwrap()).unwrap();
    let events = format!("{:?}", stage.events().await);
    assert!(!told.contains("hush-hush") && !events.contains("hush-hush"), "{told} {events}");
    running.end().await;
}

#[tokio::test]
async fn a_secret_that_was_changed_in_the_installation_is_written_again() {
    let stage = Stage::start("app-drift").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.secret("spotify-client", "clientSecret", "right").await;
    stage.make::<ProviderApp>("spotify", spec()).await;
    stage.ready::<ProviderApp>("spotify", "Available").await;
    {
        let mut seen = stage.installation().seen();
        let etag = seen.etag();
        let key = ("acme".to_owned(), SPOTIFY);
        seen.app_secrets.insert(key.clone(), "by hand".to_owned());
        let app = seen.apps.get_mut(&key).unwrap();
        app.etag = etag;
        app.mode = 2;
    }
    until("the secret is written again", async || (secret_of(&stage)? == "right").then_some(())).await;
    let key = ("acme".to_owned(), SPOTIFY);
    assert_eq!(stage.installation().seen().apps[&key].mode, 2, "the object does not name it");
    let settled = stage.installation().seen().count("UpdateProviderApp");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(stage.installation().seen().count("UpdateProviderApp"), settled, "it is written once");
    running.end().await;
}

#[tokio::test]
async fn another_client_id_is_not_written_over() {
    let stage = Stage::start("app-other").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.secret("spotify-client", "clientSecret", "right").await;
    stage.make::<ProviderApp>("spotify", spec()).await;
    stage.ready::<ProviderApp>("spotify", "Available").await;
    stage.installation().seen().apps.get_mut(&("acme".to_owned(), SPOTIFY)).unwrap().client_id =
        "other".to_owned();
    stage.ready::<ProviderApp>("spotify", "ClientIdDiffers").await;
    running.end().await;
}

#[tokio::test]
async fn a_second_object_for_the_same_service_is_told_so() {
    let stage = Stage::start("app-duplicate").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    let public =
        json!({"tenantRef": {"name": "acme"}, "provider": "tidal", "clientId": "x", "publicClient": true});
    stage.make::<ProviderApp>("tidal", public.clone()).await;
    stage.ready::<ProviderApp>("tidal", "Available").await;
    stage.make::<ProviderApp>("again", public).await;
    stage.ready::<ProviderApp>("again", "Duplicate").await;
    running.end().await;
}

#[tokio::test]
async fn a_deleted_object_follows_its_tenants_policy() {
    let stage = Stage::start("app-deleted").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.secret("spotify-client", "clientSecret", "right").await;
    stage.make::<ProviderApp>("spotify", spec()).await;
    stage.ready::<ProviderApp>("spotify", "Available").await;
    stage.delete::<ProviderApp>("spotify").await;
    stage.gone::<ProviderApp>("spotify").await;
    assert_eq!(stage.installation().seen().apps.len(), 1, "the tenant's policy is Retain");

    stage.change::<Tenant>("acme", json!({"deletionPolicy": "Delete"})).await;
    stage.make::<ProviderApp>("spotify", spec()).await;
    stage.ready::<ProviderApp>("spotify", "Available").await;
    stage.installation().seen().linked = true;
    stage.delete::<ProviderApp>("spotify").await;
    stage.ready::<ProviderApp>("spotify", "AccountsLinked").await;
    stage.installation().seen().linked = false;
    stage.gone::<ProviderApp>("spotify").await;
    assert!(stage.installation().seen().apps.is_empty());
    running.end().await;
}

#[tokio::test]
async fn only_the_platforms_namespaces_send_the_gateway_elsewhere() {
    let stage = Stage::start("app-address").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    let elsewhere = json!({
        "tenantRef": {"name": "acme"}, "provider": "tidal", "clientId": "x", "apiBaseUrl": "http://169.254.169.254/v2",
    });
    stage.make::<ProviderApp>("tidal", elsewhere).await;
    stage.ready::<ProviderApp>("tidal", "AddressesNotAllowed").await;
    assert!(stage.installation().seen().apps.is_empty());
    running.end().await;
    let mut config = stage.config();
    config.platform_namespaces = vec!["*".to_owned()];
    let running = stage.operator_with("two", config);
    stage.ready::<ProviderApp>("tidal", "Available").await;
    running.end().await;
}
