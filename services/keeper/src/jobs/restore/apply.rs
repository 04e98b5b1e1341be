//! Putting a tenant, a class of it or a person back, in one transaction: all of it, or nothing.

use stagedoor_archive::{Damage, Found, ReadError};
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{BackupClass, TenantContext, UserId};
use stagedoor_storage::restore::{RestoreError, RestoreOptions, Restored, Restorer, Tombstone};
use stagedoor_storage::{Store, TenantTransaction};

use super::What;
use super::choice::{Until, choose, newest_first};
use super::report::Report;
use super::shelf::{Owner, Shelf, each_batch, of_read, refused, rows_of};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

/// What is put back, where, and how.
pub(super) struct Order<'a> {
    pub(super) owner: &'a Owner,
    pub(super) backups: &'a [Found],
    pub(super) tombstones: &'a [Tombstone],
    pub(super) options: RestoreOptions,
    /// Whether the tenant may be there already.
    pub(super) onto_present: bool,
    pub(super) keep: bool,
}

/// What was put back.
pub(super) struct Done {
    pub(super) restored: Restored,
    pub(super) damaged: Vec<Damage>,
}

pub(super) async fn apply(what: &What, keeper: &Keeper, run: &Run, keep: bool) -> Result<(), JobError> {
    let shelf = Shelf::open(keeper)?;
    let owner = shelf.owner(&what.tenant).await?;
    let chosen = choose(&owner.found, what.class, what.until());
    if chosen.is_empty() {
        return Err(JobError::Refused("there is no such backup as of then".to_owned()));
    }
    let mut backups = usable(&shelf, &owner, what, run, chosen).await?;
    let tombstones = shelf.tombstones(run, &owner).await?;
    let only = match &what.person {
        None => None,
        Some(person) => {
            // The trail is nobody's alone.
            backups.retain(|backup| backup.class != BackupClass::Audit);
            Some(find_person(&shelf, &owner, &backups, person).await?)
        }
    };
    let order = Order {
        owner: &owner,
        backups: &backups,
        tombstones: &tombstones,
        options: RestoreOptions { only, replacing: what.replace, partial: what.partial },
        onto_present: only.is_some()
            || what.replace
            || what.class.is_some_and(|class| class != BackupClass::Sessions),
        keep,
    };
    let row = tenant_row(&shelf, &order).await?;
    let context = shelf.context(&owner, row.as_deref())?;
    let work = put_back(&shelf, run, &keeper.store, &context, &order);
    let done = if owner.present.is_some() && keep {
        keeper.audited(&context, opening(&backups), work).await?
    } else {
        work.await?
    };
    if owner.present.is_none() && keep {
        // There was no trail to write to before.
        keeper.audited(&context, opening(&backups), async { Ok(()) }).await?;
    }
    Report { context: &context, backups: &backups, done: &done, kept: keep }.tell(run);
    Ok(())
}

/// Of the chosen backups those that open. One that does not refuses the restore, or with `--partial` an older one takes its
/// place; of the audit trail, what only it has is lost.
async fn usable(
    shelf: &Shelf<'_>,
    owner: &Owner,
    what: &What,
    run: &Run,
    chosen: Vec<Found>,
) -> Result<Vec<Found>, JobError> {
    let mut usable = Vec::new();
    for found in chosen {
        let candidates = match found.class {
            BackupClass::Audit => vec![found],
            class => newest_first(&owner.found, class, what.until()),
        };
        for candidate in candidates {
            match shelf.try_reader(owner, &candidate).await {
                Ok(_) => {
                    usable.push(candidate);
                    break;
                }
                Err(error @ (ReadError::Damage(_) | ReadError::Key(_))) => {
                    let error = Chain(&error).to_string();
                    if !what.partial {
                        return Err(JobError::Refused(format!(
                            "{candidate}: {error}; add --partial to do without it, or take an earlier one with --at"
                        )));
                    }
                    run.failed(format_args!("lost: {candidate}"), error);
                }
                Err(error) => return Err(of_read(error)),
            }
        }
    }
    Ok(usable)
}

