//! Grants that were set aside, from the newest backup that has them in order.

use std::sync::Arc;

use serde_json::{Value, json};
use stagedoor_archive::ReadError;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{BackupClass, LinkedAccountId, TenantContext, UserId};
use stagedoor_storage::restore::{Recovered, RestoreOptions, Restorer, Tombstone, set_aside};
use stagedoor_storage::{StoreError, TenantTransaction, linked_accounts};
use uuid::Uuid;

use super::What;
use super::apply::opening_of_sessions;
use super::choice::newest_first;
use super::shelf::{Owner, Shelf, of_read, refused, rows_of};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

/// An account whose grant is wanted.
struct Wanted {
    account: LinkedAccountId,
    user: UserId,
}

/// What backups have of the wanted accounts.
#[derive(Default)]
struct Material {
    /// Rows of keys.
    keys: Vec<String>,
    /// Rows of sessions with their accounts, newest backup first.
    sessions: Vec<(Uuid, String)>,
}

pub(super) async fn recover(what: &What, keeper: &Keeper, run: &Run, keep: bool) -> Result<(), JobError> {
    let shelf = Shelf::open(keeper)?;
    let owner = shelf.owner(&what.tenant).await?;
    let Some(tenant) = &owner.present else {
        return Err(JobError::Refused(format!(
            "there is no tenant {}: restore the whole of it",
            what.tenant
        )));
    };
    let context = keeper.context(Arc::clone(tenant), "restore");
    let wanted = wanted(what, keeper, &context).await?;
    if wanted.is_empty() {
        run.answer("no grant is set aside", json!([]));
        return Ok(());
    }
    let tombstones = shelf.tombstones(run, &owner).await?;
    let material = gather(&shelf, &owner, what, run, &wanted).await?;
    let work = put_back(what, keeper, &context, &wanted, &material, &tombstones, keep);
    let outcomes = if keep {
        keeper.audited(&context, opening_of_sessions(wanted.len()), work).await?
    } else {
        work.await?
    };
    tell(run, &wanted, &outcomes);
    Ok(())
}

async fn wanted(what: &What, keeper: &Keeper, context: &TenantContext) -> Result<Vec<Wanted>, JobError> {
    let aside = keeper.store.with_tenant::<_, StoreError>(context, set_aside).await?;
    if what.set_aside {
        return Ok(aside.into_iter().map(|row| Wanted { account: row.account, user: row.user }).collect());
    }
    let mut wanted = Vec::new();
    for id in &what.session {
        if let Some(row) = aside.iter().find(|row| row.session == *id || row.account.0 == *id) {
            wanted.push(Wanted { account: row.account, user: row.user });
            continue;
        }
        let account = LinkedAccountId(*id);
        let look = async |tx: &mut TenantTransaction| linked_accounts::owner_of(tx, account).await;
        let user = keeper.store.with_tenant::<_, StoreError>(context, look).await?;
        let unknown =
            || JobError::Refused(format!("{id} is no linked account and no grant that was set aside"));
        wanted.push(Wanted { account, user: user.ok_or_else(unknown)? });
    }
    Ok(wanted)
}

/// Reads what the backups of sessions have, newest first.
async fn gather(
    shelf: &Shelf<'_>,
    owner: &Owner,
    what: &What,
    run: &Run,
    wanted: &[Wanted],
) -> Result<Material, JobError> {
    let mut material = Material::default();
    for found in newest_first(&owner.found, BackupClass::Sessions, what.until()) {
        let mut reader = match shelf.try_reader(owner, &found).await {
            Ok(reader) => reader,
            // Another one may have what is wanted.
            Err(error @ (ReadError::Damage(_) | ReadError::Key(_))) => {
                run.failed(&found, Chain(&error));
                continue;
            }
            Err(error) => return Err(of_read(error)),
        };
        for batch in rows_of(&mut reader, &["data_keys", "provider_sessions"]).await? {
            for text in batch.rows {
                let row: Value = serde_json::from_str(&text).unwrap_or_default();
                let id = |column: &str| row[column].as_str().and_then(|id| id.parse::<Uuid>().ok());
                if batch.table == "data_keys" {
                    let user = id("user_id");
                    if user.is_none_or(|user| wanted.iter().any(|wanted| wanted.user.0 == user)) {
                        material.keys.push(text);
                    }
                } else if let Some(account) = id("account_id")
                    && row["quarantined_at"].is_null()
                    && wanted.iter().any(|wanted| wanted.account.0 == account)
                {
                    material.sessions.push((account, text));
                }
            }
        }
    }
    Ok(material)
}

async fn put_back(
    what: &What,
    keeper: &Keeper,
    context: &TenantContext,
    wanted: &[Wanted],
    material: &Material,
    tombstones: &[Tombstone],
    keep: bool,
) -> Result<Vec<Recovered>, JobError> {
    let mut transaction = keeper.store.begin(context).await?;
    let work = async {
        let options = RestoreOptions { only: None, replacing: what.replace, partial: what.partial };
        let begun =
            Restorer::begin(&mut transaction, &*keeper.keys, &*keeper.entropy, options, None, tombstones);
        let mut restorer = begun.await.map_err(refused)?;
        for row in &material.keys {
            restorer.offer_key(row).map_err(refused)?;
        }
        let mut outcomes = Vec::new();
        for wanted in wanted {
            let of_account = material.sessions.iter().filter(|(account, _)| *account == wanted.account.0);
            let candidates: Vec<String> = of_account.map(|(_, row)| row.clone()).collect();
            outcomes.push(restorer.recover(wanted.account, &candidates).await.map_err(refused)?);
        }
        restorer.finish().await.map_err(refused)?;
        Ok(outcomes)
    };
    let outcomes = work.await;
    if keep && outcomes.is_ok() {
        transaction.commit().await?;
    } else {
        // If this fails, the connection is closed, which undoes everything too.
        let _ = transaction.rollback().await;
    }
    outcomes
}

fn tell(run: &Run, wanted: &[Wanted], outcomes: &[Recovered]) {
    let mut told = Vec::new();
    let mut lines = Vec::new();
    for (wanted, outcome) in wanted.iter().zip(outcomes) {
        let account = wanted.account;
        let words = match outcome {
            Recovered::Back(_) => "is usable again",
            Recovered::InUse => "is in use and opens; add --replace to put the backup's in its place",
            Recovered::NoSession => "has no session",
            Recovered::RelinkNeeded => {
                "does not open in any backup: the person has to link the account again"
            }
        };
        match outcome {
            Recovered::Back(_) => run.count("sessions_restored", 1),
            Recovered::InUse => run.count("sessions_in_use", 1),
            Recovered::NoSession | Recovered::RelinkNeeded => {
                run.count("sessions_lost", 1);
                run.failed(format_args!("the grant of account {account}"), words);
            }
        }
        lines.push(format!("account {account} {words}\n"));
        told.push(json!({
            "account_id": account,
            "outcome": match outcome {
                Recovered::Back(_) => "restored",
                Recovered::InUse => "in_use",
                Recovered::NoSession => "no_session",
                Recovered::RelinkNeeded => "relink_needed",
            },
        }));
    }
    run.answer(lines.concat(), Value::Array(told));
}
