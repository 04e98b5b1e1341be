//! Whether the newest backups can be restored: into a database of their own, compared with them table by table, which is
//! dropped at the end whatever happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use stagedoor_archive::{Found, Manifest, RowDigest};
use stagedoor_bootstrap::config::SecretUrl;
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{BackupClass, TenantContext, TenantId};
use stagedoor_storage::backup_rows::{columns, each_row};
use stagedoor_storage::restore::{Loss, LossKind, RestoreOptions, find};
use stagedoor_storage::scratch::{Scratch, ScratchDatabase, drop_leftovers};
use stagedoor_storage::{Purpose, Store, StoreError, StoreOptions};

use super::apply::{Done, Order, put_back};
use super::choice::{Until, newest_first};
use super::report::count;
use super::shelf::{Owner, Shelf, tenant_of};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct Drill {
    /// Only this tenant, by its name in addresses or its id.
    #[arg(long)]
    pub tenant: Option<String>,
}

/// What comparing came to.
#[derive(Debug, Default)]
struct Compared {
    equal: u64,
    /// Of which rows stay away, or which have other columns by now: no digest was compared, only each row when it was
    /// written, and their number.
    partly: u64,
    different: Vec<String>,
}

impl Drill {
    pub(super) async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let shelf = Shelf::open(keeper)?;
        let owners = self.owners(&shelf).await?;
        let backups: usize = owners.values().map(Vec::len).sum();
        run.count("tenants", owners.len() as u64);
        if run.dry_run() {
            run.count("backups_to_restore", backups as u64);
            return Ok(());
        }
        let storage = &keeper.config.storage;
        let owner_url =
            secret(storage.owner_database_url.as_ref(), "storage.owner_database_url", "stagedoor_owner")?;
        let keeper_url =
            secret(storage.keeper_database_url.as_ref(), "storage.keeper_database_url", "stagedoor_keeper")?;
        let left = drop_leftovers(&owner_url, Scratch::Drill, keeper.clock.now()).await;
        let left = left.context("storage.owner_database_url")?;
        run.count("leftovers_dropped", left as u64);
        let id = uuid_v7(&*keeper.clock, &*keeper.entropy);
        let scratch = ScratchDatabase::create(&owner_url, Scratch::Drill, id).await;
        let scratch = scratch.context("making a database for the drill")?;
        let outcome = drill_in(&shelf, run, &scratch, &keeper_url, owners).await;
        let dropped = scratch.drop_it().await.context("dropping the database of the drill");
        outcome?;
        Ok(dropped?)
    }

    /// The newest backup of each class, by tenant.
    async fn owners(&self, shelf: &Shelf<'_>) -> Result<BTreeMap<TenantId, Vec<Found>>, JobError> {
        let found = match &self.tenant {
            Some(named) => shelf.owner(named).await?.found,
            None => shelf.store.list(None).await.context("backup.url")?.found,
        };
        let tenants: BTreeSet<TenantId> = found.iter().map(|found| found.tenant).collect();
        let newest = |tenant: TenantId| {
            let of_tenant: Vec<Found> =
                found.iter().filter(|found| found.tenant == tenant).cloned().collect();
            let classes = BackupClass::ALL.into_iter();
            classes
                .filter_map(|class| newest_first(&of_tenant, class, Until::Now).into_iter().next())
                .collect()
        };
        Ok(tenants.into_iter().map(|tenant| (tenant, newest(tenant))).collect())
    }
}

async fn drill_in(
    shelf: &Shelf<'_>,
    run: &Run,
    scratch: &ScratchDatabase,
    keeper_url: &SecretString,
    owners: BTreeMap<TenantId, Vec<Found>>,
) -> Result<(), JobError> {
    let url = scratch.url(keeper_url).context("storage.keeper_database_url")?;
    let options = StoreOptions {
        purpose: Purpose::Keep,
        max_connections: 2,
        acquire_timeout: stagedoor_assembly::ACQUIRE_PATIENCE,
        application_name: "stagedoor-drill".to_owned(),
        ..StoreOptions::new(url)
    };
    let store = Store::connect(&options).await?;
    let total = owners.len() as u64;
    let mut all = Compared::default();
    let mut outcome = Ok(());
    for (done, (tenant, backups)) in (0..).zip(owners) {
        run.progress(done, Some(total), "tenants");
        outcome = run.go_on();
        if outcome.is_err() {
            break;
        }
        match one(shelf, run, &store, tenant, &backups).await {
            Ok(compared) => {
                run.count("backups_restored", backups.len() as u64);
                all.equal += compared.equal;
                all.partly += compared.partly;
                all.different.extend(compared.different);
            }
            Err(JobError::Interrupted) => {
                outcome = Err(JobError::Interrupted);
                break;
            }
            Err(error) => {
                run.failed(format_args!("tenant {tenant}"), stagedoor_domain::error::Chain(&error));
            }
        }
    }
    store.close().await;
    run.count("tables_equal", all.equal);
    run.count("tables_partly_compared", all.partly);
    run.count("tables_different", all.different.len() as u64);
    for different in &all.different {
        run.failed("different", different);
    }
    let text = format!(
        "{} tables are equal to their backups, of {} what came back was compared row by row only, {} are different",
        all.equal,
        all.partly,
        all.different.len()
    );
    run.answer(text, json!({ "equal": all.equal, "partly": all.partly, "different": all.different }));
    outcome
}