/// Puts the backups back into `target`, checks what came of it, and keeps it if that is wanted.
pub(super) async fn put_back(
    shelf: &Shelf<'_>,
    run: &Run,
    target: &Store,
    context: &TenantContext,
    order: &Order<'_>,
) -> Result<Done, JobError> {
    let mut transaction = target.begin(context).await?;
    match fill(shelf, run, &mut transaction, order).await {
        Ok(done) if order.keep => {
            transaction.commit().await?;
            Ok(done)
        }
        Ok(done) => {
            transaction.rollback().await?;
            Ok(done)
        }
        Err(error) => {
            // If this fails as well, the connection is closed, which undoes everything too.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

async fn fill(
    shelf: &Shelf<'_>,
    run: &Run,
    transaction: &mut TenantTransaction,
    order: &Order<'_>,
) -> Result<Done, JobError> {
    let keeper = shelf.keeper;
    let row = tenant_row(shelf, order).await?;
    let begun = Restorer::begin(
        transaction,
        &*keeper.keys,
        &*keeper.entropy,
        order.options,
        row.as_deref(),
        order.tombstones,
    );
    let mut restorer = begun.await.map_err(refused)?;
    if restorer.tenant_existed() && !order.onto_present {
        return Err(refused(RestoreError::TenantExists));
    }
    // Whatever key made a seal that comes back, the newest backup of keys has it.
    let newest = newest_first(&order.owner.found, BackupClass::Sessions, Until::Now);
    if newest.first().is_some_and(|newest| !order.backups.contains(newest)) {
        for batch in shelf.newest_rows(order.owner, &["data_keys"]).await? {
            for row in &batch.rows {
                restorer.offer_key(row).map_err(refused)?;
            }
        }
    }
    let mut damaged = Vec::new();
    for (number, found) in (0..).zip(order.backups) {
        run.progress(number, Some(order.backups.len() as u64), "backups");
        let mut reader = shelf.reader(order.owner, found).await?;
        let before = damaged.len();
        each_batch(&mut reader, order.options.partial, &mut damaged, async |table, rows| {
            run.go_on()?;
            restorer.put(table, rows).await.map_err(refused)
        })
        .await?;
        if found.class == BackupClass::Audit
            && damaged.len() == before
            && order.options.only.is_none()
            && let Some(head) = reader.manifest().audit_head
            && !restorer.trail_states(head.day, head.seq, &head.hash.0).await.map_err(refused)?
        {
            let text = format!("it does not end on {} as the manifest of {found} says", head.day);
            return Err(refused(RestoreError::Trail(text)));
        }
    }
    let restored = restorer.finish().await.map_err(refused)?;
    Ok(Done { restored, damaged })
}

/// The tenant's row, if its backup is one of those that come back.
async fn tenant_row(shelf: &Shelf<'_>, order: &Order<'_>) -> Result<Option<String>, JobError> {
    let Some(found) = order.backups.iter().find(|found| found.class == BackupClass::Sessions) else {
        return Ok(None);
    };
    let reader = shelf.reader(order.owner, found).await?;
    shelf.tenant_row(&reader).await
}

async fn find_person(
    shelf: &Shelf<'_>,
    owner: &Owner,
    backups: &[Found],
    named: &str,
) -> Result<UserId, JobError> {
    if let Ok(id) = named.parse() {
        return Ok(UserId(id));
    }
    for found in backups.iter().filter(|found| found.class == BackupClass::Sessions) {
        let mut reader = shelf.reader(owner, found).await?;
        for batch in rows_of(&mut reader, &["users"]).await? {
            for row in batch.rows {
                let row: serde_json::Value =
                    serde_json::from_str(&row).map_err(|_| refused(RestoreError::Row { table: "users" }))?;
                if row["external_subject"] == named
                    && let Some(id) = row["user_id"].as_str().and_then(|id| id.parse().ok())
                {
                    return Ok(UserId(id));
                }
            }
        }
    }
    Err(JobError::Refused(format!("the backup knows no person {named}")))
}

fn opening(backups: &[Found]) -> AuditOpening {
    let ids: Vec<String> = backups.iter().map(|found| found.id.to_string()).collect();
    let resource = AuditResource { kind: "backup", id: ids.join(" ").into() };
    AuditOpening {
        resource: Some(resource),
        ..AuditOpening::new(AuditAction::Restore, AuditClient::default())
    }
}

/// The record of putting grants back.
pub(super) fn opening_of_sessions(accounts: usize) -> AuditOpening {
    let resource = AuditResource { kind: "sessions", id: accounts.to_string().into() };
    AuditOpening {
        resource: Some(resource),
        ..AuditOpening::new(AuditAction::Restore, AuditClient::default())
    }
}
