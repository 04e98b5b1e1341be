//! Operators with tokens in place of keys: by the same rules as agents' tokens, with role and tenant as claims.

use serde_json::json;
use stagedoor_testkit::{Stage, TestGateway, TestIssuer, generous};
use tonic::Code;

use super::frame::reason;

const AUDIENCE: &str = "https://admin.example.com";

#[tokio::test]
async fn a_token_says_who_an_operator_is_and_nothing_else_gets_in() {
    let stage = Stage::start().await;
    let issuer = TestIssuer::start(stage.clock()).await;
    stage.tenant("acme", generous()).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        stage.with_admin(config);
        config.oauth.allow_http = true;
        // What holds for tenants' issuers does not hold for the operators' own, which is often inside.
        config.oauth.allowed_networks.clear();
        config.admin.issuer_url = Some(issuer.url().to_owned());
        config.admin.issuer_audience = Some(AUDIENCE.to_owned());
    })
    .await;
    let claims = |role: &str, tenant: Option<&str>| {
        let mut claims = issuer.claims(AUDIENCE, "ada@example.com", "");
        claims["stagedoor_role"] = json!(role);
        if let Some(tenant) = tenant {
            claims["stagedoor_tenant"] = json!(tenant);
        }
        claims
    };
    let who = async |token: &str| gateway.admin(Some(token)).call("CallerService/GetCaller", json!({})).await;

    let operator = issuer.token(&claims("platform_operator", None));
    let told = who(&operator).await.unwrap();
    assert_eq!(
        (&told["role"], &told["principal"]),
        (&json!("ROLE_PLATFORM_OPERATOR"), &json!("admin-jwt:ada@example.com"))
    );
    let bound = issuer.token(&claims("tenant_admin", Some("acme")));
    assert_eq!(who(&bound).await.unwrap()["tenant"], "acme");
    let other = gateway.admin(Some(&bound)).call("TenantService/ListTenants", json!({})).await.unwrap_err();
    assert_eq!(other.code(), Code::PermissionDenied);

    let altered = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut claims = claims("platform_operator", None);
        change(&mut claims);
        issuer.token(&claims)
    };
    for (what, token) in [
        ("an agent's token", altered(&|claims| claims["aud"] = json!(gateway_resource(&gateway)))),
        ("no role", altered(&|claims| claims["stagedoor_role"] = json!(null))),
        ("another role", altered(&|claims| claims["stagedoor_role"] = json!("root"))),
        ("an operator of a tenant", issuer.token(&claims("platform_operator", Some("acme")))),
        (
            "an admin of the installation's own tenant",
            issuer.token(&claims("tenant_admin", Some("platform"))),
        ),
        ("a tenant admin of none", issuer.token(&claims("tenant_admin", None))),
        (
            "a tenant in another form",
            altered(&|claims| {
                claims["stagedoor_role"] = json!("auditor");
                claims["stagedoor_tenant"] = json!(["acme"]);
            }),
        ),
        ("a tenant that is not there", issuer.token(&claims("auditor", Some("nobody")))),
        ("over", altered(&|claims| claims["exp"] = json!(1_000_000_000))),
        ("another issuer", altered(&|claims| claims["iss"] = json!("https://elsewhere.example.com"))),
    ] {
        // Each is a guess of a network of its own patience: what matters here is that none gets in.
        let refused = who(&token).await.unwrap_err();
        assert!(
            ["UNAUTHENTICATED", "TOO_MANY_ATTEMPTS"].contains(&reason(&refused).as_str()),
            "{what}: {refused:?}"
        );
    }
}

fn gateway_resource(gateway: &TestGateway) -> String {
    format!("http://{}/t/acme/mcp", gateway.address())
}
