//! `KeeperService`.

use stagedoor_domain::BackupClass;
use stagedoor_proto::admin::v1::{
    Backup, KeeperRun, ListBackupsRequest, ListBackupsResponse, ListRunsRequest, ListRunsResponse,
};
use stagedoor_storage::backups::{self, CatalogueEntry};
use stagedoor_storage::keeper_runs::StoredRun;

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::page::{self, Place};
use crate::times;

/// Lists runs of the keeper's jobs, the newest first.
pub async fn list_runs(call: &AdminCall, request: ListRunsRequest) -> Result<ListRunsResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let before = page::after::<Place>(&request.page_token)?.map(Place::pair);
    let job = (!request.job.is_empty()).then_some(&*request.job);
    let mut runs = call.store().keeper_runs_before(job, before, i64::from(size) + 1).await?;
    let next_page_token =
        page::cut(&mut runs, size, |run| Place { at: run.started_at, id: run.id }.to_string());
    Ok(ListRunsResponse { runs: runs.into_iter().map(run).collect(), next_page_token })
}

/// Lists a tenant's backups, the newest first.
pub async fn list_backups(
    call: &AdminCall,
    request: ListBackupsRequest,
) -> Result<ListBackupsResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let before = page::after::<Place>(&request.page_token)?.map(Place::pair);
    let class = match &*request.class {
        "" => None,
        given => Some(given.parse::<BackupClass>().map_err(|_| {
            let known: Vec<_> = BackupClass::ALL.iter().map(|class| class.as_str()).collect();
            AdminError::field("class", format!("There is no class {given:?}; wanted: {}.", known.join(", ")))
        })?),
    };
    let read = async |tx: &mut _| backups::list(tx, class, before, i64::from(size) + 1).await;
    let mut listed = call.store().with_tenant(call.context(), read).await?;
    let next_page_token =
        page::cut(&mut listed, size, |backup| Place { at: backup.taken_at, id: backup.id }.to_string());
    Ok(ListBackupsResponse { backups: listed.into_iter().map(backup).collect(), next_page_token })
}

fn run(run: StoredRun) -> KeeperRun {
    KeeperRun {
        run_id: run.id.to_string(),
        job: run.job,
        outcome: run.outcome.as_str().to_owned(),
        dry_run: run.dry_run,
        host: run.host,
        counts: run.counts.into_iter().map(|(name, count)| (name, count.cast_signed())).collect(),
        detail: run.detail,
        start_time: Some(times::timestamp(run.started_at)),
        end_time: times::optional(run.ended_at),
    }
}

fn backup(entry: CatalogueEntry) -> Backup {
    Backup {
        backup_id: entry.id.to_string(),
        class: entry.class.as_str().to_owned(),
        state: entry.state.as_str().to_owned(),
        take_time: Some(times::timestamp(entry.taken_at)),
        rows: entry.rows.cast_signed(),
        bytes: entry.bytes.cast_signed(),
        detail: entry.detail,
    }
}
