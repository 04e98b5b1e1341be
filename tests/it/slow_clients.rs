//! Clients that send slowly or never finish: they lose their connection, and nobody else notices.

use std::time::Duration;

use serde_json::json;
use stagedoor_testkit::{Stage, TestGateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::music;

/// How long a gateway may take to notice, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn received_until_closed(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    // A reset is as good an end as a close.
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(reading.is_ok(), "the connection stayed open");
    String::from_utf8_lossy(&received).into_owned()
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.server.body_timeout_ms = 300).await;
    let ada = stage.inhabit("ada").await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(b"POST /t/ada/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ").await.unwrap();
        slow.push(stream);
    }
    music::client(&gateway, &ada).call("usage_status", json!({})).await;
    for stream in slow {
        let received = received_until_closed(stream).await;
        assert!(received.is_empty() || received.starts_with("HTTP/1.1 408"), "{received}");
    }
}

#[tokio::test]
async fn a_connection_may_be_idle_for_longer_than_a_head_may_take_and_not_for_ever() {
    let stage = Stage::start().await;
    let bounds = |config: &mut stagedoor_bootstrap::config::Config| {
        (config.server.body_timeout_ms, config.server.idle_timeout_ms) = (300, 2_000);
    };
    let gateway = TestGateway::start_with(&stage, bounds).await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        stream.write_all(b"GET /t/ada/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(
            answer[..length].starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer[..length])
        );
    }
    received_until_closed(stream).await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.server.body_timeout_ms = 300).await;
    let ada = stage.inhabit("ada").await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST /t/ada/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{{\"jsonrpc\":",
        ada.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let received = received_until_closed(stream).await;
    assert!(received.starts_with("HTTP/1.1 408") && received.contains("body_timeout"), "{received}");
    music::client(&gateway, &ada).call("usage_status", json!({})).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for bytes in [
        "",
        "POST",
        "POST /t/ada/mcp HTTP/1.1\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxx",
    ] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        drop(stream);
    }
    let head = format!(
        "POST /t/ada/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{{",
        ada.key
    );
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    music::client(&gateway, &ada).call("usage_status", json!({})).await;
}
