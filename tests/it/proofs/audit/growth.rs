//! How much the trail takes: bytes of tables and indexes for each call, reads by batches and writes one by one, brought up
//! to a million calls.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditLog, AuditOpening, AuditOptions, AuditOutcome, AuditResource, Checkpointer,
};
use stagedoor_bootstrap::tasks;
use stagedoor_domain::{CallId, Principal, TenantContext, ToolName, UserId};
use stagedoor_storage::audit::footprint;
use stagedoor_testkit::proof::{ProofSize, prove};
use stagedoor_testkit::{Stage, TestTenant, generous};
use tokio_util::sync::CancellationToken;

const PEOPLE: usize = 50;
const AT_ONCE: usize = 64;
const MEBIBYTE: f64 = 1_048_576.0;
const OK: AuditOutcome =
    AuditOutcome { error: None, response_code: 200, duration: Duration::from_micros(1_500), cached: true };

#[tokio::test(flavor = "multi_thread")]
async fn a_million_calls_take_a_known_space() {
    let calls: u64 = ProofSize::wanted().of(4_000, 200_000);
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada", generous()).await;
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(tenant.person("Robin").await);
    }
    let reads = grown(&stage, &tenant, &people, ToolName::Search, calls).await;
    let writes = grown(&stage, &tenant, &people, ToolName::PlaylistAdd, calls / 4).await;
    for (name, bound, bytes) in
        [("audit.mib_per_million_reads", 1_200.0, reads), ("audit.mib_per_million_changes", 3_600.0, writes)]
    {
        let mebibytes = bytes / MEBIBYTE;
        let holds = mebibytes > 1.0 && mebibytes <= bound;
        prove(name, format_args!("{mebibytes:.0}"), format_args!("<={bound}"), holds);
    }
}

/// The bytes that a million such calls would add.
async fn grown(stage: &Stage, tenant: &TestTenant<'_>, people: &[UserId], tool: ToolName, calls: u64) -> f64 {
    let (vault, store) = (stage.reader(), stage.reader().store());
    let (log, worker) = AuditLog::new(Arc::clone(vault), AuditOptions::default());
    let stop = CancellationToken::new();
    let writer = tasks::spawn("audit", worker.run(stop.clone()));
    let before = footprint(store).await.unwrap();
    let made = futures_util::stream::iter(0..calls).map(async |number| {
        let context =
            as_agent(stage, tenant.context(), people[usize::try_from(number).unwrap() % people.len()]);
        let client = AuditClient {
            address: Some([203, 0, 113, 7].into()),
            user_agent: Some("agent/1.0".into()),
            software: Some("client/1.0".into()),
        };
        let opening = AuditOpening {
            resource: Some(AuditResource { kind: "track", id: format!("spotify:track:{number:022}").into() }),
            ..AuditOpening::new(AuditAction::Tool(tool), client)
        };
        log.open(&context, opening).await.unwrap().close(OK).await;
    });
    made.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    log.flush().await.unwrap();
    let checkpointer = Checkpointer::new(Arc::clone(vault), None, Duration::from_mins(1));
    checkpointer.seal(tenant.context(), [stage.clock().now().date_naive()]).await.unwrap();
    stop.cancel();
    writer.await.unwrap();
    footprint(store).await.unwrap().per_million_since(before, calls)
}

#[expect(clippy::disallowed_methods, reason = "tests build contexts")]
fn as_agent(stage: &Stage, context: &TenantContext, user: UserId) -> TenantContext {
    let call = CallId::generate(&**stage.clock(), stage.reader().entropy());
    let principal = Principal { user: Some(user), ..context.principal().clone() };
    TenantContext::for_request(context.tenant().clone().into(), principal.into(), call)
}
