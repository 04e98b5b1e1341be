//! Linking accounts from the agent's question to the provider's answer, as agents and people do it.

mod again;
mod flows;
mod forms;
mod pages;
mod refusals;
mod returns;
mod secrecy;
mod unkept;

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::{Provider, UserId};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Answer, Browser, Client, KeySpec, Page, Stage, TestGateway, TestTenant, generous};
use url::Url;

/// A tenant with apps at both services, a person who has linked nothing yet, and a key that acts for them.
pub(crate) struct Newcomer<'a> {
    pub(crate) tenant: TestTenant<'a>,
    pub(crate) user: UserId,
    pub(crate) key: String,
}

/// A link as a client without a browser of its own gets it.
pub(crate) struct Asked {
    /// The page for the person.
    pub(crate) page: Url,
    /// The handle for asking how it went.
    pub(crate) link: String,
}

impl<'a> Newcomer<'a> {
    pub(crate) async fn arrive(stage: &'a Stage, gateway: &TestGateway, slug: &str) -> Self {
        let tenant = stage.tenant(slug, generous()).await;
        for provider in Provider::ALL {
            tenant.set_up(*provider).await;
        }
        tenant.expect_people_at(gateway.address());
        let user = tenant.person("Robin").await;
        let key = tenant.key(&KeySpec::for_user(user)).await;
        Self { tenant, user, key }
    }

    pub(crate) fn client(&self, gateway: &TestGateway) -> Client {
        gateway.client(self.tenant.slug(), &self.key)
    }

    /// Accounts, sessions and devices that are stored for the tenant.
    pub(crate) async fn stored(&self, stage: &Stage) -> [u32; 3] {
        let mut counts = [0; 3];
        for (count, table) in
            counts.iter_mut().zip(["linked_accounts", "provider_sessions", "session_devices"])
        {
            let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = '{}'", self.tenant.id());
            *count = stage.sql(&sql).await.parse().unwrap();
        }
        counts
    }
}

/// Asks for a link as a client does that cannot open pages.
pub(crate) async fn ask(client: &Client, arguments: Value) -> Asked {
    let answer = client.call("account_link", arguments).await;
    assert_eq!(answer["status"], "pending", "{answer}");
    let text =
        |member: &str| answer[member].as_str().unwrap_or_else(|| panic!("{member}: {answer}")).to_owned();
    Asked { page: text("url").parse().unwrap(), link: text("link") }
}

/// Asks how a link went.
pub(crate) async fn how_it_went(client: &Client, link: &str) -> Answer {
    client.tool("account_link", json!({ "link": link })).await
}

/// Agrees on the page, and stops at the door of the provider: its authorize address.
pub(crate) async fn agree(browser: &Browser, page: &Url) -> Url {
    let page = browser.open(page).await;
    assert_eq!(page.verdict(), "200 ok", "{}", page.text());
    let left = browser.submit_and_stay(&page, &[("decision", "agree")]).await;
    left.location().unwrap_or_else(|| panic!("{}: {}", left.verdict(), left.text()))
}

/// The whole way of a person who agrees everywhere, ending on our last page.
pub(crate) async fn link(stage: &Stage, browser: &Browser, page: &Url, account: &str) -> Page {
    let door = agree(browser, page).await;
    let back = stage.sandbox().authorize(provider_of(&door), account, &door).unwrap();
    browser.open(&back).await
}

/// Lets exchanges of a code take effect, and holds their answers until the faults are cleared.
pub(crate) fn hold_exchanges(stage: &Stage, provider: Provider) {
    let held = FaultRule::new(provider, Effect::Hold).grant_type("authorization_code").after_work();
    stage.sandbox().faults().push(held);
}

/// Waits until the newest link is in that stage.
pub(crate) async fn reached(stage: &Stage, wanted: &str) {
    let newest = "SELECT stage FROM link_attempts ORDER BY created_at DESC, attempt_id DESC LIMIT 1";
    while stage.sql(newest).await != wanted {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whose authorize address that is.
pub(crate) fn provider_of(door: &Url) -> Provider {
    let provider = door.path().trim_start_matches('/').split('/').next().unwrap();
    provider.parse().unwrap_or_else(|_| panic!("{door}"))
}

/// The value of a parameter in an address.
pub(crate) fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("{name} in {url}")).1.into_owned()
}

/// The address with another value of a parameter.
pub(crate) fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
    changed
}
