//! What passes through the link pages appears in no log line, whatever the log's filter, and in no other page.

use rustix::process::Signal;
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, GatewayProcess, KeySpec, Stage, generous};

use super::{agree, ask, how_it_went, parameter};

#[tokio::test]
async fn no_secret_of_a_link_is_logged() {
    let stage = Stage::start().await;
    let loud = [("STAGEDOOR_TELEMETRY__LOG_FILTER", "trace".to_owned())];
    let mut gateway = GatewayProcess::start(&stage, "loud", &loud).await;
    let tenant = stage.tenant("ada", generous()).await;
    for provider in Provider::ALL {
        tenant.set_up(*provider).await;
    }
    tenant.expect_people_at(gateway.address());
    let user = tenant.person("Robin").await;
    let key = tenant.key(&KeySpec::for_user(user)).await;
    let client = gateway.client("ada", &key);
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let mut secrets = vec![key.clone()];
    // One that works, and one that is spoilt on its way back.
    for spoilt in [false, true] {
        let asked = ask(&client, json!({ "provider": "spotify" })).await;
        let browser = Browser::new();
        let door = agree(&browser, &asked.page).await;
        let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
        secrets.push(asked.page.path_segments().unwrap().next_back().unwrap().to_owned());
        secrets.extend([
            parameter(&door, "state"),
            parameter(&door, "code_challenge"),
            parameter(&back, "code"),
        ]);
        secrets.extend(browser.cookies().into_iter().map(|(_, value)| value));
        if spoilt {
            browser.forget_cookies();
        }
        let last = browser.open(&back).await;
        assert_eq!(
            last.verdict(),
            if spoilt { "400 link_state_invalid" } else { "200 ok" },
            "{}",
            last.text()
        );
        for secret in &secrets {
            assert!(!last.text().contains(secret.as_str()), "the last page shows {secret}");
        }
        how_it_went(&client, &asked.link).await;
    }
    client.call("playlists_list", json!({})).await;
    // Its last lines are written when it ends.
    gateway.program().signal(Signal::TERM);
    gateway.program().ended().await;
    let said = gateway.program().said();
    assert!(said.contains("\"page\":\"callback\"") && said.contains("link_state_invalid"), "{said}");
    for secret in &secrets {
        assert!(secret.len() >= 20, "{secret:?} is no secret");
        let found = said.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(found, None, "{secret} was logged");
    }
}
