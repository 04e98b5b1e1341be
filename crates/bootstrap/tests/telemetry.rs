//! Traces on the wire: the spans of a request reach a collector, and what is no part of a request does not.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use stagedoor_bootstrap::config::{LogFormat, TelemetryConfig};
use stagedoor_bootstrap::telemetry::{self, RequestTrace};
use tracing::Instrument;

/// A collector that takes one request and answers as OTLP wants: 200 with an empty protobuf message.
fn collector() -> (u16, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).unwrap();
        sender.send((head, body)).unwrap();
    });
    (port, receiver)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_reaches_the_collector_when_the_process_ends() {
    let (port, received) = collector();
    let config = TelemetryConfig {
        otlp_endpoint: Some(format!("http://127.0.0.1:{port}").parse().unwrap()),
        log_format: LogFormat::Json,
        ..TelemetryConfig::default()
    };
    let guard = telemetry::init(&config, "stagedoor-test").unwrap();
    tracing::info_span!(target: "stagedoor::test", "of_nobody").in_scope(|| tracing::info!("said aloud"));
    let trace = RequestTrace::begin("playlist_create", telemetry::moment(), &[]).unwrap();
    let room = || async { tracing::info!("said aloud") };
    let room = telemetry::within(Some(&trace), async move {
        let span = tracing::info_span!(target: "stagedoor::test", "room", "stagedoor.provider" = "tidal");
        room().instrument(span).await;
    });
    room.await;
    drop(trace);
    guard.flush().await;

    let (head, body) = received.recv().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    let text = String::from_utf8_lossy(&body);
    for part in ["playlist_create", "room", "stagedoor.provider", "tidal", "stagedoor-test"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["of_nobody", "said aloud"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    assert!(matches!(telemetry::init(&config, "again"), Err(telemetry::TelemetryError::Twice(_))));
}
