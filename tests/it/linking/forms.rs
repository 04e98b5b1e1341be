//! The consent form against forgery and nonsense: whatever is not our own form, sent by the browser that was shown
//! it, agrees to nothing.

use axum::http::Method;
use serde_json::json;
use stagedoor_testkit::{Browser, Stage, TestGateway};
use url::Url;

use super::{Newcomer, ask, how_it_went};

const FORM: &str = "application/x-www-form-urlencoded";

/// Posts as a program would that is no browser. Answers with `STATUS code`.
async fn post(page: &Url, headers: &[(&str, String)], body: impl Into<reqwest::Body>) -> String {
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let mut request = client.request(Method::POST, page.clone()).body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    let code = text.rsplit_once("Code: <code>").and_then(|(_, rest)| rest.split('<').next());
    format!("{status} {}", code.unwrap_or("ok"))
}

#[tokio::test]
async fn only_our_own_form_agrees() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let browser = Browser::new();
    browser.open(&asked.page).await;
    let (name, value) = browser.cookies().into_iter().find(|(name, _)| name.contains("form")).unwrap();
    let cookie = ("cookie", format!("{name}={value}"));
    let own = ("origin", format!("http://{}", gateway.address()));
    let body = format!("form={value}&decision=agree");
    let form = ("content-type", FORM.to_owned());
    let site = |site: &str| ("sec-fetch-site", site.to_owned());
    let origin = |origin: &str| ("origin", origin.to_owned());
    let sent =
        async |headers: &[(&str, String)], body: &str| post(&asked.page, headers, body.to_owned()).await;

    // Without the cookie, with another one, with half a token.
    let other = ("cookie", format!("{name}={}", value.chars().rev().collect::<String>()));
    assert_eq!(sent(&[form.clone(), own.clone()], &body).await, "400 link_state_invalid");
    assert_eq!(sent(&[form.clone(), own.clone(), other], &body).await, "400 link_state_invalid");
    let empty = ("cookie", format!("{name}="));
    assert_eq!(
        sent(&[form.clone(), own.clone(), empty], "form=&decision=agree").await,
        "400 link_state_invalid"
    );
    // From a page of another site, even with everything else right.
    for foreign in [
        origin("https://evil.example"),
        origin("null"),
        origin("http://127.0.0.1:1"),
        origin(&own.1.replace("http://", "https://")),
        site("cross-site"),
        site("same-site"),
        site("none"),
    ] {
        assert_eq!(
            sent(&[form.clone(), cookie.clone(), foreign.clone()], &body).await,
            "403 invalid_origin",
            "{foreign:?}"
        );
    }
    // Nonsense.
    let good = [form.clone(), cookie.clone(), own.clone(), site("same-origin")];
    for nonsense in [
        "",
        &format!("form={value}"),
        &format!("form={value}&decision=maybe"),
        &format!("form={value}&decision=agree&decision=decline"),
        &format!("decision=agree&form={value}&form={value}"),
    ] {
        assert_eq!(sent(&good, nonsense).await, "400 invalid_request", "{nonsense}");
    }
    assert_eq!(sent(&good, "form=x").await, "400 link_state_invalid");
    let json = ("content-type", "application/json".to_owned());
    assert_eq!(sent(&[json, cookie.clone(), own.clone()], "{}").await, "415 unsupported_media_type");
    assert_eq!(sent(&good, &format!("{body}&x={}", "y".repeat(9_000))).await, "413 body_too_large");
    let host = ("host", "evil.example".to_owned());
    assert_eq!(sent(&[form.clone(), cookie.clone(), own.clone(), host], &body).await, "403 invalid_host");

    // Nothing of all that has moved the link; the form itself does, also from a text browser without such headers.
    let waiting = how_it_went(&client, &asked.link).await.result();
    assert_eq!(waiting["structuredContent"]["status"], "pending", "{waiting}");
    assert_eq!(ada.stored(&stage).await, [0, 0, 0]);
    let stage_of_link = "SELECT string_agg(stage, ' ') FROM link_attempts";
    assert_eq!(stage.sql(stage_of_link).await, "offered");
    assert_eq!(sent(&[form, cookie], &body).await, "303 ok");
    assert_eq!(stage.sql(stage_of_link).await, "authorizing");
}

#[tokio::test]
async fn addresses_cannot_be_searched() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = Newcomer::arrive(&stage, &gateways[0], "ada").await;
    let asked = ask(&ada.client(&gateways[0]), json!({ "provider": "spotify" })).await;
    let browser = Browser::new().from_address("198.51.100.66");
    let mut verdicts = Vec::new();
    for attempt in 0..7 {
        let guess = format!("{attempt:A>43}");
        let address = format!("http://{}/t/ada/connect/{guess}", gateways[attempt % 2].address());
        let page = browser.open(&address.parse().unwrap()).await;
        if attempt == 6 {
            let wait: u64 = page.answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=900).contains(&wait), "{wait}");
        }
        verdicts.push(page.verdict());
    }
    assert_eq!(verdicts[..5], vec!["404 link_unknown".to_owned(); 5]);
    assert_eq!(verdicts[5..], vec!["429 too_many_attempts".to_owned(); 2]);
    assert_eq!(browser.open(&asked.page).await.verdict(), "200 ok", "the right address goes on working");
}
