//! What a client learns before it has a token (RFC 9728), and what it is told when one is not enough (RFC 6750).

use serde_json::{Value, json};
use stagedoor_domain::{Scope, ScopeSet};
use stagedoor_testkit::{Client, Stage, TestGateway, TestIssuer};

use super::{ALL_SCOPES, SUBJECT, knock, resource, welcome};

/// The status and the document behind the well-known name, with the headers that browsers look at.
async fn metadata(gateway: &TestGateway, path: &str) -> (u16, Option<String>, Value) {
    let url = format!("http://{}/.well-known/oauth-protected-resource{path}", gateway.address());
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    let origin = answer.headers().get("access-control-allow-origin");
    let origin = origin.map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), origin, answer.json().await.unwrap())
}

#[tokio::test]
async fn the_metadata_of_each_path_names_that_path_and_the_tenants_issuers() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    for path in ["", "/readonly", "/x/catalog,playlists", "/x/catalog/readonly"] {
        let (status, origin, document) = metadata(&gateway, &format!("/t/ada/mcp{path}")).await;
        assert_eq!((status, origin.as_deref()), (200, Some("*")), "{path}");
        let wanted = json!({
            "resource": format!("{}{path}", resource(&gateway, "ada")),
            "resource_name": "Test tenant",
            "authorization_servers": [issuer.url()],
            "scopes_supported": ALL_SCOPES.split(' ').collect::<Vec<_>>(),
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(document, wanted, "{path}");
    }
    let (status, _, _) = metadata(&gateway, "/t/ada/mcp/x/musik").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_tenant_without_issuers_looks_like_none_at_all() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let bob = stage.inhabit("bob").await;
    let closed = welcome(&stage, "closed", &issuer).await;
    closed.tenant.suspend().await;
    let eve = stage.inhabit("eve").await;
    eve.tenant.register(&issuer, |issuer| issuer.enabled = false).await;
    let nobody = metadata(&gateway, "/t/nobody/mcp").await;
    assert_eq!((nobody.0, &nobody.2["code"]), (404, &json!("not_found")));
    for slug in [bob.tenant.slug(), closed.tenant.slug(), eve.tenant.slug(), "NOT-A-SLUG"] {
        assert_eq!(metadata(&gateway, &format!("/t/{slug}/mcp")).await, nobody, "{slug}");
    }
}

#[tokio::test]
async fn who_comes_with_nothing_is_told_where_to_go_and_what_to_ask_for() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let ada = stage.inhabit("ada").await;
    let read: ScopeSet = [Scope::CatalogRead, Scope::LibraryRead].into_iter().collect();
    ada.tenant
        .register(&issuer, |issuer| {
            issuer.scope_map.insert("music.read".to_owned(), read);
            issuer.scope_map.insert("music.write".to_owned(), ScopeSet::empty().with(Scope::LibraryWrite));
        })
        .await;
    let anonymous = Client::new(gateway.address(), "ada", None).below("/readonly");
    let answer = knock(&anonymous).await;
    assert_eq!(answer.verdict(), "401 unauthenticated");
    let challenge = answer.header("www-authenticate").unwrap();
    let metadata_url =
        format!("http://{}/.well-known/oauth-protected-resource/t/ada/mcp/readonly", gateway.address());
    assert_eq!(
        challenge,
        format!(
            "Bearer realm=\"stagedoor\", resource_metadata=\"{metadata_url}\", scope=\"music.read music.write\""
        )
    );
    let (_, _, document) = metadata(&gateway, "/t/ada/mcp").await;
    assert_eq!(document["scopes_supported"], json!(["music.read", "music.write"]));
}

#[tokio::test]
async fn a_step_up_lists_what_is_needed_and_what_the_token_has() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let token = |scope: &str| issuer.token(&issuer.claims(&resource(&gateway, "ada"), SUBJECT, scope));
    let client = gateway.client("ada", &token("catalog:read openid"));
    let answer = client.tool("playlist_create", json!({ "name": "a", "provider": "spotify" })).await;
    assert_eq!(answer.verdict(), "403 insufficient_scope");
    let challenge = answer.header("www-authenticate").unwrap();
    let metadata_url = format!("http://{}/.well-known/oauth-protected-resource/t/ada/mcp", gateway.address());
    assert_eq!(
        challenge,
        format!(
            "Bearer realm=\"stagedoor\", error=\"insufficient_scope\", resource_metadata=\"{metadata_url}\", \
             scope=\"catalog:read playlists:write\""
        )
    );
    // What the client asks for then is enough.
    let stepped_up = gateway.client("ada", &token("catalog:read playlists:write"));
    let answer = stepped_up.tool("playlist_create", json!({ "name": "a", "provider": "spotify" })).await;
    assert_eq!(answer.verdict(), "200 ok", "{}", answer.text());
}
