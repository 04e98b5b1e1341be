//! Every tool × every scope: a key or token with that scope alone, and a key with all but that one. A call is refused for
//! its scope exactly if the tool's own is lacking, with a challenge that says what would do.

use std::collections::BTreeSet;

use serde_json::json;
use stagedoor_domain::{Scope, ScopeSet, ToolName};
use stagedoor_testkit::{Answer, Client, Inhabited, KeySpec, Stage, TestGateway, TestIssuer};

/// Cells, as `tool scopes`, in which a tool wants another scope than its own. May only get shorter.
const EXCEPTIONS: &[&str] = &[];

const SUBJECT: &str = "robin@example.com";

/// What tools want that differs from what they say.
#[derive(Default)]
struct Deviations(BTreeSet<String>);

impl Deviations {
    /// Calls every tool as somebody who has `held`.
    async fn of_tools(&mut self, client: &Client, held: ScopeSet, all_in_challenge: bool) {
        for tool in ToolName::ALL.iter().copied() {
            // Scopes come before arguments, so that who may not learns nothing of how to.
            let answer = client.tool(tool.as_str(), json!({})).await;
            let lacking = tool.scope().filter(|needed| !held.contains(*needed));
            let refused = answer.verdict() == "403 insufficient_scope";
            if refused != lacking.is_some() {
                self.0.insert(format!("{tool} {held}: {}", answer.verdict()));
                continue;
            }
            if let Some(needed) = lacking {
                let wanted: ScopeSet = held.iter().filter(|_| all_in_challenge).chain([needed]).collect();
                assert_eq!(challenged(&answer), wanted.to_string(), "{tool} with {held}");
            }
        }
    }

    fn end(self) {
        let excused: BTreeSet<String> = EXCEPTIONS.iter().map(|cell| (*cell).to_owned()).collect();
        assert_eq!(self.0, excused, "tools want other scopes than they say");
    }
}

/// The scopes of a challenge (RFC 6750 §3.1).
fn challenged(answer: &Answer) -> String {
    let challenge = answer.header("www-authenticate").expect("a refusal says what would do");
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
    let (_, scope) = challenge.split_once("scope=\"").expect("it names scopes");
    scope.split('"').next().unwrap_or_default().to_owned()
}

fn one(scope: Scope) -> ScopeSet {
    ScopeSet::empty().with(scope)
}

fn all_but(scope: Scope) -> ScopeSet {
    Scope::ALL.iter().copied().filter(|other| *other != scope).collect()
}

async fn with_key(gateway: &TestGateway, tenant: &Inhabited<'_>, scopes: ScopeSet) -> Client {
    let spec = KeySpec { scopes, ..KeySpec::for_user(tenant.user) };
    gateway.client(tenant.tenant.slug(), &tenant.tenant.key(&spec).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_needs_the_tools_scope_and_no_other() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let mut deviations = Deviations::default();
    let none = with_key(&gateway, &ada, ScopeSet::empty()).await;
    deviations.of_tools(&none, ScopeSet::empty(), false).await;
    for scope in Scope::ALL.iter().copied() {
        for held in [one(scope), all_but(scope)] {
            let client = with_key(&gateway, &ada, held).await;
            deviations.of_tools(&client, held, false).await;
        }
    }
    let all = with_key(&gateway, &ada, ScopeSet::all()).await;
    deviations.of_tools(&all, ScopeSet::all(), false).await;
    deviations.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_needs_the_tools_scope_and_is_told_what_the_next_one_needs() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let ada = stage.inhabit("ada").await;
    ada.tenant.person_called(SUBJECT).await;
    ada.tenant.register(&issuer, |_| {}).await;
    let audience = format!("http://{}/t/ada/mcp", gateway.address());
    let mut deviations = Deviations::default();
    for scope in Scope::ALL.iter().copied() {
        let held = one(scope);
        let token = issuer.token(&issuer.claims(&audience, SUBJECT, &held.to_string()));
        // The next token replaces this one, so it needs what this one has, too.
        deviations.of_tools(&gateway.client("ada", &token), held, true).await;
    }
    deviations.end();
}
