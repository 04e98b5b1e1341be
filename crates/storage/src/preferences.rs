//! What people prefer: one document for each person, sealed under that person's key, brought to the present version of
//! its schema when it is read. It holds what the person has set and nothing else. Who may change what is `tools`'.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::{PreferencesLayer, SettingsProblem, TenantContext, TenantId, UserId};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

mod versions;

/// What a person prefers, as it is stored.
#[derive(Clone, PartialEq)]
pub struct StoredPreferences {
    /// What this build knows of it.
    pub preferences: PreferencesLayer,
    /// What it does not understand, which counts as not set and is kept.
    pub not_understood: Vec<SettingsProblem>,
    /// Raised by each write; 0 if the person never set anything.
    pub revision: i64,
    /// When it was last written.
    pub updated_at: Option<DateTime<Utc>>,
    document: Document,
}

/// A document of the present version: all that the person has set, that of a later release too.
pub type Document = Map<String, Value>;

impl StoredPreferences {
    fn none() -> Self {
        Self::standing(Document::new(), 0, None)
    }

    fn standing(document: Document, revision: i64, updated_at: Option<DateTime<Utc>>) -> Self {
        let (preferences, not_understood) = PreferencesLayer::read(&Value::Object(document.clone()));
        Self { preferences, not_understood, revision, updated_at, document }
    }

    /// All that the person has set. What takes its place keeps the members that it does not change, so that nothing of
    /// a later release is lost.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

/// What `user` prefers; the defaults if nothing was ever stored.
pub async fn load(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
) -> Result<StoredPreferences, StoreError> {
    load_to_replace(vault, context, user).await.and_then(|(stored, damage)| damage.map_or(Ok(stored), Err))
}

/// The same for a caller that is about to store something else: what is damaged is told beside the defaults that take
/// its place. What a later release has written is an error, since it is nobody's to replace.
pub async fn load_to_replace(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
) -> Result<(StoredPreferences, Option<StoreError>), StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let row = sqlx::query!(
            "SELECT schema_version, document, revision, updated_at FROM preferences
            WHERE tenant_id = $1 AND user_id = $2",
            tx.tenant_id().0,
            user.0
        );
        Ok::<_, StoreError>(row.fetch_optional(tx.connection()).await?)
    };
    let Some(row) = vault.store().with_tenant(context, read).await? else {
        return Ok((StoredPreferences::none(), None));
    };
    if !versions::is_known(&row.schema_version) {
        return Err(StoreError::not_understood("preferences.schema_version", row.schema_version));
    }
    let place = place(context.tenant_id(), user, row.revision);
    let standing = |document| StoredPreferences::standing(document, row.revision, Some(row.updated_at));
    let opened = vault.open(context, &place, &row.document, "a person's preferences").await;
    match opened.and_then(|opened| present(&opened, &row.schema_version)) {
        Ok(document) => Ok((standing(document), None)),
        Err(damage @ (StoreError::Unreadable { .. } | StoreError::NotUnderstood { .. })) => {
            Ok((standing(Document::new()), Some(damage)))
        }
        Err(error) => Err(error),
    }
}

/// The document as the present version has it.
fn present(opened: &[u8], version: &str) -> Result<Document, StoreError> {
    // What the document says is not repeated: it is the person's.
    let unusable = || StoreError::not_understood("preferences.document", "something else than preferences");
    let document = serde_json::from_slice(opened).map_err(|_| unusable())?;
    versions::migrate(document, version).ok_or_else(unusable)
}

/// Stores `document` as what `user` prefers in place of `before`, which was loaded and from which it was made, in the
/// present version. [`StoreError::Changed`] if someone else stored something since, [`StoreError::Missing`] if there is
/// no such person.
#[expect(clippy::missing_panics_doc, reason = "it cannot: a document is JSON already")]
pub async fn store(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
    before: &StoredPreferences,
    document: Document,
) -> Result<StoredPreferences, StoreError> {
    let revision = before.revision + 1;
    let place = place(context.tenant_id(), user, revision);
    let bytes = serde_json::to_vec(&document).expect("a document is JSON already");
    let sealed = vault.seal(context, KeyOwner::Subject(user), &place, &bytes).await?;
    let now = vault.clock().now();
    // With no row before, one that is there now wins the conflict; with one, its revision must still be the same.
    let write = async |tx: &mut TenantTransaction| {
        let done = sqlx::query!(
            "INSERT INTO preferences AS p (tenant_id, user_id, schema_version, document, revision, updated_at)
            SELECT $1, $2, $3, $4, $5::bigint, $6 WHERE $5::bigint = 1 OR EXISTS
                (SELECT FROM preferences WHERE tenant_id = $1 AND user_id = $2)
            ON CONFLICT (tenant_id, user_id) DO UPDATE
                SET schema_version = excluded.schema_version, document = excluded.document,
                    revision = excluded.revision, updated_at = excluded.updated_at
                WHERE p.revision = $5::bigint - 1",
            tx.tenant_id().0,
            user.0,
            versions::PRESENT,
            sealed,
            revision,
            now
        );
        let done = done.execute(tx.connection()).await.map_err(StoreError::or_missing("person"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Changed("the preferences")) }
    };
    vault.store().with_tenant(context, write).await?;
    Ok(StoredPreferences::standing(document, revision, Some(now)))
}

fn place(tenant: TenantId, user: UserId, revision: i64) -> SealContext {
    SealContext { tenant, table: "preferences", column: "document", row: user.0, revision }
}

impl std::fmt::Debug for StoredPreferences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredPreferences").field("revision", &self.revision).finish_non_exhaustive()
    }
}
