//! What a 429 means for the calls after it, however its wait is told and whatever becomes of its body.

use std::time::Duration;

use stagedoor_domain::{ErrorCode, Fault, Provider};
use stagedoor_providers::{Access, Deadline, HttpOptions, ProviderApp, ProviderError};

use crate::scripted::{Scripted, json};
use crate::wire::{TRACK, Wire};

#[tokio::test]
async fn a_wait_is_kept_without_asking_again() {
    let busy =
        json("429 Too Many Requests", "retry-after: 80000\r\n", r#"{"error":{"status":429,"message":"x"}}"#);
    let wire = Wire::start(vec![busy, json("200 OK", "", TRACK)]).await;
    for _ in 0..3 {
        let error = wire.read().await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(80_000)));
        assert_eq!((error.code(), error.fault()), (ErrorCode::ProviderRateLimited, Fault::Provider));
    }
    assert_eq!(wire.server.requests().len(), 1);
    let other = ProviderApp { client_id: "another".to_owned(), ..wire.app.clone() };
    let access = Access { app: &other, ..wire.access() };
    assert_eq!(wire.read_as(&access).await.unwrap(), "Song", "another client id is not shut");

    wire.clock.advance(Duration::from_secs(79_999));
    assert_eq!(wire.read().await.unwrap_err().retry_after(), Some(Duration::from_secs(1)));
    wire.clock.advance(Duration::from_secs(1));
    let error = wire.read().await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "the request went out: {error:?}");
}

#[tokio::test]
async fn a_wait_can_be_a_date_or_missing() {
    let date = "Sun, 25 Oct 2026 20:14:20 GMT";
    let until = chrono::DateTime::parse_from_rfc2822(date).unwrap().to_utc();
    let wire =
        Wire::start(vec![json("429 Too Many Requests", &format!("retry-after: {date}\r\n"), "{}")]).await;
    let expected = (until - stagedoor_domain::Clock::now(&*wire.clock)).to_std().unwrap_or_default();
    let wait = wire.read().await.unwrap_err().retry_after().unwrap();
    assert_eq!(wait, expected.clamp(Duration::from_secs(1), Duration::from_hours(24)));

    let wire = Wire::start(vec![json("429 Too Many Requests", "", "{}")]).await;
    assert_eq!(
        wire.read().await.unwrap_err().retry_after(),
        Some(Duration::from_millis(500)),
        "half a second plus jitter"
    );
}

#[tokio::test]
async fn a_quota_is_told_apart_from_a_burst() {
    let body = r#"{"error":{"status":429,"message":"Quota","reason":"QUOTA_EXCEEDED"}}"#;
    let wire = Wire::start(vec![json("429 Too Many Requests", "", body)]).await;
    let error = wire.read().await.unwrap_err();
    assert!(matches!(error, ProviderError::QuotaExceeded { retry_after: None, .. }), "{error:?}");
}

/// A 429 that asks for a minute and promises `length` bytes of body.
fn refusal(length: usize, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: 60\r\ncontent-length: {length}\r\n\r\n")
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

async fn is_kept(wire: &Wire, refused: ProviderError) {
    let ProviderError::RateLimited { retry_after, queued: false, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(retry_after, Duration::from_mins(1));
    assert_eq!(wire.read().await.unwrap_err().retry_after(), Some(Duration::from_mins(1)));
    assert_eq!(wire.server.requests().len(), 1, "it was asked again");
    assert_eq!(wire.providers.broker_counters(Provider::Spotify).pauses, 1);
}

#[tokio::test]
async fn a_refusal_holds_though_its_body_breaks_off() {
    let wire = Wire::start(vec![refusal(100, b"{"), json("200 OK", "", TRACK)]).await;
    let refused = wire.read().await.unwrap_err();
    is_kept(&wire, refused).await;
}

#[tokio::test]
async fn a_refusal_holds_though_its_body_is_too_long() {
    let body = vec![b' '; 300_000];
    let wire = Wire::start(vec![refusal(body.len(), &body), json("200 OK", "", TRACK)]).await;
    let refused = wire.read().await.unwrap_err();
    is_kept(&wire, refused).await;
}

#[tokio::test]
async fn a_refusal_holds_though_its_body_never_ends() {
    let short = |options: &mut HttpOptions| options.request_timeout = Duration::from_millis(200);
    let wire = Wire::of(Scripted::start_unfinished(vec![refusal(100, b"{")]).await, short);
    let refused = wire.read().await.unwrap_err();
    is_kept(&wire, refused).await;

    let wire = Wire::of(Scripted::start_unfinished(vec![refusal(100, b"{")]).await, |_| ());
    let deadline = Deadline::after(&*wire.clock, Duration::from_millis(200));
    let refused = wire.read_as(&Access { deadline: Some(deadline), ..wire.access() }).await.unwrap_err();
    is_kept(&wire, refused).await;
}

#[tokio::test]
async fn a_wait_begins_before_the_body_has_come() {
    let wire = Wire::of(Scripted::start_unfinished(vec![refusal(100, b"{")]).await, |_| ());
    let paused = async {
        while wire.providers.standing(&wire.ctx, &wire.app).paused_for.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        outcome = wire.read() => panic!("the call ended first: {outcome:?}"),
        () = paused => {}
    }
    assert_eq!(wire.read().await.unwrap_err().retry_after(), Some(Duration::from_mins(1)));
}
