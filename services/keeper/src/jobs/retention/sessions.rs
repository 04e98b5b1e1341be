//! Sessions that nobody has used for long: the session goes, the account says that it must be linked again. Each is on
//! record under its person before it goes.

use chrono::TimeDelta;
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_domain::{LinkedAccountId, Retained, TenantContext};
use stagedoor_storage::StoreError;
use stagedoor_storage::retention::{IdleSession, idle_sessions, purge_session};
use uuid::Uuid;

use super::days;
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

const BATCH: i64 = 100;

pub(super) async fn purge(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    let before = keeper.clock.now() - TimeDelta::days(days(keeper, context, Retained::Sessions).into());
    let mut after = LinkedAccountId(Uuid::nil());
    run.count("sessions_deleted", 0);
    loop {
        run.go_on()?;
        let read = async |tx: &mut _| idle_sessions(tx, before, after, BATCH).await;
        let idle = keeper.store.with_tenant::<_, StoreError>(context, read).await?;
        let Some(last) = idle.last() else { return Ok(()) };
        after = last.account;
        if run.dry_run() {
            run.count("sessions_deleted", idle.len() as u64);
            continue;
        }
        for IdleSession { account, user } in idle {
            let person = keeper.context_of(context, user);
            let resource = AuditResource { kind: "account", id: account.to_string().into() };
            let opening = AuditOpening {
                resource: Some(resource),
                ..AuditOpening::new(AuditAction::SessionExpire, AuditClient::default())
            };
            let purge = async {
                let purge = async |tx: &mut _| purge_session(tx, account, before).await;
                Ok(keeper.store.with_tenant::<_, StoreError>(context, purge).await?)
            };
            let purged = keeper.audited(&person, opening, purge).await?;
            run.count("sessions_deleted", purged.into());
        }
    }
}
