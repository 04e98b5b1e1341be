//! The pages as browsers get them: headers, methods, markup, words.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::json;
use stagedoor_domain::{ErrorCode, Provider};
use stagedoor_testkit::{Browser, Page, Stage, TestGateway};
use url::Url;

use super::{Newcomer, agree, ask, link};

const DOCUMENT: &str = include_str!("../../../docs/linking.md");

fn assert_guarded(page: &Page, what: &str) {
    let header =
        |name: &str| page.answer.header(name).unwrap_or_else(|| panic!("{what} lacks {name}")).to_owned();
    let policy = header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "style-src 'sha256-",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action ",
    ] {
        assert!(policy.contains(rule), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{what}: {policy}");
    assert_eq!(header("cache-control"), "no-store", "{what}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{what}");
    assert_eq!(header("x-frame-options"), "DENY", "{what}");
    let referrer = if policy.contains("form-action 'self'") { "same-origin" } else { "no-referrer" };
    assert_eq!(header("referrer-policy"), referrer, "{what}");
    assert_eq!(page.answer.header("strict-transport-security"), None, "{what} over plain http");
    for cookie in page.answer.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.contains("; HttpOnly; SameSite=") && cookie.ends_with("; Path=/t/ada/connect"),
            "{cookie}"
        );
    }
    if page.location().is_some() {
        return;
    }
    assert_eq!(header("content-type"), "text/html; charset=utf-8", "{what}");
    let text = page.text();
    assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"), "{what}");
    for once in ["<title>", "<h1>", "<main>", "<header>", "<footer>"] {
        assert_eq!(text.matches(once).count(), 1, "{what}: {once}");
    }
    for never in ["<script", "javascript:", " on", "<img", "http-equiv", " style=\""] {
        let found = text.split("</style>").nth(1).unwrap().split('<').filter(|tag| tag.contains('>'));
        assert!(
            !found.map(|tag| tag.split('>').next().unwrap()).any(|tag| tag.contains(never)),
            "{what}: {never}"
        );
    }
}

#[tokio::test]
async fn every_page_keeps_itself_to_itself() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let at =
        |path: &str| -> Url { format!("http://{}/t/ada/connect/{path}", gateway.address()).parse().unwrap() };
    let browser = Browser::new();
    let consent = browser.load(&asked.page).await;
    assert_guarded(&consent, "consent");
    let policy = consent.answer.header("content-security-policy").unwrap();
    let provider = format!("form-action 'self' http://{};", stage.sandbox_address());
    assert!(policy.contains(&provider), "{policy}");
    let left = browser.submit_and_stay(&consent, &[("decision", "agree")]).await;
    assert_guarded(&left, "departure");
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &left.location().unwrap()).unwrap();
    let returned = browser.load(&back).await;
    assert_guarded(&returned, "return");
    assert_guarded(&browser.load(&returned.location().unwrap()).await, "end");
    assert!(
        browser.cookies().iter().all(|(name, _)| !name.contains("stagedoor-link")),
        "{:?}",
        browser.cookies()
    );
    for path in ["done", "unknown", "callback/spotify", "callback/napster", "callback/spotify?code=a&state=b"]
    {
        assert_guarded(&Browser::new().load(&at(path)).await, path);
    }
}

#[tokio::test]
async fn other_methods_change_nothing() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let browser = Browser::new();
    let door = agree(&browser, &asked.page).await;
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
    let done: Url = format!("http://{}/t/ada/connect/done", gateway.address()).parse().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (url, allowed) in [(&asked.page, "GET, POST"), (&back, "GET"), (&done, "GET")] {
        for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            let answer = http.request(method.clone(), url.clone()).send().await.unwrap();
            assert_eq!(answer.status(), 405, "{method} {url}");
            assert_eq!(answer.headers()["allow"], allowed, "{method} {url}");
        }
    }
    assert_eq!(http.post(back.clone()).send().await.unwrap().status(), 405);
    let last = browser.open(&back).await;
    assert_eq!(
        last.heading(),
        "Your Spotify account is linked",
        "a preview of the callback must not use it up"
    );
}

