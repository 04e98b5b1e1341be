//! What can be restored, as the store of backups says by itself.

use std::fmt::Write as _;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use stagedoor_archive::{Found, Manifest, ReadError};
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::TenantId;

use crate::exit::Misconfigured;
use crate::run::Answer;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct List {
    /// Only this tenant, by its name in addresses or its id.
    #[arg(long)]
    pub tenant: Option<String>,
}

impl List {
    /// Every backup, the tenants one after the other, each class from the newest on. A manifest is read and not yet
    /// believed: `verify` and a restore open it.
    pub(super) async fn answer(&self, config: &Config) -> anyhow::Result<Answer> {
        let store = stagedoor_assembly::backup_store(config).map_err(Misconfigured)?;
        let listing = store.list(None).await.context("backup.url")?;
        let mut found = listing.found;
        found.sort_by_key(|found| (found.tenant, found.class, std::cmp::Reverse(found.taken_at)));
        let mut text = String::new();
        let mut backups = Vec::new();
        let mut tenant: Option<TenantId> = None;
        for found in &found {
            let manifest = match store.manifest(found).await {
                Ok(manifest) => Ok(manifest),
                Err(ReadError::Damage(damage)) => Err(damage.kind.to_string()),
                Err(error) => return Err(error.into()),
            };
            if !self.wants(found, manifest.as_ref().ok()) {
                continue;
            }
            if tenant != Some(found.tenant) {
                tenant = Some(found.tenant);
                let slug =
                    manifest.as_ref().map_or("(its newest manifest is damaged)", |known| &known.tenant_slug);
                writeln!(text, "tenant {slug} {}", found.tenant)?;
            }
            writeln!(text, "  {}", line(found, &manifest))?;
            backups.push(describe(found, &manifest));
        }
        let unfinished = listing.unfinished.len();
        if unfinished > 0 {
            writeln!(text, "{unfinished} folders without a manifest: backups that were never finished")?;
        }
        if backups.is_empty() {
            writeln!(text, "there is nothing to restore")?;
        }
        Ok(Answer { text, json: json!({ "backups": backups, "unfinished": unfinished }) })
    }

    fn wants(&self, found: &Found, manifest: Option<&Manifest>) -> bool {
        self.tenant.as_ref().is_none_or(|named| {
            *named == found.tenant.to_string() || manifest.is_some_and(|known| known.tenant_slug == *named)
        })
    }
}

fn line(found: &Found, manifest: &Result<Manifest, String>) -> String {
    let start = format!("{:11} {} {}", found.class, found.taken_at.format("%Y-%m-%dT%H:%M:%SZ"), found.id);
    match manifest {
        Ok(manifest) => {
            let days = manifest.days.map(|days| format!(", {} to {}", days.first, days.last));
            let (rows, bytes) = (manifest.rows(), manifest.bytes());
            format!("{start} {rows} rows, {bytes} bytes{}", days.unwrap_or_default())
        }
        Err(damage) => format!("{start} damaged: {damage}"),
    }
}

fn describe(found: &Found, manifest: &Result<Manifest, String>) -> Value {
    let mut told = json!({
        "tenant_id": found.tenant,
        "class": found.class,
        "taken_at": found.taken_at,
        "backup_id": found.id,
    });
    match manifest {
        Ok(manifest) => {
            told["tenant"] = manifest.tenant_slug.clone().into();
            told["rows"] = manifest.rows().into();
            told["bytes"] = manifest.bytes().into();
            told["schema_version"] = manifest.schema_version.into();
            told["key_encryption_key"] = manifest.key.wrapped_by.to_string().into();
            told["days"] = json!(manifest.days);
        }
        Err(damage) => told["damage"] = damage.clone().into(),
    }
    told
}
