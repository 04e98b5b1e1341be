//! A collector that is not there, hangs or talks nonsense costs no call anything: what cannot be sent is dropped and
//! counted, with one line when it begins and one when it is over.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use stagedoor_bootstrap::tasks;
use stagedoor_testkit::{GatewayProcess, Inhabited, Stage};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::collector::{Collector, settings};
use super::end;
use crate::limits_hot_reload::until;

const LOST: &str = "the collector takes no telemetry";
const FOUND: &str = "the collector takes telemetry again";

/// When a batch is given up.
const SOON: Duration = Duration::from_millis(300);
/// Longer than a test may take.
const NEVER: Duration = Duration::from_mins(1);

/// What a collector does with a connection that it has taken.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Hangs,
    Babbles,
}

/// A listener that is no collector.
async fn impostor(mood: Mood) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks::spawn("impostor", async move {
        let mut held: Vec<TcpStream> = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if mood == Mood::Babbles {
                stream.write_all(b"220 mail.example.com ready\r\n").await.unwrap();
            }
            held.push(stream);
        }
    });
    address
}

async fn gateway(stage: &Stage, protocol: &str, address: SocketAddr, timeout: Duration) -> GatewayProcess {
    let mut settings = settings(protocol, address, "traces,logs");
    settings.push(("STAGEDOOR_TELEMETRY__OTLP_TIMEOUT_MS", timeout.as_millis().to_string()));
    GatewayProcess::start(stage, "alone", &settings).await
}

/// Calls that must not notice.
async fn calls(gateway: &GatewayProcess, ada: &Inhabited<'_>, number: usize) {
    let client = gateway.client("ada", &ada.key);
    for _ in 0..number {
        client.call("accounts_list", json!({})).await;
    }
}

async fn dropped(gateway: &GatewayProcess, signal: &str) -> u64 {
    gateway.metrics().await.sum("telemetry_dropped", &[("signal", signal)])
}

/// Lines of the program that say so of a signal.
fn lines(said: &str, what: &str, signal: &str) -> usize {
    let signal = format!("\"signal\":\"{signal}\"");
    said.lines().filter(|line| line.contains(what) && line.contains(&signal)).count()
}

async fn without_a_collector(protocol: &str, address: SocketAddr) {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let mut gateway = gateway(&stage, protocol, address, SOON).await;
    calls(&gateway, &ada, 30).await;
    until("spans and lines are dropped", async || {
        dropped(&gateway, "spans").await > 0 && dropped(&gateway, "logs").await > 0
    })
    .await;
    calls(&gateway, &ada, 10).await;
    let waiting = gateway.metrics().await.sum("telemetry_waiting", &[]);
    assert!(waiting <= 2 * 4096, "{waiting} wait");
    end(&mut gateway).await;
    let said = gateway.program().said();
    for signal in ["spans", "logs"] {
        assert_eq!(lines(&said, LOST, signal), 1, "{said}");
        assert_eq!(lines(&said, FOUND, signal), 0, "{said}");
    }
}

#[tokio::test]
async fn neither_calls_nor_the_end_wait_for_a_batch() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    for protocol in ["http", "grpc"] {
        let mut gateway = gateway(&stage, protocol, impostor(Mood::Hangs).await, NEVER).await;
        calls(&gateway, &ada, 30).await;
        end(&mut gateway).await;
        let said = gateway.program().said();
        assert!(said.contains("the last telemetry could not be sent"), "{said}");
        assert!(!said.contains(LOST), "it was waited for until it was given up: {said}");
    }
}

#[tokio::test]
async fn a_collector_that_hangs_over_http() {
    without_a_collector("http", impostor(Mood::Hangs).await).await;
}

#[tokio::test]
async fn a_collector_that_hangs_over_grpc() {
    without_a_collector("grpc", impostor(Mood::Hangs).await).await;
}

#[tokio::test]
async fn something_that_is_no_collector_over_http() {
    without_a_collector("http", impostor(Mood::Babbles).await).await;
}

#[tokio::test]
async fn something_that_is_no_collector_over_grpc() {
    without_a_collector("grpc", impostor(Mood::Babbles).await).await;
}

async fn comes_back(protocol: &'static str) {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    // Nobody listens there for now.
    let address = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut gateway = gateway(&stage, protocol, address, SOON).await;
    calls(&gateway, &ada, 5).await;
    until("spans are dropped", async || dropped(&gateway, "spans").await > 0).await;
    let collector = Collector::start_at(protocol, address).await;
    until("spans arrive", async || {
        calls(&gateway, &ada, 1).await;
        !collector.received().spans.is_empty()
    })
    .await;
    assert!(gateway.metrics().await.sum("telemetry_exported", &[("signal", "spans")]) > 0);
    end(&mut gateway).await;
    let said = gateway.program().said();
    // What was on its way while the collector came back may fail once more.
    let (lost, found) = (said.matches(LOST).count(), said.matches(FOUND).count());
    assert!((1..=2).contains(&found) && (1..=2).contains(&lost), "{said}");
}

#[tokio::test]
async fn a_collector_that_comes_back_over_http() {
    comes_back("http").await;
}

#[tokio::test]
async fn a_collector_that_comes_back_over_grpc() {
    comes_back("grpc").await;
}
