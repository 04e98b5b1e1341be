//! The quota broker over real HTTP: a sandbox that counts requests per client id, and people who share one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::tool::ToolsetSet;
use stagedoor_domain::{
    CallId, ItemRef, Principal, PrincipalKind, Provider, ScopeSet, Tenant, TenantContext, UserId,
};
use stagedoor_providers::{Access, BrokerOptions, Deadline, ProviderError, Urgency};
use stagedoor_sandbox::{Effect, FaultRule, RequestQuota};
use uuid::Uuid;

use crate::every::tracks;
use crate::fixture::{CLIENT_ID, Fixture};

#[expect(clippy::disallowed_methods, reason = "tests build the context that the gateway would")]
fn person(tenant: &Tenant, number: u128) -> TenantContext {
    let principal = Principal {
        kind: PrincipalKind::ApiKey(format!("{number:012}").parse().unwrap()),
        user: Some(UserId(Uuid::from_u128(number))),
        scopes: ScopeSet::all(),
        toolsets: ToolsetSet::all(),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    };
    let call = CallId(Uuid::from_u128(number));
    TenantContext::for_request(Arc::new(tenant.clone()), Arc::new(principal), call)
}

async fn read(fixture: &Fixture, ctx: &TenantContext, track: &ItemRef) -> Result<(), ProviderError> {
    fixture.music().track(ctx, &fixture.access(), track).await.map(drop)
}

#[tokio::test]
async fn a_busy_person_keeps_nobody_waiting_for_more_than_a_turn() {
    let mut fixture = Fixture::start(Provider::Spotify).await;
    fixture.renew_client(|options| options.broker = BrokerOptions { in_flight: 1, queue: 500 });
    let (busy, other) = (person(fixture.ctx.tenant(), 1), person(fixture.ctx.tenant(), 2));
    let wanted = tracks(&fixture, 120);
    let (last, many) = wanted.split_last().unwrap();
    let held = fixture.sandbox.faults().push(FaultRule::new(Provider::Spotify, Effect::Hold));
    let calls = join_all(many.iter().map(|track| read(&fixture, &busy, track)));
    let newcomer = async {
        // The busy one's calls are all in line before the other's comes.
        while fixture.providers.standing(&fixture.ctx, &fixture.app).waiting < many.len() - 1 {
            tokio::task::yield_now().await;
        }
        fixture.sandbox.faults().remove(held);
        read(&fixture, &other, last).await.unwrap();
        fixture.request_count()
    };
    let (outcomes, sent_before) = tokio::join!(calls, newcomer);
    assert!(outcomes.iter().all(Result::is_ok));
    // One was under way, and one had its turn; the answer's way back may let another one go out.
    assert!(sent_before <= 4, "{sent_before} requests went out before the newcomer's answer came");
    assert_eq!(fixture.providers.broker_counters(Provider::Spotify).queued, 120 - 1);
}

