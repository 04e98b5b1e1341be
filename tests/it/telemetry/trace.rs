//! One call, one trace: from the caller's span through sign-in, limits, audit and cache to the service.

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;
use stagedoor_keeper::RunOptions;
use stagedoor_keeper::jobs::partitions::Partitions;
use stagedoor_testkit::{GatewayProcess, Inhabited, Stage};

use super::collector::{Collector, hex, text};
use super::end;

/// What the agent's program says of its own span, in `params._meta`.
const AGENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What a proxy in between says, in the HTTP headers.
const PROXY: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa01a902b7-01";

async fn consent(gateway: &GatewayProcess, ada: &Inhabited<'_>) {
    let consent = json!({ "purpose": "analytics", "granted": true, "policy_version": "1" });
    gateway.client("ada", &ada.key).call("consent_set", consent).await;
}

/// Everything of one search, over one of the protocols.
async fn one_search(protocol: &'static str) {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let collector = Collector::start(protocol).await;
    let headers = stage.folder().join("headers");
    std::fs::write(&headers, "authorization: Bearer of-the-collector\n").unwrap();
    let mut settings = collector.settings("traces,metrics,logs");
    settings.push(("STAGEDOOR_TELEMETRY__OTLP_HEADERS_FILE", headers.display().to_string()));
    settings.push(("STAGEDOOR_TELEMETRY__LOG_FORMAT", "json".to_owned()));
    let mut gateway = GatewayProcess::start(&stage, "traced", &settings).await;
    consent(&gateway, &ada).await;

    let client = gateway.client("ada", &ada.key).with_header("traceparent", PROXY);
    let params = json!({
        "name": "search",
        "arguments": { "query": "river", "provider": "spotify" },
        "_meta": { "traceparent": AGENT, "tracestate": "agent=1", "baggage": "of=someone" },
    });
    let answer = client.send(&client.message(json!(7), "tools/call", params)).await.unwrap();
    assert_eq!(answer.verdict(), "200 ok");
    let wrong = client.tool("track_get", json!({ "ref": "spotify:track:none-of-that-name" })).await;
    assert_ne!(wrong.verdict(), "200 ok");
    let shown = gateway.metrics().await.text().to_owned();
    end(&mut gateway).await;

    let received = collector.received();
    check_spans(&received.trace(&AGENT[3..35]));
    check_failure(&received.trace(&PROXY[3..35]));
    assert!(received.services.iter().all(|service| service == "stagedoor"), "{:?}", received.services);
    let wanted = Some("Bearer of-the-collector".to_owned());
    assert!(received.authorizations.iter().all(|sent| *sent == wanted), "{:?}", received.authorizations);

    let line = received.logs.iter().find(|line| {
        text(&line.attributes, "tool").as_deref() == Some("search")
            && text(&line.attributes, "trace_id").as_deref() == Some(&AGENT[3..35])
    });
    assert!(line.is_some(), "{:?}", received.logs);
    let said = gateway.program().said();
    let written = said.lines().find(|line| line.contains(&AGENT[3..35]) && line.contains("\"search\""));
    assert!(written.is_some(), "{said}");

    let Some(Data::Sum(calls)) = &received.metric("stagedoor_calls").data else { panic!("no sum") };
    let success = |key: &str| Some(key.to_owned());
    assert!(
        calls.data_points.iter().any(|point| text(&point.attributes, "outcome") == success("success")),
        "{calls:?}"
    );
    let Some(Data::Histogram(durations)) = &received.metric("stagedoor_call_duration_seconds").data else {
        panic!("no histogram")
    };
    let mut examples = durations.data_points.iter().flat_map(|point| &point.exemplars);
    let traces = [&AGENT[3..35], &PROXY[3..35]];
    assert!(examples.any(|example| traces.contains(&hex(&example.trace_id).as_str())), "{durations:?}");
    assert!(shown.contains(" # {trace_id=\""), "no exemplar: {shown}");

    // What a music service learns of it: nothing.
    let asked = stage.sandbox().request_log();
    assert!(!asked.is_empty());
    for name in ["traceparent", "tracestate", "baggage"] {
        assert!(asked.iter().all(|request| !request.headers.iter().any(|header| header == name)), "{name}");
    }
}

