//! What an issuer is in its table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use stagedoor_domain::issuer::{SigningAlgorithm, SigningAlgorithms};
use stagedoor_domain::{Issuer, Scope, Toolset};
use uuid::Uuid;

use super::StoredIssuer;
use crate::error::StoreError;

pub(super) struct Row {
    pub(super) issuer_id: Uuid,
    pub(super) issuer: String,
    pub(super) jwks_uri: Option<String>,
    pub(super) algorithms: Vec<String>,
    pub(super) subject_claim: String,
    pub(super) subject_prefix: String,
    pub(super) scope_map: Json<serde_json::Value>,
    pub(super) toolsets: Option<Vec<String>>,
    pub(super) read_only: bool,
    pub(super) provisioning: String,
    pub(super) enabled: bool,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl Row {
    pub(super) fn into_stored(self) -> Result<StoredIssuer, StoreError> {
        let (revision, created_at, updated_at) = (self.revision, self.created_at, self.updated_at);
        Ok(StoredIssuer { issuer: self.into_issuer()?, revision, created_at, updated_at })
    }

    /// An algorithm, scope or toolset of a later release gives nothing here: less than was meant, never more.
    pub(super) fn into_issuer(self) -> Result<Issuer, StoreError> {
        let algorithms: SigningAlgorithms =
            self.algorithms.iter().filter_map(|name| name.parse::<SigningAlgorithm>().ok()).collect();
        let scope_map: BTreeMap<String, Vec<String>> = serde_json::from_value(self.scope_map.0)
            .map_err(|_| StoreError::not_understood("issuers.scope_map", "another form"))?;
        let scopes =
            |names: Vec<String>| names.iter().filter_map(|name| name.parse::<Scope>().ok()).collect();
        let toolsets =
            |names: Vec<String>| names.iter().filter_map(|name| name.parse::<Toolset>().ok()).collect();
        let provisioning = self
            .provisioning
            .parse()
            .map_err(|_| StoreError::not_understood("issuers.provisioning", &self.provisioning))?;
        Ok(Issuer {
            id: self.issuer_id.into(),
            url: self.issuer,
            jwks_uri: self.jwks_uri,
            algorithms,
            subject_claim: self.subject_claim,
            subject_prefix: self.subject_prefix,
            scope_map: scope_map.into_iter().map(|(value, names)| (value, scopes(names))).collect(),
            toolsets: self.toolsets.map(toolsets),
            read_only: self.read_only,
            provisioning,
            enabled: self.enabled,
        })
    }
}

pub(super) fn algorithm_names(issuer: &Issuer) -> Vec<String> {
    issuer.algorithms.iter().map(|algorithm| algorithm.as_str().to_owned()).collect()
}

pub(super) fn toolset_names(issuer: &Issuer) -> Option<Vec<String>> {
    issuer.toolsets.map(|toolsets| toolsets.iter().map(|toolset| toolset.as_str().to_owned()).collect())
}

pub(super) fn scope_names(issuer: &Issuer) -> serde_json::Value {
    let names = issuer.scope_map.iter().map(|(value, scopes)| {
        (value.clone(), scopes.iter().map(stagedoor_domain::Scope::as_str).collect::<serde_json::Value>())
    });
    serde_json::Value::Object(names.collect())
}
