//! What is saved of a tenant, and puts it back.

use std::collections::BTreeMap;

use serde_json::json;
use stagedoor_crypto::{KeyEncryptionKeys, SystemEntropy};
use stagedoor_domain::{BackupClass, Clock as _, Issuer, IssuerId, UserId};
use stagedoor_storage::backup_rows::each_row;
use stagedoor_storage::keys::OPEN_FOR;
use stagedoor_storage::restore::{
    RestoreError, RestoreOptions, Restored, Restorer, Tombstone, subject_digest,
};
use stagedoor_storage::{Purpose, Store, StoreError, StoreOptions, TenantTransaction, issuers, preferences};

use crate::support::{Database, Inhabited, KEY};

/// The rows of a tenant as backups have them, by table.
pub(super) type Rows = BTreeMap<String, Vec<String>>;

pub(super) struct Shelf {
    pub(super) database: Database,
    pub(super) keeper: Store,
    pub(super) keys: KeyEncryptionKeys,
}

impl Shelf {
    pub(super) async fn start() -> Self {
        let database = Database::start().await;
        let options = StoreOptions { purpose: Purpose::Keep, ..database.options("stagedoor_keeper") };
        let keeper = Store::connect(&options).await.unwrap();
        let keys = KeyEncryptionKeys::from_files([("1", KEY)]).unwrap();
        Self { database, keeper, keys }
    }

    pub(super) async fn save(&self, tenant: &Inhabited) -> Rows {
        let mut transaction = self.keeper.begin(&tenant.context).await.unwrap();
        let today = self.database.clock.now().date_naive();
        let mut rows = Rows::new();
        for table in BackupClass::ALL.into_iter().flat_map(BackupClass::tables) {
            let of_table = rows.entry((*table).to_owned()).or_default();
            each_row(&mut transaction, table, Some((today, today)), async |row| {
                of_table.push(row);
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        }
        transaction.rollback().await.unwrap();
        rows
    }

    /// Puts rows back, and keeps them if all is well.
    pub(super) async fn restore(
        &self,
        tenant: &Inhabited,
        rows: &Rows,
        options: RestoreOptions,
        tombstones: &[Tombstone],
    ) -> Result<Restored, RestoreError> {
        let mut transaction = self.keeper.begin(&tenant.context).await.unwrap();
        let restored = self.fill(&mut transaction, rows, options, tombstones).await;
        if restored.is_ok() {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        restored
    }

    pub(super) async fn fill(
        &self,
        transaction: &mut TenantTransaction,
        rows: &Rows,
        options: RestoreOptions,
        tombstones: &[Tombstone],
    ) -> Result<Restored, RestoreError> {
        let row = rows["tenants"].first().map(String::as_str);
        let entropy = SystemEntropy;
        let mut restorer =
            Restorer::begin(transaction, &self.keys, &entropy, options, row, tombstones).await?;
        for table in BackupClass::ALL.into_iter().flat_map(BackupClass::tables) {
            restorer.put(table, &rows[*table]).await?;
        }
        restorer.finish().await
    }

    /// Takes a tenant away, as a disaster does.
    pub(super) async fn lose(&self, tenant: &Inhabited) {
        let id = tenant.context.tenant_id();
        let tables: Vec<&str> =
            BackupClass::ALL.into_iter().rev().flat_map(BackupClass::tables).copied().collect();
        let audit = tables.iter().filter(|table| table.starts_with("audit_"));
        let order = [
            "erasure_tombstones",
            "privacy_requests",
            "playlist_versions",
            "playlist_chunks",
            "consents",
            "preferences",
            "session_imports",
            "session_devices",
            "session_quarantine",
            "provider_sessions",
            "linked_accounts",
            "api_keys",
            "issuers",
            "provider_apps",
            "signing_keys",
            "data_keys",
            "users",
            "tenants",
        ];
        let tables = audit.chain(&order);
        let sql: Vec<String> =
            tables.map(|table| format!("DELETE FROM {table} WHERE tenant_id = '{id}'; ")).collect();
        self.database.tamper(&sql.concat()).await;
        // What the vaults remember goes too.
        self.database.clock.advance(OPEN_FOR);
    }

    pub(super) fn tombstone(&self, tenant: &Inhabited, user: UserId) -> Tombstone {
        let now = self.database.clock.now();
        Tombstone {
            subject: subject_digest(tenant.context.tenant_id(), user),
            request: uuid::Uuid::from_u128(user.0.as_u128() ^ 7),
            erased_at: now,
            requested_at: now,
            due_by: now,
            receipt: None,
        }
    }
}

pub(super) async fn furnish(shelf: &Shelf, tenant: &Inhabited) {
    prefer(shelf, tenant, 60).await;
    stagedoor_storage::signing_keys::active(&shelf.database.vault, &tenant.context).await.unwrap();
    let issuer = Issuer::new(IssuerId(tenant.user.0), "https://login.example.com");
    let register = async |tx: &mut TenantTransaction| issuers::insert(tx, &issuer).await;
    shelf.database.admin.store().with_tenant::<_, StoreError>(&tenant.context, register).await.unwrap();
}

pub(super) async fn prefer(shelf: &Shelf, tenant: &Inhabited, seconds: u32) {
    let vault = &shelf.database.vault;
    let before = preferences::load(vault, &tenant.context, tenant.user).await.unwrap();
    let document = json!({ "cache_preferences": { "cache_duration": seconds } });
    let document = document.as_object().unwrap().clone();
    preferences::store(vault, &tenant.context, tenant.user, &before, document).await.unwrap();
}
