//! What people prefer: one document for each person, sealed under that person's key. Who may change what is `tools`'.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::{Preferences, TenantContext, TenantId, UserId};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// The schema versions of the document that this build reads; it writes the last.
const KNOWN_VERSIONS: [&str; 1] = ["1.0"];
const VERSION: &str = KNOWN_VERSIONS[KNOWN_VERSIONS.len() - 1];

/// What a person prefers, as it is stored.
#[derive(Clone, PartialEq)]
pub struct StoredPreferences {
    /// What this build knows of it.
    pub preferences: Preferences,
    /// Raised by each write; 0 if the person never set anything.
    pub revision: i64,
    /// When it was last written.
    pub updated_at: Option<DateTime<Utc>>,
    /// All members, those of a later release too, which a write must not lose.
    document: Map<String, Value>,
}

impl StoredPreferences {
    fn none() -> Self {
        Self { preferences: Preferences::default(), revision: 0, updated_at: None, document: Map::new() }
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
    if !KNOWN_VERSIONS.contains(&row.schema_version.as_str()) {
        return Err(StoreError::not_understood("preferences.schema_version", row.schema_version));
    }
    let place = place(context.tenant_id(), user, row.revision);
    let standing = |preferences, document| StoredPreferences {
        preferences,
        revision: row.revision,
        updated_at: Some(row.updated_at),
        document,
    };
    let opened = vault.open(context, &place, &row.document, "a person's preferences").await;
    match opened.and_then(|opened| understood(&opened)) {
        Ok((preferences, document)) => Ok((standing(preferences, document), None)),
        Err(damage @ (StoreError::Unreadable { .. } | StoreError::NotUnderstood { .. })) => {
            Ok((standing(Preferences::default(), Map::new()), Some(damage)))
        }
        Err(error) => Err(error),
    }
}

fn understood(opened: &[u8]) -> Result<(Preferences, Map<String, Value>), StoreError> {
    // What the document says is not repeated: it is the person's.
    let unusable = |_| StoreError::not_understood("preferences.document", "something else than preferences");
    let document: Map<String, Value> = serde_json::from_slice(opened).map_err(unusable)?;
    let preferences = serde_json::from_value(Value::Object(document.clone())).map_err(unusable)?;
    Ok((preferences, document))
}

/// Stores what `user` prefers now in place of `before`, which was loaded; members of `before` that this build does not
/// know are kept. [`StoreError::Changed`] if someone else stored something since, [`StoreError::Missing`] if there is
/// no such person.
pub async fn store(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
    before: &StoredPreferences,
    preferences: &Preferences,
) -> Result<StoredPreferences, StoreError> {
    let mut document = before.document.clone();
    overlay(&mut document, members(preferences));
    let revision = before.revision + 1;
    let place = place(context.tenant_id(), user, revision);
    let bytes = Value::Object(document.clone()).to_string().into_bytes();
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
            VERSION,
            sealed,
            revision,
            now
        );
        let done = done.execute(tx.connection()).await.map_err(StoreError::or_missing("person"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Changed("the preferences")) }
    };
    vault.store().with_tenant(context, write).await?;
    Ok(StoredPreferences { preferences: *preferences, revision, updated_at: Some(now), document })
}

fn members(preferences: &Preferences) -> Map<String, Value> {
    let members = serde_json::to_value(preferences).and_then(serde_json::from_value);
    members.expect("preferences are an object of plain data")
}

/// Lays the members of `upper` over those of `lower`, objects member by member.
fn overlay(lower: &mut Map<String, Value>, upper: Map<String, Value>) {
    for (name, value) in upper {
        match (lower.entry(name).or_insert(Value::Null), value) {
            (Value::Object(lower), Value::Object(upper)) => overlay(lower, upper),
            (lower, value) => *lower = value,
        }
    }
}

fn place(tenant: TenantId, user: UserId, revision: i64) -> SealContext {
    SealContext { tenant, table: "preferences", column: "document", row: user.0, revision }
}

impl std::fmt::Debug for StoredPreferences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredPreferences").field("revision", &self.revision).finish_non_exhaustive()
    }
}
