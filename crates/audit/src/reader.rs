//! Reading records back with their payloads, where these still open.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDate;
use stagedoor_domain::TenantContext;
use stagedoor_storage::audit::{self, StoredAuditRecord};
use stagedoor_storage::{KeyVault, StoreError};
use uuid::Uuid;

use crate::bundle::{self, SALT};

/// A record and what it says.
#[derive(Debug, Clone)]
pub struct AuditView {
    /// The link of the chain.
    pub record: StoredAuditRecord,
    /// Its payload, or why there is none.
    pub payload: PayloadView,
}

/// What became of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadView {
    /// It opens: its salt and its text, which is JSON.
    Open {
        /// The salt of its commitment.
        salt: [u8; SALT],
        /// The text.
        text: Box<[u8]>,
    },
    /// The bundle or its key was erased, as happens with the person.
    Erased,
    /// The bundle is there but was altered, or has no such record.
    Altered,
}

impl AuditView {
    /// The payload as JSON, if it opens.
    pub fn json(&self) -> Option<serde_json::Value> {
        match &self.payload {
            PayloadView::Open { text, .. } => serde_json::from_slice(text).ok(),
            PayloadView::Erased | PayloadView::Altered => None,
        }
    }
}

/// At most `limit` records of the tenant's chain of `day`, those after the sequence number `after`.
pub async fn read_records(
    vault: &KeyVault,
    context: &TenantContext,
    day: NaiveDate,
    after: i64,
    limit: i64,
) -> Result<Vec<AuditView>, StoreError> {
    let records =
        vault.store().with_tenant(context, async |tx| audit::records(tx, day, after, limit).await).await?;
    let mut opened: HashMap<Uuid, Arc<Bundle>> = HashMap::new();
    let mut views = Vec::with_capacity(records.len());
    for record in records {
        let bundle = if let Some(bundle) = opened.get(&record.bundle_id) {
            bundle.clone()
        } else {
            let bundle = Arc::new(Bundle::open(vault, context, day, record.bundle_id).await?);
            opened.insert(record.bundle_id, bundle.clone());
            bundle
        };
        let payload = bundle.payload(record.bundle_position);
        views.push(AuditView { record, payload });
    }
    Ok(views)
}

enum Bundle {
    Entries(Vec<PayloadView>),
    Erased,
    Altered,
}

impl Bundle {
    async fn open(
        vault: &KeyVault,
        context: &TenantContext,
        day: NaiveDate,
        id: Uuid,
    ) -> Result<Self, StoreError> {
        let Some(stored) =
            vault.store().with_tenant(context, async |tx| audit::bundle(tx, day, id).await).await?
        else {
            return Ok(Self::Erased);
        };
        let place = bundle::place(context.tenant_id(), id);
        match vault.open(context, &place, &stored.sealed, "a bundle of audit records").await {
            Ok(plaintext) => Ok(bundle::entries(&plaintext).map_or(Self::Altered, |entries| {
                let open =
                    |(salt, text): (&[u8; SALT], &[u8])| PayloadView::Open { salt: *salt, text: text.into() };
                Self::Entries(entries.into_iter().map(open).collect())
            })),
            Err(StoreError::Missing(_)) => Ok(Self::Erased),
            Err(StoreError::Unreadable { .. }) => Ok(Self::Altered),
            Err(error) => Err(error),
        }
    }

    fn payload(&self, position: i32) -> PayloadView {
        match self {
            Self::Erased => PayloadView::Erased,
            Self::Altered => PayloadView::Altered,
            Self::Entries(entries) => usize::try_from(position)
                .ok()
                .and_then(|position| entries.get(position))
                .cloned()
                .unwrap_or(PayloadView::Altered),
        }
    }
}