#[tokio::test]
async fn names_from_outside_are_shown_as_text() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway).named("<script>alert(1)</script>\u{202e}\n'\"&", "<b>1</b>");
    let asked = ask(&client, json!({ "provider": "tidal" })).await;
    let browser = Browser::new();
    let consent = browser.open(&asked.page).await;
    assert!(!consent.text().contains("<script") && !consent.text().contains("<b>1"), "{}", consent.text());
    assert!(consent.text().contains("&#60;script&#62;alert(1)"), "{}", consent.text());
    assert!(!consent.text().contains('\u{202e}'));
    let account = stage.sandbox().create_account(Provider::Tidal, "<img src=x onerror=alert(1)>", "DE");
    let last = link(&stage, &browser, &asked.page, &account).await;
    assert!(last.text().contains("&#60;img src=x") && !last.text().contains("<img"), "{}", last.text());

    // Whatever stands in an address or a cookie is not repeated either.
    let address = format!("http://{}/t/ada/connect/%3Cscript%3E", gateway.address());
    let page = Browser::new().from_address("198.51.100.1").open(&address.parse().unwrap()).await;
    assert_eq!((page.verdict().as_str(), page.text().contains("<script")), ("404 link_unknown", false));
    browser.alter_cookies(|name, value| {
        if name.ends_with("ending") {
            // {"linked":{"link":"0000…","provider":"tidal","account":"<script>","missing":[]}}
            "eyJsaW5rZWQiOnsibGluayI6IjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwNyIsInByb3ZpZGVyIjoidGlkYWwiLCJhY2NvdW50IjoiPHNjcmlwdD4iLCJtaXNzaW5nIjpbXX19"
                .clone_into(value);
        }
    });
    let page = browser.open(&last.url).await;
    assert_eq!(page.heading(), "Your Tidal account is linked");
    assert!(page.text().contains("&#60;script&#62;") && !page.text().contains("<script"), "{}", page.text());
}

#[tokio::test]
async fn over_https_and_below_a_path() {
    let stage = Stage::start().await;
    let public_url: Url = "https://127.0.0.1/music/".parse().unwrap();
    let gateway = TestGateway::start_with(&stage, |config| config.server.public_url = public_url).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let asked = ask(&ada.client(&gateway), json!({ "provider": "spotify" })).await;
    assert!(asked.page.as_str().starts_with("https://127.0.0.1/music/t/ada/connect/"), "{}", asked.page);
    // What the proxy in front would hand on.
    let path = asked.page.path().strip_prefix("/music").unwrap();
    let inside: Url = format!("http://{}{path}", gateway.address()).parse().unwrap();
    let browser = Browser::new();
    let consent = browser.load(&inside).await;
    assert_eq!(consent.answer.header("strict-transport-security"), Some("max-age=31536000"));
    let cookie = consent.answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-stagedoor-form-"), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Secure"), "{cookie}");
    let refused = browser.submit_and_stay(&consent, &[("decision", "decline")]).await;
    assert_eq!(refused.verdict(), "403 invalid_origin", "the page's own origin is the public one");
    let public = Page { url: "https://127.0.0.1/music/x".parse().unwrap(), ..consent.clone() };
    let declined = browser.submit_at(&public, &inside, &[("decision", "decline")]).await;
    assert_eq!(declined.answer.header("location"), Some("/music/t/ada/connect/done"));
}

#[test]
fn every_code_of_a_link_is_in_the_guide() {
    let in_guide: BTreeSet<&str> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|code| code.starts_with("link_"))
        .collect();
    let known: BTreeSet<&str> =
        ErrorCode::ALL.iter().map(|code| code.as_str()).filter(|code| code.starts_with("link_")).collect();
    assert_eq!(in_guide, known);
}
