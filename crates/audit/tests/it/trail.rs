//! A running audit trail and what tests do with it.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditEntry, AuditLog, AuditOpening, AuditOptions, AuditOutcome, AuditView,
    verify_chain,
};
use stagedoor_domain::{CallId, Clock as _, TenantContext, ToolName};
use stagedoor_storage::KeyVault;
use tokio_util::sync::CancellationToken;

use crate::support::Database;

pub(crate) struct Trail {
    pub(crate) log: AuditLog,
    pub(crate) shutdown: CancellationToken,
    pub(crate) writer: tokio::task::JoinSet<()>,
}

impl Trail {
    pub(crate) fn start(database: &Database, options: AuditOptions) -> Self {
        Self::over(database.vault.clone(), options)
    }

    pub(crate) fn over(vault: Arc<KeyVault>, options: AuditOptions) -> Self {
        let (log, worker) = AuditLog::new(vault, options);
        let shutdown = CancellationToken::new();
        let mut writer = tokio::task::JoinSet::new();
        writer.spawn(worker.run(shutdown.clone()));
        Self { log, shutdown, writer }
    }

    /// A read that succeeded.
    pub(crate) async fn read(&self, context: &TenantContext) {
        let entry = self.open(context, ToolName::Search).await;
        entry.close(OK).await;
    }

    pub(crate) async fn open(&self, context: &TenantContext, tool: ToolName) -> AuditEntry {
        self.log.open(context, opening(tool)).await.unwrap()
    }
}

pub(crate) const OK: AuditOutcome =
    AuditOutcome { error: None, response_code: 200, duration: Duration::from_micros(1_500), cached: true };

/// Without a wait, so that tests are not slower than they must be.
pub(crate) fn prompt() -> AuditOptions {
    AuditOptions { flush_interval: Duration::from_millis(1), ..AuditOptions::default() }
}

pub(crate) fn opening(tool: ToolName) -> AuditOpening {
    let client = AuditClient {
        address: Some("203.0.113.7".parse().unwrap()),
        user_agent: Some("agent/1.0".into()),
        software: Some("assistant 2.0".into()),
    };
    AuditOpening::new(AuditAction::Tool(tool), client)
}

#[expect(clippy::disallowed_methods, reason = "tests build contexts")]
pub(crate) fn another_call(database: &Database, context: &TenantContext) -> TenantContext {
    let call = CallId::generate(&*database.clock, database.vault.entropy());
    let (tenant, principal) = (context.tenant().clone(), context.principal().clone());
    TenantContext::for_request(tenant.into(), principal.into(), call)
}

pub(crate) fn today(database: &Database) -> NaiveDate {
    database.clock.now().date_naive()
}

pub(crate) async fn views(database: &Database, context: &TenantContext) -> Vec<AuditView> {
    stagedoor_audit::read_records(&database.vault, context, today(database), 0, 10_000).await.unwrap()
}

/// `kind action outcome` of each record, in the chain's order; the chain must be valid.
pub(crate) async fn story(database: &Database, context: &TenantContext) -> Vec<String> {
    let report = verify_chain(&database.vault, context, today(database)).await.unwrap();
    assert_eq!(report.faults, []);
    let tell = |view: &AuditView| {
        let json = view.json().unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        format!("{} {} {}", text(&json["record"]), text(&json["action"]), text(&json["details"]["outcome"]))
    };
    views(database, context).await.iter().map(tell).collect()
}
