//! A tenant's clients at the music services.

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{KeySpec, TestGateway, generous};

use crate::admin::frame::{office, reason, wrong_fields};
use crate::limits_hot_reload::until;

const SECRET: &str = "a-secret-that-nobody-is-told";

#[tokio::test]
async fn a_client_is_set_up_changed_and_removed_and_its_secret_is_told_to_nobody() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&acme)).await;
    let call = async |rpc: &str, more: Value| {
        let mut request = json!({ "tenant": "acme", "provider": "PROVIDER_SPOTIFY" });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = admin.call(&format!("ProviderAppService/{rpc}"), request).await;
        if let Ok(answer) = &answer {
            assert!(!answer.to_string().contains(SECRET), "{rpc}");
        }
        answer
    };
    let looked = json!({ "clientId": "abc", "clientSecret": SECRET, "validateOnly": true });
    let looked = call("CreateProviderApp", looked).await.unwrap();
    assert_eq!(looked["hasClientSecret"], true);
    assert_eq!(&*reason(&call("GetProviderApp", json!({})).await.unwrap_err()), "OBJECT_UNKNOWN");
    let made = call("CreateProviderApp", json!({ "clientId": "abc", "clientSecret": SECRET })).await.unwrap();
    assert_eq!((&made["clientId"], &made["mode"]), (&json!("abc"), &json!("PROVIDER_APP_MODE_DEVELOPMENT")));
    assert_eq!(made.get("apiBaseUrl"), None, "the provider's own");
    assert!(made["redirectUri"].as_str().unwrap().ends_with("/t/acme/connect/callback/spotify"));
    let again = call("CreateProviderApp", json!({ "clientId": "abc" })).await.unwrap_err();
    assert_eq!(&*reason(&again), "ALREADY_EXISTS");

    let update = json!({ "clientSecret": "another", "etag": made["etag"] });
    let changed = call("UpdateProviderApp", update.clone()).await.unwrap();
    assert_ne!(changed["etag"], made["etag"], "another secret is another version");
    assert_eq!(&*reason(&call("UpdateProviderApp", update).await.unwrap_err()), "ETAG_MISMATCH");
    let public = call("UpdateProviderApp", json!({ "updateMask": "clientSecret" })).await.unwrap();
    assert_eq!(public.get("hasClientSecret"), None);

    let elsewhere =
        json!({ "apiBaseUrl": "http://169.254.169.254/latest", "authBaseUrl": "http://localhost:1" });
    let refused = call("UpdateProviderApp", elsewhere).await.unwrap_err();
    assert_eq!(
        wrong_fields(&refused),
        ["api_base_url", "auth_base_url"],
        "a tenant's admin chooses nothing to call"
    );
    let wrong = json!({ "clientId": "a b", "clientSecret": "a\nb", "mode": "PROVIDER_APP_MODE_EXTENDED" });
    let wrong = json!({ "tenant": "acme", "provider": "PROVIDER_TIDAL", "clientId": wrong["clientId"],
        "clientSecret": wrong["clientSecret"], "mode": wrong["mode"] });
    let wrong = admin.call("ProviderAppService/CreateProviderApp", wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&wrong), ["client_secret", "client_id", "mode"]);
    assert!(!wrong.message().contains("a\nb"));

    call("DeleteProviderApp", json!({})).await.unwrap();
    let listed =
        admin.call("ProviderAppService/ListProviderApps", json!({ "tenant": "acme" })).await.unwrap();
    assert_eq!(listed.get("providerApps"), None);
}

#[tokio::test]
async fn every_replica_calls_where_the_client_is_by_now() {
    let office = office().await;
    let acme = office.stage.inhabit("acme").await;
    let replica = TestGateway::start(&office.stage).await;
    let key = acme.tenant.key(&KeySpec::for_user(acme.user)).await;
    let mut number = 0;
    let mut search = async |gateway: &TestGateway| {
        // Another question each time, so that no answer is given again.
        number += 1;
        let arguments = json!({ "query": format!("question {number}"), "provider": Provider::Spotify });
        gateway.client("acme", &key).tool("search", arguments).await.verdict()
    };
    for gateway in [&office.gateway, &replica] {
        assert_eq!(search(gateway).await, "200 ok", "the client is known by now");
    }
    let mut request =
        json!({ "tenant": "acme", "provider": "PROVIDER_SPOTIFY", "apiBaseUrl": "http://127.0.0.1:9/v1" });
    let before = office.stage.sql("SELECT api_base_url FROM provider_apps WHERE provider = 'spotify'").await;
    office.operator.call("ProviderAppService/UpdateProviderApp", request.clone()).await.unwrap();
    assert_eq!(search(&office.gateway).await, "200 provider_unavailable", "whoever changed it knows at once");
    until("another replica", async || search(&replica).await == "200 provider_unavailable").await;
    request["apiBaseUrl"] = json!(before);
    office.operator.call("ProviderAppService/UpdateProviderApp", request).await.unwrap();
    until("another replica", async || search(&replica).await == "200 ok").await;

    let delete = json!({ "tenant": "acme", "provider": "PROVIDER_SPOTIFY" });
    let linked = office.operator.call("ProviderAppService/DeleteProviderApp", delete).await.unwrap_err();
    assert_eq!(&*reason(&linked), "NOT_IN_STATE", "accounts are linked through it");
}
