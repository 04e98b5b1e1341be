//! A key's row as it is read, and what its columns mean.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_crypto::{ApiKeyDigest, KeyMode};
use stagedoor_domain::{ApiKeyId, Scope, ScopeSet, Toolset, ToolsetSet};
use uuid::Uuid;

use super::KeySummary;
use crate::error::StoreError;

pub(super) struct Row {
    pub(super) key_id: String,
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) scopes: Vec<String>,
    pub(super) toolsets: Option<Vec<String>>,
    pub(super) read_only: bool,
    pub(super) user_id: Option<Uuid>,
    pub(super) allowed_networks: Vec<IpNet>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
    pub(super) revoked_reason: Option<String>,
    pub(super) replaced_by: Option<String>,
    pub(super) last_used_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) created_by: Option<String>,
    pub(super) revision: i64,
}

impl Row {
    pub(super) fn into_summary(self) -> Result<KeySummary, StoreError> {
        let mode = match self.mode.as_str() {
            "live" => KeyMode::Live,
            "test" => KeyMode::Test,
            other => return Err(StoreError::not_understood("api_keys.mode", other)),
        };
        Ok(KeySummary {
            id: key_id(&self.key_id)?,
            name: self.name,
            mode,
            scopes: scopes(&self.scopes),
            toolsets: self.toolsets.as_deref().map(toolsets),
            read_only: self.read_only,
            user: self.user_id.map(Into::into),
            allowed_networks: self.allowed_networks,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            revoked_reason: self.revoked_reason,
            replaced_by: self.replaced_by.as_deref().map(key_id).transpose()?,
            last_used_at: self.last_used_at,
            created_at: self.created_at,
            created_by: self.created_by,
            revision: self.revision,
        })
    }
}

pub(crate) fn key_id(text: &str) -> Result<ApiKeyId, StoreError> {
    text.parse().map_err(|_| StoreError::not_understood("api_keys.key_id", text))
}

/// A scope of a later release grants nothing here: less than was meant, never more.
pub(crate) fn scopes(names: &[String]) -> ScopeSet {
    names.iter().filter_map(|text| text.parse::<Scope>().ok()).collect()
}

/// The same of toolsets.
pub(crate) fn toolsets(names: &[String]) -> ToolsetSet {
    names.iter().filter_map(|text| text.parse::<Toolset>().ok()).collect()
}

pub(super) fn scope_names(scopes: ScopeSet) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

pub(super) fn toolset_names(toolsets: ToolsetSet) -> Vec<String> {
    toolsets.iter().map(|toolset| toolset.as_str().to_owned()).collect()
}

pub(super) fn mode_name(mode: KeyMode) -> Result<&'static str, StoreError> {
    match mode {
        KeyMode::Live => Ok("live"),
        KeyMode::Test => Ok("test"),
        KeyMode::Admin => {
            Err(StoreError::invalid("mode", "the admin API's keys are kept apart from agents'"))
        }
    }
}

pub(crate) fn digest(pepper_version: i16, hmac: Vec<u8>) -> Result<ApiKeyDigest, StoreError> {
    let pepper_version = u16::try_from(pepper_version)
        .map_err(|_| StoreError::not_understood("api_keys.pepper_version", pepper_version.to_string()))?;
    let hmac = <[u8; 32]>::try_from(hmac)
        .map_err(|_| StoreError::not_understood("api_keys.digest", "another length"))?;
    Ok(ApiKeyDigest { pepper_version, hmac })
}

pub(crate) fn pepper_version(digest: &ApiKeyDigest) -> Result<i16, StoreError> {
    i16::try_from(digest.pepper_version)
        .map_err(|_| StoreError::not_understood("the pepper's version", digest.pepper_version.to_string()))
}
