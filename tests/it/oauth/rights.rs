//! What a good token may do: what its scopes say, within what its issuer is trusted with, where it is for.

use serde_json::json;
use stagedoor_domain::{Scope, ScopeSet, ToolName, Toolset, ToolsetSet};
use stagedoor_testkit::{Client, Stage, TestGateway, TestIssuer};

use super::{ALL_SCOPES, SUBJECT, assert_challenged, knock, resource, welcome};

async fn shown(client: &Client) -> Vec<String> {
    let listed = client.rpc("tools/list", json!({})).await.result();
    listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_does_for_its_person_what_a_key_would() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let ada = welcome(&stage, "ada", &issuer).await;
    let token = issuer.token(&issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES));
    let client = gateway.client("ada", &token);
    let by_key = gateway.client("ada", &ada.key);
    assert_eq!(shown(&client).await, shown(&by_key).await);
    assert_eq!(client.call("accounts_list", json!({})).await, by_key.call("accounts_list", json!({})).await);
    client.call("playlist_create", json!({ "name": "Mine", "provider": "spotify" })).await;
    let listed = by_key.call("playlists_list", json!({ "provider": "spotify" })).await;
    assert!(listed.to_string().contains("Mine"), "{listed}");

    // The trail names issuer and person by their ids, and nowhere what the token calls the person.
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let labels: Vec<String> = trail
        .iter()
        .filter_map(stagedoor_audit::AuditView::json)
        .filter_map(|json| Some(json["principal"].as_str()?.to_owned()))
        .collect();
    let label = labels.iter().find(|label| label.starts_with("jwt:")).expect("a record of the token's call");
    assert!(label.ends_with(&format!(":{}", ada.user)), "{label}");
    assert!(trail.iter().all(|view| !view.json().unwrap_or_default().to_string().contains(SUBJECT)));
}

#[tokio::test]
async fn scopes_are_those_of_the_token_and_unknown_ones_give_nothing() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let mut claims = issuer.claims(&resource(&gateway, "ada"), SUBJECT, "");
    for (scope, verdict) in [
        (json!("catalog:read"), "200 ok"),
        (json!("openid  catalog:read offline_access"), "200 ok"),
        (json!(["openid", "catalog:read"]), "200 ok"),
        (json!(""), "403 insufficient_scope"),
        (json!("catalog:readx CATALOG:READ catalog:*"), "403 insufficient_scope"),
        (json!("library:read"), "403 insufficient_scope"),
    ] {
        claims["scope"] = scope.clone();
        let client = gateway.client("ada", &issuer.token(&claims));
        let answer = client.tool("search", json!({ "query": "a", "provider": "tidal" })).await;
        assert_eq!(answer.verdict(), verdict, "{scope}");
    }
    let unnamed = claims.as_object_mut().unwrap();
    unnamed.remove("scope");
    unnamed.insert("scp".to_owned(), json!(["catalog:read"]));
    let client = gateway.client("ada", &issuer.token(&claims));
    client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
}

#[tokio::test]
async fn an_issuer_gives_no_more_than_it_is_trusted_with() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let ada = stage.inhabit("ada").await;
    ada.tenant.person_called(SUBJECT).await;
    ada.tenant
        .register(&issuer, |issuer| {
            issuer.toolsets = Some(ToolsetSet::empty().with(Toolset::Catalog).with(Toolset::Playlists));
            issuer.read_only = true;
            issuer.scope_map.insert("music".to_owned(), ScopeSet::all());
            issuer.scope_map.insert("browse".to_owned(), ScopeSet::empty().with(Scope::CatalogRead));
        })
        .await;
    let token = |scope: &str| issuer.token(&issuer.claims(&resource(&gateway, "ada"), SUBJECT, scope));
    for name in shown(&gateway.client("ada", &token("music"))).await {
        let tool: ToolName = name.parse().unwrap();
        assert!(matches!(tool.toolset(), Toolset::Catalog | Toolset::Playlists) && !tool.writes(), "{name}");
    }
    let writes = gateway.client("ada", &token("music")).tool("playlist_create", json!({ "name": "a" })).await;
    assert_eq!(writes.verdict(), "200 unknown_tool");
    for (scope, verdict) in [
        ("browse", "200 ok"),
        ("music", "200 ok"),
        // Our own names are no values of this issuer's.
        ("catalog:read", "403 insufficient_scope"),
    ] {
        let client = gateway.client("ada", &token(scope));
        let answer = client.tool("search", json!({ "query": "a", "provider": "tidal" })).await;
        assert_eq!(answer.verdict(), verdict, "{scope}");
    }
}

#[tokio::test]
async fn a_token_for_a_narrow_path_is_good_there_alone() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let whole = resource(&gateway, "ada");
    let narrow = issuer.token(&issuer.claims(&format!("{whole}/readonly"), SUBJECT, ALL_SCOPES));
    let client = || gateway.client("ada", &narrow).from_address("198.51.100.1");
    assert_eq!(knock(&client().below("/readonly")).await.verdict(), "200 ok");
    assert_challenged(&knock(&client()).await, &gateway, "ada", "the whole endpoint");
    assert_eq!(knock(&client().below("/x/catalog")).await.verdict(), "401 unauthenticated");
    let wide = issuer.token(&issuer.claims(&whole, SUBJECT, ALL_SCOPES));
    assert_eq!(knock(&gateway.client("ada", &wide).below("/readonly")).await.verdict(), "200 ok");
}
