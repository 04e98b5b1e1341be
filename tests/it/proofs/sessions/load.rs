//! How long it takes to have a person's tokens at hand: from PostgreSQL, and from memory (SEED-T §14.3 asks for 50 ms).

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{CallId, Principal, PrincipalKind, Provider, ScopeSet, TenantContext, ToolsetSet};
use stagedoor_testkit::proof::{ProofSize, prove_equal, prove_time};
use stagedoor_testkit::{Inhabited, Stage, TestGateway};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_at_hand_quickly() {
    let loads: u32 = ProofSize::wanted().of(20, 2_000);
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let desk = gateway.state().dispatcher.desk();
    let (ctx, account) = (context(&ada), ada.account(Provider::Spotify).id);
    let open = async || {
        let began = stage.clock().elapsed();
        desk.open_session(&ctx, account).await.unwrap();
        stage.clock().elapsed().saturating_sub(began)
    };
    open().await;
    let before = desk.sessions().counts();
    let (mut cold, mut cached) = (Vec::new(), Vec::new());
    for _ in 0..loads {
        desk.sessions().forget_all();
        cold.push(open().await);
        cached.push(open().await);
    }
    let after = desk.sessions().counts();
    prove_equal("sessions.load_from_postgres", after.opened_cold - before.opened_cold, loads.into());
    prove_equal("sessions.load_from_memory", after.opened_memory - before.opened_memory, loads.into());
    prove_time("sessions.load_from_postgres_p99", p99(cold), 5.0);
    prove_time("sessions.load_from_memory_p99", p99(cached), 0.1);
}

/// In milliseconds.
fn p99(mut durations: Vec<Duration>) -> f64 {
    durations.sort();
    durations[durations.len() * 99 / 100].as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "a test builds the context that a key of the person would get")]
fn context(person: &Inhabited<'_>) -> TenantContext {
    let principal = Principal {
        kind: PrincipalKind::ApiKey("AAAAAAAAAAAA".parse().unwrap()),
        user: Some(person.user),
        scopes: ScopeSet::all(),
        toolsets: ToolsetSet::all(),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    };
    TenantContext::for_request(person.shared(), Arc::new(principal), CallId(Uuid::nil()))
}