async fn one(
    shelf: &Shelf<'_>,
    run: &Run,
    store: &Store,
    tenant: TenantId,
    backups: &[Found],
) -> Result<Compared, JobError> {
    // In the scratch database nobody is there yet; who was erased is known to the real one.
    let present = shelf.keeper.tenant(&tenant.to_string()).await.ok();
    let owner = shelf.owner_of(tenant, present).await?;
    let tombstones = shelf.tombstones(run, &owner).await?;
    let order = Order {
        owner: &owner,
        backups,
        tombstones: &tombstones,
        // What refers to someone who went between two backups has no parent; a damaged chunk is told below.
        options: RestoreOptions { only: None, replacing: false, partial: true },
        onto_present: false,
        keep: true,
    };
    let context = context_of(shelf, &owner, backups).await?;
    let done = put_back(shelf, run, store, &context, &order).await?;
    count(run, &done);
    for damage in &done.damaged {
        run.failed("damaged", damage);
    }
    for loss in &done.restored.losses {
        let text = format!("{} {}", loss.table, loss.row);
        if is_explained(loss) {
            run.remark(format_args!("{text} stays away: {}", loss.why));
        } else {
            run.failed(format_args!("lost: {text}"), &loss.why);
        }
    }
    let mut compared = Compared::default();
    for found in backups {
        let reader = shelf.reader(&owner, found).await?;
        compare(store, &context, reader.manifest(), &done, &mut compared).await?;
    }
    Ok(compared)
}

async fn context_of(shelf: &Shelf<'_>, owner: &Owner, backups: &[Found]) -> Result<TenantContext, JobError> {
    let sessions = backups.iter().find(|found| found.class == BackupClass::Sessions);
    let sessions =
        sessions.ok_or_else(|| JobError::Refused("there is no backup of its sessions".to_owned()))?;
    let reader = shelf.reader(owner, sessions).await?;
    let row = shelf.tenant_row(&reader).await?;
    let row = row.ok_or_else(|| JobError::Refused(format!("{sessions}: the tenant's row is damaged")))?;
    Ok(shelf.keeper.context(Arc::new(tenant_of(owner.id, &row)?), "drill"))
}

/// Whether a row stays away as it should: what it belongs to went between its backup and that of the sessions, which is
/// taken last.
fn is_explained(loss: &Loss) -> bool {
    loss.kind == LossKind::Orphan && !BackupClass::Sessions.tables().contains(&loss.table)
}

/// Reads every table of a backup from the database and digests it as the backup was.
async fn compare(
    store: &Store,
    context: &TenantContext,
    manifest: &Manifest,
    done: &Done,
    compared: &mut Compared,
) -> Result<(), JobError> {
    let mut transaction = store.snapshot(context).await?;
    for entry in &manifest.tables {
        let table = entry.table.as_str();
        let Some(place) = find(table) else {
            compared.different.push(format!("{table}: it is not restored"));
            continue;
        };
        let tally = done.restored.table(place.name);
        let damaged = done.damaged.iter().flat_map(|damage| &damage.lost).any(|lost| lost.table == table);
        let mut columns = columns(&mut transaction, table).await?;
        let mut then = entry.columns.clone();
        columns.sort();
        then.sort();
        let exact = tally.is_whole() && columns == then && !damaged;
        let mut digest = RowDigest::default();
        let days = manifest.days.map(|days| (days.first, days.last));
        each_row(&mut transaction, table, days, async |row| {
            digest.push(&row);
            Ok::<_, StoreError>(())
        })
        .await?;
        let rows = digest.rows();
        // Each row was compared when it was written; of those that did, all are there.
        let came = tally.inserted + tally.same;
        // Who was erased was told to the database first, and is perhaps more than the backup knew.
        let told_before = matches!(table, "privacy_requests" | "erasure_tombstones");
        let all_told = came + tally.kept + tally.erased + tally.lost == tally.given;
        let explained = all_told && if told_before { rows >= came } else { tally.kept == 0 && rows == came };
        if exact && rows == entry.rows && digest.finish() == entry.sha256 {
            compared.equal += 1;
        } else if (!exact || told_before)
            && explained
            && (came + tally.kept > 0 || tally.given == tally.erased)
        {
            compared.partly += 1;
        } else {
            let given = entry.rows;
            compared.different.push(format!("{table}: {rows} rows instead of {given}, or others"));
        }
    }
    transaction.rollback().await?;
    Ok(())
}

fn secret(url: Option<&SecretUrl>, key: &str, role: &str) -> Result<SecretString, JobError> {
    let missing =
        || JobError::Refused(format!("{key} is not set; such as postgres://{role}:…@db:5432/stagedoor"));
    Ok(SecretString::from(url.ok_or_else(missing)?.expose().to_owned()))
}