fn check_spans(spans: &[Span]) {
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no span {name}: {spans:?}"))
    };
    let root = named("tools/call search");
    assert_eq!(hex(&root.parent_span_id), AGENT[36..52]);
    assert_eq!((root.kind(), root.trace_state.as_str()), (SpanKind::Server, ""));
    assert_eq!(root.links.len(), 1);
    assert_eq!(hex(&root.links[0].trace_id), PROXY[3..35]);
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("mcp.protocol.version", "2026-07-28"),
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "search"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
        ("stagedoor.tenant", "ada"),
    ] {
        assert_eq!(text(&root.attributes, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(text(&root.attributes, "error.type"), None);
    for name in ["authenticate", "limits", "audit", "cache"] {
        let span = named(name);
        assert_eq!(span.parent_span_id, root.span_id, "{name}");
        let within = root.start_time_unix_nano <= span.start_time_unix_nano
            && span.end_time_unix_nano <= root.end_time_unix_nano;
        assert!(within, "{name} is not within the request");
    }
    let cache = named("cache");
    assert_eq!(text(&cache.attributes, "stagedoor.cache.level").as_deref(), Some("fetched"));
    let asked = named("GET");
    assert_eq!((&asked.parent_span_id, asked.kind()), (&cache.span_id, SpanKind::Client));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
        ("stagedoor.provider", "spotify"),
    ] {
        assert_eq!(text(&asked.attributes, key).as_deref(), Some(value), "{key}");
    }
    assert!(text(&asked.attributes, "stagedoor.operation").is_some());
}

fn check_failure(spans: &[Span]) {
    let root = spans.iter().find(|span| span.name == "tools/call track_get").unwrap();
    assert_eq!(hex(&root.parent_span_id), PROXY[36..52]);
    assert!(text(&root.attributes, "error.type").is_some(), "{root:?}");
    assert!(text(&root.attributes, "stagedoor.error").is_some(), "{root:?}");
    let status = root.status.clone().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, ""));
}

#[tokio::test]
async fn a_call_is_one_trace_over_http() {
    one_search("http").await;
}

#[tokio::test]
async fn a_call_is_one_trace_over_grpc() {
    one_search("grpc").await;
}

#[tokio::test]
async fn a_trace_that_its_caller_does_not_sample_is_not_sent_and_a_share_of_the_others_is() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let collector = Collector::start("http").await;
    let mut settings = collector.settings("traces");
    settings.push(("STAGEDOOR_TELEMETRY__SAMPLING_RATIO", "0.0".to_owned()));
    let mut gateway = GatewayProcess::start(&stage, "sampled", &settings).await;
    let client = |parent: &str| gateway.client("ada", &ada.key).with_header("traceparent", parent);
    client(&PROXY.replace("-01", "-00")).call("accounts_list", json!({})).await;
    gateway.client("ada", &ada.key).call("accounts_list", json!({})).await;
    client(AGENT).call("accounts_list", json!({})).await;
    end(&mut gateway).await;
    let received = collector.received();
    assert!(!received.spans.is_empty());
    assert_eq!(received.trace(&AGENT[3..35]).len(), received.spans.len(), "{:?}", received.spans);
    assert!(received.logs.is_empty() && received.metrics.is_empty(), "signals that nobody asked for");
}

#[tokio::test]
async fn figures_of_a_run_arrive_over_grpc() {
    let stage = Stage::start().await;
    let collector = Collector::start("grpc").await;
    let mut config = stage.keeper_config();
    config.telemetry.otlp_endpoint = Some(format!("http://{}", collector.address()).parse().unwrap());
    config.telemetry.otlp_protocol = stagedoor_bootstrap::config::OtlpProtocol::Grpc;
    let keeper = stage.keeper_with(config).await;
    keeper.execute(&Partitions::default(), RunOptions::default()).await.unwrap();
    let received = collector.received();
    assert!(received.metric("stagedoor_keeper_last_success_timestamp_seconds").data.is_some());
}
