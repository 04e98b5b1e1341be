//! Faults on script, the counters, and the controls over HTTP.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};

use crate::common::{Stage, send};

#[tokio::test]
async fn a_status_comes_in_the_providers_shape_as_often_as_told() {
    let stage = Stage::new().await;
    stage.sandbox.faults().push(FaultRule::new(Provider::Spotify, Effect::rate_limited(80_000)).times(1));
    let answer = stage.spotify(Method::GET, "/me").send().await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"80000".parse().unwrap())
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["status"], 429);
    assert_eq!(send(stage.spotify(Method::GET, "/me")).await.0, StatusCode::OK);

    stage.sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::status(503)).path_prefix("/tracks"));
    for _ in 0..3 {
        let (status, body) = send(stage.tidal(Method::GET, "/tracks/1")).await;
        assert_eq!((status, &body["errors"][0]["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"503".into()));
    }
    assert_eq!(send(stage.tidal(Method::GET, "/users/me")).await.0, StatusCode::OK);
    stage.sandbox.faults().clear();
    assert_eq!(send(stage.tidal(Method::GET, "/tracks/1")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn bodies_can_be_garbage_of_another_shape_or_huge() {
    let stage = Stage::new().await;
    let fault = |effect| stage.sandbox.faults().push(FaultRule::new(Provider::Spotify, effect).times(1));
    fault(Effect::Garbage);
    let answer = stage.spotify(Method::GET, "/me").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.json::<Value>().await.is_err());
    fault(Effect::WrongShape);
    let (status, body) = send(stage.spotify(Method::GET, "/me")).await;
    assert_eq!((status, body.get("id"), body.is_object()), (StatusCode::OK, None, true));
    fault(Effect::HugeBody { bytes: 5_000_001 });
    let answer = stage.spotify(Method::GET, "/me").send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len(), 5_000_001);
}

#[tokio::test]
async fn connections_can_be_closed_or_left_hanging() {
    let stage = Stage::new().await;
    stage.sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::CloseConnection).times(1));
    let error = stage.tidal(Method::GET, "/users/me").send().await.unwrap_err();
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert_eq!(send(stage.tidal(Method::GET, "/users/me")).await.0, StatusCode::OK);
    stage.sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::Hang).times(1));
    let error =
        stage.tidal(Method::GET, "/users/me").timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn the_server_ends_although_a_request_hangs() {
    let sandbox = stagedoor_sandbox::Sandbox::new(stagedoor_sandbox::SandboxConfig::default());
    sandbox.faults().push(FaultRule::new(Provider::Spotify, Effect::Hang));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = stagedoor_sandbox::serve(sandbox.clone(), listener, async { drop(stopped.await) });
    let asking = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /spotify/v1/me HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        while sandbox.requests(Provider::Spotify).is_empty() {
            tokio::task::yield_now().await;
        }
        stop.send(()).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert!(answer.is_empty());
    };
    let (served, ()) = tokio::join!(serving, asking);
    served.unwrap();
}

#[tokio::test]
async fn every_provider_call_is_counted_and_logged_without_secrets() {
    let stage = Stage::new().await;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*stage.grants[0].refresh_token),
        ("client_id", "app"),
    ];
    stage.token(Provider::Spotify, &form).await;
    for id in ["11dFghVXANMlKmJXsNCbNl", "21dFghVXANMlKmJXsNCbNl"] {
        send(stage.spotify(Method::GET, &format!("/tracks/{id}?market=SE"))).await;
    }
    let counts = stage.sandbox.requests(Provider::Spotify);
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [("GET /tracks/{id}".to_owned(), 2), ("POST /accounts/api/token".to_owned(), 1)]
    );
    assert!(stage.sandbox.requests(Provider::Tidal).is_empty());
    let log = stage.sandbox.request_log();
    assert_eq!(
        (&*log[0].body, &*log[1].path, log[1].query.as_deref()),
        ("grant_type=refresh_token", "/tracks/11dFghVXANMlKmJXsNCbNl", Some("market=SE"))
    );
    assert!(log[1].headers.contains(&"authorization".to_owned()));
    let text = serde_json::to_string(&log).unwrap();
    assert!(!text.contains(&stage.grants[0].refresh_token) && !text.contains(&stage.grants[0].access_token));
}

