//! An office whose operators may come with tokens of an issuer as well.

use serde_json::json;
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{Stage, TestGateway, TestIssuer};

use super::frame::Office;

/// What tokens of operators are for.
pub(crate) const AUDIENCE: &str = "https://admin.example.com";

/// The office, and who signs its tokens.
pub(crate) struct TokenOffice {
    pub(crate) office: Office,
    pub(crate) issuer: TestIssuer,
}

/// An office on a fresh stage, with an issuer.
pub(crate) async fn open() -> TokenOffice {
    let stage = Stage::start().await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        stage.with_admin(config);
        config.oauth.allow_http = true;
        config.oauth.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.admin.issuer_url = Some(issuer.url().to_owned());
        config.admin.issuer_audience = Some(AUDIENCE.to_owned());
    })
    .await;
    let key = stage.admin_key(AdminRole::PlatformOperator, None).await;
    let operator = gateway.admin(Some(&key));
    TokenOffice { office: Office { stage, gateway, operator }, issuer }
}

/// A token of `subject` with that role, bound to a tenant or not.
pub(crate) fn token(issuer: &TestIssuer, subject: &str, role: &str, tenant: Option<&str>) -> String {
    let mut claims = issuer.claims(AUDIENCE, subject, "");
    claims["stagedoor_role"] = json!(role);
    if let Some(tenant) = tenant {
        claims["stagedoor_tenant"] = json!(tenant);
    }
    issuer.token(&claims)
}
