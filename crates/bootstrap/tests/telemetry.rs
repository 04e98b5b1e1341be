//! Traces on the wire: a span reaches a collector, and a collector that is down costs one line, not one per span.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use stagedoor_bootstrap::config::{LogFormat, TelemetryConfig};
use stagedoor_bootstrap::telemetry;

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
    tracing::info_span!("playlist_create").in_scope(|| tracing::info!("created"));
    guard.flush().await;

    let (head, body) = received.recv().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("playlist_create") && text.contains("stagedoor-test"), "{text}");
    assert!(matches!(telemetry::init(&config, "again"), Err(telemetry::TelemetryError::Twice(_))));
}