#[tokio::test]
async fn calls_that_come_too_late_are_refused_at_once_and_tokens_go_past_the_line() {
    for provider in Provider::ALL.iter().copied() {
        let fixture = Fixture::start(provider).await;
        let quota = RequestQuota { requests: 3, window_seconds: 30, tells_wait: true };
        fixture.sandbox.limit_requests(provider, CLIENT_ID, Some(quota));
        let wanted = tracks(&fixture, 6);
        for track in &wanted[..3] {
            read(&fixture, &fixture.ctx, track).await.unwrap();
        }
        assert!(!fixture.providers.pressed(&fixture.ctx, &fixture.app));
        let refused = read(&fixture, &fixture.ctx, &wanted[3]).await.unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(30)));
        assert!(fixture.providers.pressed(&fixture.ctx, &fixture.app));
        fixture.clock.advance(Duration::from_secs(10));
        fixture.request_count();
        let deadline = Deadline::after(&*fixture.clock, Duration::from_secs(10));
        let access = Access { deadline: Some(deadline), ..fixture.access() };
        let late = fixture.music().track(&fixture.ctx, &access, &wanted[4]).await.unwrap_err();
        let ProviderError::RateLimited { retry_after, queued: false, .. } = late else {
            panic!("{provider}: {late:?}");
        };
        assert_eq!(retry_after, Duration::from_secs(20), "what is left of the pause");
        let background = Access { urgency: Urgency::Background, ..fixture.access() };
        assert!(fixture.music().track(&fixture.ctx, &background, &wanted[4]).await.is_err());
        assert_eq!(fixture.request_count(), 0, "{provider}: it was asked all the same");
        fixture.music().refresh(&fixture.ctx, &fixture.app, &fixture.refresh_token).await.unwrap();
        fixture.clock.advance(Duration::from_secs(20));
        read(&fixture, &fixture.ctx, &wanted[5]).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_sits_through_a_short_pause_that_its_deadline_allows() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let wanted = tracks(&fixture, 2);
    fixture.sandbox.faults().push(FaultRule::new(Provider::Spotify, Effect::rate_limited(3)).times(1));
    read(&fixture, &fixture.ctx, &wanted[0]).await.unwrap_err();
    fixture.request_count();
    let deadline = Deadline::after(&*fixture.clock, Duration::from_secs(10));
    let access = Access { deadline: Some(deadline), ..fixture.access() };
    let call = fixture.music().track(&fixture.ctx, &access, &wanted[1]);
    let clock = async {
        while fixture.providers.standing(&fixture.ctx, &fixture.app).waiting == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(fixture.request_count(), 0);
        fixture.clock.advance(Duration::from_secs(3));
    };
    let (answer, ()) = tokio::join!(call, clock);
    answer.unwrap();
    assert_eq!(fixture.request_count(), 1);
}

#[tokio::test]
async fn a_wait_at_the_token_endpoint_is_kept_there_and_there_only() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let rule = FaultRule::new(Provider::Spotify, Effect::rate_limited(60)).grant_type("client_credentials");
    fixture.sandbox.faults().push(rule.times(1));
    let wanted = tracks(&fixture, 1);
    for _ in 0..2 {
        let refused = fixture.music().client_credentials(&fixture.ctx, &fixture.app).await.unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_mins(1)));
    }
    assert_eq!(fixture.sandbox.token_requests(Provider::Spotify)["client_credentials"], 1);
    read(&fixture, &fixture.ctx, &wanted[0]).await.unwrap();
    assert!(!fixture.providers.pressed(&fixture.ctx, &fixture.app));
}

#[tokio::test]
async fn another_tenant_with_the_same_client_id_is_not_shut_out() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let wanted = tracks(&fixture, 2);
    fixture.sandbox.faults().push(FaultRule::new(Provider::Spotify, Effect::rate_limited(60)).times(1));
    read(&fixture, &fixture.ctx, &wanted[0]).await.unwrap_err();
    let mut tenant = fixture.ctx.tenant().clone();
    tenant.id = stagedoor_domain::TenantId(Uuid::from_u128(77));
    read(&fixture, &person(&tenant, 1), &wanted[0]).await.unwrap();
    read(&fixture, &person(fixture.ctx.tenant(), 1), &wanted[0]).await.unwrap_err();
}

/// A retry takes a turn of its own: between the two attempts of one, another's call goes out.
#[tokio::test]
async fn a_retry_waits_its_turn() {
    let mut fixture = Fixture::start(Provider::Spotify).await;
    fixture.renew_client(|options| options.broker = BrokerOptions { in_flight: 1, queue: 10 });
    let wanted = tracks(&fixture, 2);
    let failing = format!("/tracks/{}", wanted[0].id());
    let rule = FaultRule::new(Provider::Spotify, Effect::status(503)).path_prefix(&failing);
    fixture.sandbox.faults().push(rule.times(1));
    let other = person(fixture.ctx.tenant(), 2);
    let (first, second) =
        tokio::join!(read(&fixture, &fixture.ctx, &wanted[0]), read(&fixture, &other, &wanted[1]));
    first.unwrap();
    second.unwrap();
    let order: Vec<String> = fixture.sandbox.request_log().into_iter().map(|request| request.path).collect();
    let other = format!("/tracks/{}", wanted[1].id());
    assert_eq!(order, [failing.clone(), other, failing]);
}
