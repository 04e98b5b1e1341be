//! Links that admins begin, and accounts that they end.

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::Browser;
use tonic::Code;
use url::Url;

use super::text;
use crate::admin::frame::{office, reason};
use crate::linking::{Newcomer, agree, link};

#[tokio::test]
async fn a_person_links_an_account_on_the_page_that_an_admin_hands_them() {
    let office = office().await;
    let ada = Newcomer::arrive(&office.stage, &office.gateway, "ada").await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&ada.tenant)).await;
    let user = ada.user.to_string();
    let mut begin =
        json!({ "tenant": "ada", "userId": user, "provider": "PROVIDER_TIDAL", "validateOnly": true });
    let looked = admin.call("LinkedAccountService/BeginLink", begin.clone()).await.unwrap();
    assert_eq!(looked.get("url"), None);
    assert_eq!(office.stage.sql("SELECT count(*) FROM link_attempts").await, "0");
    begin["validateOnly"] = json!(false);
    begin["scopes"] = json!(["playlists:read"]);
    let begun = admin.call("LinkedAccountService/BeginLink", begin.clone()).await.unwrap();
    let page: Url = text(&begun, "url").parse().unwrap();
    let browser = Browser::new();
    let consent = browser.open(&page).await;
    assert!(consent.text().contains("An administrator of"), "{}", consent.text());
    assert!(consent.text().contains("playlists.read") && !consent.text().contains("playlists.write"));

    let account = office.stage.sandbox().create_account(Provider::Tidal, "Ada's own", "DE");
    let last = link(&office.stage, &browser, &page, &account).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    let list = json!({ "tenant": "ada", "userId": user });
    let listed = admin.call("LinkedAccountService/ListLinkedAccounts", list.clone()).await.unwrap();
    let linked = &listed["linkedAccounts"][0];
    assert_eq!(
        (&linked["provider"], &linked["state"]),
        (&json!("PROVIDER_TIDAL"), &json!("LINKED_ACCOUNT_STATE_ACTIVE"))
    );
    let playlists = async || {
        ada.client(&office.gateway).tool("playlists_list", json!({ "provider": Provider::Tidal })).await
    };
    assert_eq!(playlists().await.verdict(), "200 ok", "the person's agents use it");

    let mut unlink = json!({ "tenant": "ada", "accountId": linked["accountId"], "validateOnly": true });
    let looked = admin.call("LinkedAccountService/UnlinkAccount", unlink.clone()).await.unwrap();
    assert_eq!(looked["removed"]["sessions"], "1");
    assert_eq!(playlists().await.verdict(), "200 ok", "a look ends nothing");
    unlink["validateOnly"] = json!(false);
    let unlinked = admin.call("LinkedAccountService/UnlinkAccount", unlink.clone()).await.unwrap();
    assert_eq!(unlinked["removed"]["sessions"], "1");
    assert!(!text(&unlinked, "revocation").is_empty());
    assert_eq!(playlists().await.verdict(), "200 account_not_linked");
    let gone = admin.call("LinkedAccountService/UnlinkAccount", unlink).await.unwrap_err();
    assert_eq!((gone.code(), &*reason(&gone)), (Code::NotFound, "OBJECT_UNKNOWN"));
    let listed = admin.call("LinkedAccountService/ListLinkedAccounts", list).await.unwrap();
    assert_eq!(listed.get("linkedAccounts"), None);
}

#[tokio::test]
async fn an_admins_link_ends_with_the_key_and_with_the_next_one() {
    let office = office().await;
    let ada = Newcomer::arrive(&office.stage, &office.gateway, "ada").await;
    let create = json!({ "tenant": "ada", "name": "for a day", "role": "ROLE_TENANT_ADMIN" });
    let made = office.operator.call("AdminKeyService/CreateTenantAdminKey", create).await.unwrap();
    let admin = office.gateway.admin(Some(&text(&made, "secret")));
    let begin = async || {
        let request =
            json!({ "tenant": "ada", "userId": ada.user.to_string(), "provider": "PROVIDER_SPOTIFY" });
        let begun = admin.call("LinkedAccountService/BeginLink", request).await.unwrap();
        text(&begun, "url").parse::<Url>().unwrap()
    };
    let (first, second) = (begin().await, begin().await);
    let browser = Browser::new();
    assert_eq!(browser.open(&first).await.code().as_deref(), Some("link_expired"));
    let door = agree(&browser, &second).await;

    let revoke = json!({ "tenant": "ada", "keyId": made["adminKey"]["keyId"] });
    office.operator.call("AdminKeyService/RevokeTenantAdminKey", revoke).await.unwrap();
    assert_eq!(browser.open(&second).await.code().as_deref(), Some("link_revoked"));
    let account = office.stage.sandbox().create_account(Provider::Spotify, "Ada's own", "DE");
    let back = office.stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
    assert_eq!(browser.open(&back).await.code().as_deref(), Some("link_revoked"), "agreed to before, or not");
    assert_eq!(ada.stored(&office.stage).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_link_needs_a_person_and_a_client() {
    let office = office().await;
    let acme = office.stage.tenant("acme", stagedoor_testkit::generous()).await;
    let person = acme.person("Robin").await;
    let begin = async |user: String| {
        let request = json!({ "tenant": "acme", "userId": user, "provider": "PROVIDER_SPOTIFY" });
        office.operator.call("LinkedAccountService/BeginLink", request).await.unwrap_err()
    };
    assert_eq!(&*reason(&begin(person.to_string()).await), "NOT_IN_STATE");
    let nobody = "0d5e6b2e-6b53-4f3a-8f43-7d2a8a6c1c11".to_owned();
    assert_eq!(&*reason(&begin(nobody).await), "OBJECT_UNKNOWN");
}
