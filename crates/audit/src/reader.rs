//! Reading records back with their payloads, where these still open.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use stagedoor_crypto::KeyOwner;
use stagedoor_crypto::envelope::key_id;
use stagedoor_domain::TenantContext;
use stagedoor_storage::audit::{self, AuditBundle, StoredAuditRecord};
use stagedoor_storage::{KeyVault, StoreError, data_keys};
use uuid::Uuid;

use crate::bundle::{self, SALT};

/// Bundles that are loaded at a time.
const AT_ONCE: usize = 64;

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
    /// The bundle was emptied or its key destroyed, as happens with the person.
    Erased,
    /// The bundle was altered, has no such record, or is not there.
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
    open_records(vault, context, day, records).await
}

/// Opens what records of the tenant's chain of `day` say.
pub(crate) async fn open_records(
    vault: &KeyVault,
    context: &TenantContext,
    day: NaiveDate,
    records: Vec<StoredAuditRecord>,
) -> Result<Vec<AuditView>, StoreError> {
    let mut seen = HashSet::new();
    let ids: Vec<Uuid> =
        records.iter().map(|record| record.bundle_id).filter(|id| seen.insert(*id)).collect();
    let mut opened: HashMap<Uuid, Arc<Bundle>> = HashMap::new();
    for ids in ids.chunks(AT_ONCE) {
        let load = async |tx: &mut _| audit::bundles(tx, day, ids).await;
        for stored in vault.store().with_tenant::<_, StoreError>(context, load).await? {
            let id = stored.id;
            opened.insert(id, Arc::new(Bundle::open(vault, context, stored).await?));
        }
    }
    let view = |record: StoredAuditRecord| {
        let bundle = opened.get(&record.bundle_id);
        // An erased bundle is there and empty; one that is not there was taken away.
        let payload = bundle.map_or(PayloadView::Altered, |bundle| bundle.payload(record.bundle_position));
        AuditView { record, payload }
    };
    Ok(records.into_iter().map(view).collect())
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
        stored: AuditBundle,
    ) -> Result<Self, StoreError> {
        if stored.sealed.is_empty() {
            return Ok(Self::Erased);
        }
        let place = bundle::place(context.tenant_id(), stored.id);
        match vault.open(context, &place, &stored.sealed, "a bundle of audit records").await {
            Ok(plaintext) => Ok(bundle::entries(&plaintext).map_or(Self::Altered, |entries| {
                let open =
                    |(salt, text): (&[u8; SALT], &[u8])| PayloadView::Open { salt: *salt, text: text.into() };
                Self::Entries(entries.into_iter().map(open).collect())
            })),
            Err(StoreError::Missing(_)) => Self::without_key(vault, context, &stored).await,
            Err(StoreError::Unreadable { .. }) => Ok(Self::Altered),
            Err(error) => Err(error),
        }
    }

    /// A key that was destroyed took what it sealed with it; one that nobody knows, while its owner has another, was
    /// never the bundle's.
    async fn without_key(
        vault: &KeyVault,
        context: &TenantContext,
        stored: &AuditBundle,
    ) -> Result<Self, StoreError> {
        let Ok(id) = key_id(&stored.sealed) else { return Ok(Self::Altered) };
        let owner = stored.user.map_or(KeyOwner::Tenant, KeyOwner::Subject);
        let look = async |tx: &mut _| {
            let destroyed = data_keys::is_known(tx, id).await?;
            Ok::<_, StoreError>(destroyed || data_keys::find_active(tx, owner).await?.is_none())
        };
        let erased = vault.store().with_tenant(context, look).await?;
        Ok(if erased { Self::Erased } else { Self::Altered })
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
