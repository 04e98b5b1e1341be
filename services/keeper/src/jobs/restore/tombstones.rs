//! Telling the database who was erased, as the store of backups knows it: after somebody put the database as a whole back
//! to an earlier time, people are there again who were erased since.

use std::sync::Arc;

use clap::Args;
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening};
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::TenantContext;
use stagedoor_storage::restore::{erase_again, put_tombstones, suspend};
use stagedoor_storage::{StoreError, TenantTransaction};

use super::shelf::{Shelf, of_read};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

/// Whose word counts for the list of a tenant's erased: keys of the database, and such as only backups know since the
/// database was put back.
pub(in crate::jobs) async fn verifying(
    keeper: &Keeper,
    context: &TenantContext,
) -> Result<Vec<VerifyingKey>, JobError> {
    let shelf = Shelf::open(keeper)?;
    let tenant = Arc::new(context.tenant().clone());
    let owner = shelf.owner_of(context.tenant_id(), Some(tenant)).await?;
    shelf.verifying(&owner).await
}

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct Tombstones {
    /// Only this tenant, by its name in addresses or its id.
    #[arg(long)]
    pub tenant: Option<String>,
}

impl Tombstones {
    pub(super) async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let shelf = Shelf::open(keeper)?;
        keeper
            .each_tenant("restore", run, self.tenant.as_deref(), async |context| {
                let tenant = Arc::new(context.tenant().clone());
                if let Some(at) = shelf.store.deleted(context.tenant_id()).await.map_err(of_read)? {
                    // The note is not signed: whoever could forge it must not have a tenant deleted by it.
                    let served =
                        !run.dry_run() && keeper.store.with_tenant::<_, StoreError>(context, suspend).await?;
                    run.count("tenants_suspended", u64::from(served));
                    return Err(JobError::Refused(format!(
                        "it was deleted by {at} and is here again: it is not served any more; delete it again"
                    )));
                }
                let owner = shelf.owner_of(context.tenant_id(), Some(tenant)).await?;
                let tombstones = shelf.tombstones(run, &owner).await?;
                if tombstones.is_empty() {
                    return Ok(());
                }
                let work = async |tx: &mut TenantTransaction| {
                    let unknown = put_tombstones(tx, &tombstones).await?;
                    let again = erase_again(tx).await?;
                    Ok::<_, JobError>((unknown, again))
                };
                let (unknown, again) = if run.dry_run() {
                    let mut tx = keeper.store.begin(context).await?;
                    let told = work(&mut tx).await;
                    tx.rollback().await?;
                    told?
                } else {
                    let opening = AuditOpening::new(AuditAction::Restore, AuditClient::default());
                    keeper.audited(context, opening, keeper.store.with_tenant(context, work)).await?
                };
                run.count("tombstones_added", unknown);
                run.count("people_erased_again", again);
                Ok(())
            })
            .await
    }
}
