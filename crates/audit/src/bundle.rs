//! Events made ready for the database: payloads with their salts sealed in bundles (one for each person in a batch),
//! commitments in records. A bundle in the clear is `length 4 | salt 32 | payload`, repeated; lengths big endian.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDate;
use stagedoor_crypto::digest::commitment;
use stagedoor_crypto::{DataKey, KeyOwner, SealContext};
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{TenantContext, TenantId, UserId};
use stagedoor_storage::audit::{AuditBundle, ChainSize, NewAuditRecord};
use stagedoor_storage::{KeyVault, StoreError, audit};
use uuid::Uuid;

use crate::event::Event;
use crate::payload::{self, ClientCodes};
use crate::sizes::Sizes;

pub(crate) const SALT: usize = 32;
const LENGTH: usize = 4;

/// Records of one tenant and day, ready to append; appending it twice appends it once.
#[derive(Debug)]
pub(crate) struct Batch {
    context: TenantContext,
    day: NaiveDate,
    bundles: Vec<AuditBundle>,
    records: Vec<NewAuditRecord>,
}

impl Batch {
    /// How many records it holds.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn context(&self) -> &TenantContext {
        &self.context
    }

    pub(crate) fn day(&self) -> NaiveDate {
        self.day
    }

    /// Makes events ready, which must be of one tenant and day, in their order.
    pub(crate) async fn prepare(vault: &KeyVault, events: &[Event]) -> Result<Self, StoreError> {
        let first = events.first().expect("a batch has an event");
        let context = first.context.clone();
        let tenant_key = key_of(vault, &context, KeyOwner::Tenant).await?;
        let mut salts = vec![0; events.len() * SALT];
        vault.entropy().fill(&mut salts);

        let mut codes = ClientCodes::of_month(first.at);
        let mut open: Vec<OpenBundle> = Vec::new();
        let mut bundle_of: HashMap<Option<UserId>, usize> = HashMap::new();
        let mut records = Vec::with_capacity(events.len());
        for (event, salt) in events.iter().zip(salts.chunks_exact(SALT)) {
            let user = event.context.user();
            let index = *bundle_of.entry(user).or_insert_with(|| {
                open.push(OpenBundle::new(uuid_v7(vault.clock(), vault.entropy()), user));
                open.len() - 1
            });
            let payload = tenant_key.as_ref().map(|key| payload::write(event, key, &mut codes));
            let payload = payload.unwrap_or_default();
            let salt: &[u8; SALT] = salt.try_into().expect("chunks are as long as a salt");
            records.push(NewAuditRecord {
                kind: event.kind.number(),
                at: event.at,
                commitment: commitment(salt, &payload),
                call: event.context.call(),
                bundle: open[index].id,
                position: open[index].records,
            });
            open[index].add(salt, &payload);
        }

        let mut bundles = Vec::with_capacity(open.len());
        for bundle in open {
            let key = match bundle.user {
                Some(user) => key_of(vault, &context, KeyOwner::Subject(user)).await?,
                None => tenant_key.clone(),
            };
            let place = place(context.tenant_id(), bundle.id);
            let (user, sealed) = match key.filter(|_| tenant_key.is_some()) {
                Some(key) => (bundle.user, key.seal(&place, &bundle.plaintext, vault.entropy())),
                // That something happened is recorded; what, and whose it was, is not.
                None => (None, Vec::new()),
            };
            bundles.push(AuditBundle { id: bundle.id, user, records: bundle.records, sealed });
        }
        Ok(Self { context, day: first.at.date_naive(), bundles, records })
    }

    /// Appends the batch, making the day's partition if it is not there yet, and tells `sizes` what the day takes then.
    pub(crate) async fn append(&self, vault: &KeyVault, sizes: &Sizes) -> Result<(), StoreError> {
        let size = match self.try_append(vault).await {
            Err(StoreError::NoAuditPartition) => {
                vault.store().ensure_audit_partitions(self.day, 1).await?;
                self.try_append(vault).await?
            }
            outcome => outcome?,
        };
        sizes.learn(&self.context, self.day, size.bytes);
        Ok(())
    }

    async fn try_append(&self, vault: &KeyVault) -> Result<ChainSize, StoreError> {
        let append = async |tx: &mut _| audit::append(tx, self.day, &self.bundles, &self.records).await;
        vault.store().with_tenant(&self.context, append).await
    }
}

/// The owner's key; `None` for a person or a tenant who was erased meanwhile and will never have one again.
async fn key_of(
    vault: &KeyVault,
    context: &TenantContext,
    owner: KeyOwner,
) -> Result<Option<Arc<DataKey>>, StoreError> {
    match vault.active_key(context, owner).await {
        Ok(key) => Ok(Some(key)),
        Err(StoreError::Missing("person")) => Ok(None),
        Err(error) => Err(error),
    }
}

struct OpenBundle {
    id: Uuid,
    user: Option<UserId>,
    records: u32,
    plaintext: Vec<u8>,
}

impl OpenBundle {
    fn new(id: Uuid, user: Option<UserId>) -> Self {
        Self { id, user, records: 0, plaintext: Vec::new() }
    }

    fn add(&mut self, salt: &[u8; SALT], payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a payload is below 4 GiB");
        self.plaintext.extend(length.to_be_bytes());
        self.plaintext.extend(salt);
        self.plaintext.extend(payload);
        self.records += 1;
    }
}

/// The salts and payloads of an opened bundle; `None` if it is cut.
pub(crate) fn entries(mut plaintext: &[u8]) -> Option<Vec<(&[u8; SALT], &[u8])>> {
    let mut entries = Vec::new();
    while !plaintext.is_empty() {
        let (length, rest) = plaintext.split_first_chunk::<LENGTH>()?;
        let (salt, rest) = rest.split_first_chunk::<SALT>()?;
        let (payload, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        entries.push((salt, payload));
        plaintext = rest;
    }
    Some(entries)
}

/// Where a bundle is sealed to. Bundles are never written twice, so their revision stays 0.
pub(crate) fn place(tenant: TenantId, bundle: Uuid) -> SealContext {
    SealContext { tenant, table: "audit_payloads", column: "sealed", row: bundle, revision: 0 }
}