#[tokio::test]
async fn other_processes_script_it_over_http() {
    let stage = Stage::new().await;
    let control = |method, path: &str| stage.client.request(method, format!("{}/_sandbox{path}", stage.base));
    let rule = json!({ "provider": "tidal", "operation": "GET /users/{id}", "times": 2, "effect": { "status": { "status": 500 } } });
    let (status, pushed) = send(control(Method::POST, "/faults").json(&rule)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(send(stage.tidal(Method::GET, "/users/me")).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    let (_, listed) = send(control(Method::GET, "/faults")).await;
    assert_eq!(
        (&listed["faults"][0]["id"], &listed["faults"][0]["rule"]["times"]),
        (&pushed["id"], &1.into())
    );
    assert_eq!(send(control(Method::DELETE, "/faults")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(send(stage.tidal(Method::GET, "/users/me")).await.0, StatusCode::OK);
    for effect in [
        json!("garbage"),
        json!("hang"),
        json!({ "delay": { "milliseconds": 1 } }),
        json!({ "huge_body": { "bytes": 1 } }),
    ] {
        let rule = json!({ "provider": "spotify", "stage": "after_work", "effect": effect });
        assert_eq!(send(control(Method::POST, "/faults").json(&rule)).await.0, StatusCode::CREATED, "{rule}");
    }
    let (_, counts) = send(control(Method::GET, "/requests")).await;
    assert_eq!(counts["tidal"]["GET /users/{id}"], 2);
    let (_, log) = send(control(Method::GET, "/log")).await;
    assert_eq!(log.as_array().unwrap().len(), 2);

    let account = json!({ "provider": "tidal", "display_name": "Cy", "country": "DE" });
    let (_, made) = send(control(Method::POST, "/accounts").json(&account)).await;
    let wanted = json!({ "provider": "tidal", "account_id": made["account_id"], "client_id": "app", "scopes": ["user.read"] });
    let (_, grant) = send(control(Method::POST, "/grants").json(&wanted)).await;
    let me = stage
        .client
        .get(format!("{}/tidal/v2/users/me", stage.base))
        .bearer_auth(grant["access_token"].as_str().unwrap());
    assert_eq!(send(me).await.1["data"]["attributes"]["username"], "Cy");
    assert_eq!(send(control(Method::POST, "/expire/tidal")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(send(stage.tidal(Method::GET, "/users/me")).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_quota_counts_what_a_client_sends_with_any_token() {
    let stage = Stage::new().await;
    let quota = json!({ "requests": 2, "window_seconds": 3_600, "tells_wait": true });
    let control = |method, path: &str| stage.client.request(method, format!("{}/_sandbox{path}", stage.base));
    let answer = control(Method::PUT, "/quota/spotify/app").json(&quota).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    for _ in 0..2 {
        assert_eq!(send(stage.spotify(Method::GET, "/me")).await.0, StatusCode::OK);
    }
    let refused = stage.spotify(Method::GET, "/me").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    assert_eq!(send(stage.tidal(Method::GET, "/users/me")).await.0, StatusCode::OK);
    let (_, traffic) = send(control(Method::GET, "/traffic/spotify/app")).await;
    let counts: Vec<&Value> = traffic.as_object().unwrap().values().collect();
    assert_eq!(counts, [&json!({ "passed": 2, "refused": 1 })]);
    control(Method::DELETE, "/quota/spotify/app").send().await.unwrap();
    assert_eq!(send(stage.spotify(Method::GET, "/me")).await.0, StatusCode::OK);
}
