//! How far the rotation of each layer of a tenant's keys is: what a run that was cut off goes on with, and what an operator
//! is shown.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use stagedoor_domain::TenantContext;
use uuid::Uuid;

use super::Layer;
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// What was done how often, by name.
pub type RotationCounts = BTreeMap<String, u64>;

/// How a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationState {
    /// Keys are switched, and what refers to old ones is brought to new ones.
    Resealing,
    /// Old keys are left, which are waited for.
    Settling,
    /// No old key is left, and everything was opened.
    Done,
}

/// A rotation of one layer of a tenant's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The layer.
    pub layer: Layer,
    /// How it stands.
    pub state: RotationState,
    /// Whether the old keys are known to someone.
    pub compromised: bool,
    /// Of the layer of key-encryption keys: the one that the tenant's key was under at the beginning.
    pub replaces: Option<Uuid>,
    /// Keys that were made before this are replaced.
    pub made_before: DateTime<Utc>,
    /// When it began, by the database's clock.
    pub started_at: DateTime<Utc>,
    /// When something was last done for it.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What was done how often.
    pub counts: RotationCounts,
}

struct Row {
    layer: String,
    state: String,
    compromised: bool,
    replaces: Option<Uuid>,
    made_before: DateTime<Utc>,
    started_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    counts: Json<RotationCounts>,
}

/// Begins a rotation of a layer, or goes on with one that was not done with its keys: that one's times hold, so that
/// nothing is switched twice, and if the keys counted as known to someone, they still do. `made_before` of `None` means
/// now: every key is replaced. Where keys count as known that did not before, it begins anew.
pub async fn begin(
    vault: &KeyVault,
    context: &TenantContext,
    layer: Layer,
    made_before: Option<DateTime<Utc>>,
    compromised: bool,
) -> Result<Rotation, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let row = sqlx::query_as!(
            Row,
            r#"INSERT INTO key_rotations AS r (tenant_id, layer, state, compromised, replaces, made_before)
            VALUES ($1, $2, 'resealing', $4, CASE WHEN $2 = 'kek' THEN (SELECT k.wrapped_by FROM data_keys k
                WHERE k.tenant_id = $1 AND k.purpose = 1 AND k.state = 'active') END, COALESCE($3, clock_timestamp()))
            ON CONFLICT (tenant_id, layer) DO UPDATE SET
                state = 'resealing', ended_at = NULL,
                compromised = excluded.compromised OR (r.state = 'resealing' AND r.compromised),
                replaces = CASE WHEN r.state = 'resealing' AND r.compromised >= excluded.compromised
                    THEN r.replaces ELSE excluded.replaces END,
                made_before = CASE WHEN r.state = 'resealing' AND r.compromised >= excluded.compromised
                    THEN GREATEST(r.made_before, $3) ELSE excluded.made_before END,
                started_at = CASE WHEN r.state = 'resealing' AND r.compromised >= excluded.compromised
                    THEN r.started_at ELSE clock_timestamp() END,
                counts = CASE WHEN r.state = 'resealing' AND r.compromised >= excluded.compromised
                    THEN r.counts ELSE '{}' END,
                updated_at = clock_timestamp()
            RETURNING layer, state, compromised, replaces, made_before, started_at, updated_at, ended_at,
                counts AS "counts: Json<RotationCounts>""#,
            tx.tenant_id().0,
            layer.as_str(),
            made_before,
            compromised
        );
        Ok::<_, StoreError>(row.fetch_one(tx.connection()).await?)
    };
    vault.store().with_tenant(context, write).await?.into_rotation()
}

/// Notes how a rotation stands, or leaves it as it does with `None`, and adds what was done.
pub async fn note(
    vault: &KeyVault,
    context: &TenantContext,
    layer: Layer,
    state: Option<RotationState>,
    added: &RotationCounts,
) -> Result<(), StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let counts = sqlx::query_scalar!(
            r#"SELECT counts AS "counts: Json<RotationCounts>" FROM key_rotations
            WHERE tenant_id = $1 AND layer = $2 FOR UPDATE"#,
            tx.tenant_id().0,
            layer.as_str()
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(Json(mut counts)) = counts else { return Ok(()) };
        for (name, more) in added {
            *counts.entry(name.clone()).or_default() += more;
        }
        sqlx::query!(
            "UPDATE key_rotations SET state = COALESCE($3, state), counts = $4, updated_at = clock_timestamp(),
                ended_at = CASE WHEN COALESCE($3, state) = 'done' THEN COALESCE(ended_at, clock_timestamp()) END
            WHERE tenant_id = $1 AND layer = $2",
            tx.tenant_id().0,
            layer.as_str(),
            state.map(RotationState::as_str),
            Json(counts) as _
        )
        .execute(tx.connection())
        .await?;
        Ok::<_, StoreError>(())
    };
    vault.store().with_tenant(context, write).await
}

/// The last rotation of each layer that ever had one.
pub async fn list(vault: &KeyVault, context: &TenantContext) -> Result<Vec<Rotation>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT layer, state, compromised, replaces, made_before, started_at, updated_at, ended_at,
                counts AS "counts: Json<RotationCounts>"
            FROM key_rotations WHERE tenant_id = $1"#,
            tx.tenant_id().0
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    let mut rotations = rows.into_iter().map(Row::into_rotation).collect::<Result<Vec<_>, _>>()?;
    rotations.sort_by_key(|rotation| rotation.layer);
    Ok(rotations)
}

impl RotationState {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resealing => "resealing",
            Self::Settling => "settling",
            Self::Done => "done",
        }
    }
}

impl Row {
    fn into_rotation(self) -> Result<Rotation, StoreError> {
        let layer = Layer::ALL.into_iter().find(|layer| layer.as_str() == self.layer);
        let layer = layer.ok_or_else(|| StoreError::not_understood("key_rotations.layer", &self.layer))?;
        let states = [RotationState::Resealing, RotationState::Settling, RotationState::Done];
        let state = states.into_iter().find(|state| state.as_str() == self.state);
        let state = state.ok_or_else(|| StoreError::not_understood("key_rotations.state", &self.state))?;
        Ok(Rotation {
            layer,
            state,
            compromised: self.compromised,
            replaces: self.replaces,
            made_before: self.made_before,
            started_at: self.started_at,
            updated_at: self.updated_at,
            ended_at: self.ended_at,
            counts: self.counts.0,
        })
    }
}
