//! The key-encryption keys: whether they can be used at all, and whether every one is there that something is wrapped
//! under.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use stagedoor_crypto::{DataKey, KekError, KekProvider, KeyOwner, Peppers};
use stagedoor_domain::TenantId;
use stagedoor_domain::error::Chain;
use stagedoor_domain::health::Verdict;
use stagedoor_domain::ids::uuid_v7;
use stagedoor_storage::rotation::PepperUse;
use stagedoor_storage::{Store, StoreError, backups};
use uuid::Uuid;

use super::{Check, Finding, Rooms};

/// The keeper rotates daily what is due, and a week of failures was told by other means.
const LATE: TimeDelta = TimeDelta::days(7);

impl Rooms<'_> {
    pub(super) async fn keys(&self) -> Vec<Finding> {
        let (keys, peppers) = match &self.keys {
            Ok(opened) => opened,
            Err(reason) => return vec![Check::Keys.failed(reason)],
        };
        keys.reload().await;
        let mut found = Vec::new();
        if let Some(problem) = keys.problem() {
            found.push(Check::Keys.failed(problem));
        }
        if let Err(error) = self.try_keys(&**keys).await {
            found.push(
                Check::Keys.failed(format_args!("a key cannot be wrapped and unwrapped: {}", Chain(&error))),
            );
        }
        let at_hand: BTreeSet<Uuid> = keys.ids().into_iter().collect();
        if let Some(store) = self.store() {
            match needed(store).await {
                Err(error) => found.push(Check::Keys.failed(Chain(&error))),
                Ok(needed) => found.extend(missing(&needed, &at_hand)),
            }
            match store.admin_key_peppers(self.clock.now()).await {
                Err(error) => found.push(Check::Keys.failed(Chain(&error))),
                Ok(used) => found.extend(missing_peppers(&used, peppers)),
            }
            if let Some(id) = keys.active_id() {
                match store.wraps_since(id).await {
                    Err(error) => found.push(Check::Keys.failed(Chain(&error))),
                    Ok(since) => found.extend(since.and_then(|since| self.old(since))),
                }
            }
        }
        if found.is_empty() {
            let told = format!("{} key-encryption keys open; one was tried", at_hand.len());
            let figures = json!({"at_hand": at_hand, "wraps_with": keys.active_id()});
            found.push(Check::Keys.found(Verdict::Ok, told).with(figures));
        }
        found
    }

    /// A key-encryption key that a rotation should have followed by another: nobody rotates, or nobody may.
    fn old(&self, since: DateTime<Utc>) -> Option<Finding> {
        let (age, days) = (self.clock.now() - since, self.config.encryption.key_rotation_days);
        let told =
            format!("the key-encryption key wraps for {} days; it should be {days} at most", age.num_days());
        let figures = json!({"wraps_for_days": age.num_days(), "days_at_most": days});
        let late = age > TimeDelta::days(i64::from(days)) + LATE;
        late.then(|| Check::Keys.found(Verdict::Warning, told).with(figures))
    }

    /// Wraps and unwraps a key that nobody keeps.
    async fn try_keys(&self, keys: &dyn KekProvider) -> Result<(), KekError> {
        let id = uuid_v7(&*self.clock, &*self.entropy);
        let (nobody, key) = (TenantId(Uuid::nil()), DataKey::generate(id, KeyOwner::Tenant, &*self.entropy));
        let wrap = keys.wrap(nobody, &key, 1, &*self.entropy).await?;
        let opened = keys.unwrap(nobody, id, 1, &wrap.bytes).await?;
        if opened.to_wrap() == key.to_wrap() { Ok(()) } else { Err(KekError::Altered) }
    }
}

/// Peppers that are gone though keys of the admin API, which any tenant's may be, are stored under them.
fn missing_peppers(used: &[PepperUse], peppers: &Peppers) -> Vec<Finding> {
    let at_hand: BTreeSet<u16> = peppers.versions().collect();
    let gone = used.iter().filter(|used| !at_hand.contains(&used.version));
    let finding = |used: &PepperUse| {
        let (version, keys) = (used.version, used.keys);
        let told = format!(
            "version {version} of the pepper is missing, without which {keys} keys of the admin API do not work"
        );
        Check::Keys.failed(told).with(json!({"missing_pepper": version, "admin_keys": keys}))
    };
    gone.map(finding).collect()
}

/// The key-encryption keys that tenants' keys are wrapped by, and those that kept backups need.
struct Needed {
    tenants: Vec<(Uuid, u64)>,
    backups: BTreeSet<Uuid>,
}

async fn needed(store: &Store) -> Result<Needed, StoreError> {
    let tenants = store.key_encryption_keys_in_use().await?;
    let backups = backups::key_encryption_keys_in_use(store).await?;
    Ok(Needed { tenants, backups })
}

fn missing(needed: &Needed, at_hand: &BTreeSet<Uuid>) -> Vec<Finding> {
    let tenants = needed.tenants.iter().filter(|(key, _)| !at_hand.contains(key)).map(|(key, tenants)| {
        Check::Keys
            .failed(format_args!(
                "key-encryption key {key} is missing, under which are {tenants} tenants' keys"
            ))
            .with(json!({"missing": key, "tenant_keys": tenants}))
    });
    let backups = needed.backups.difference(at_hand).map(|key| {
        let told = format!("key-encryption key {key} is missing, without which kept backups do not open");
        Check::Keys.found(Verdict::Warning, told).with(json!({"missing": key}))
    });
    tenants.chain(backups).collect()
}
