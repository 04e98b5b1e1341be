//! What the keeper does in a rotation, one step at a time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_crypto::{KeyEncryptionKeys, SystemEntropy};
use stagedoor_domain::TenantContext;
use stagedoor_storage::rotation::{self, DataLayer, PLACES, Proved};
use stagedoor_storage::{KeyVault, Purpose, Store, StoreOptions, provision};

use crate::persons;
use crate::support::{Database, Inhabited, account_of, tokens};

/// A vault of the keeper's role.
pub(super) async fn keeper(database: &Database, files: &[(&str, &[u8])]) -> KeyVault {
    let options = StoreOptions {
        purpose: Purpose::Keep,
        transaction_timeout: Duration::from_secs(10),
        acquire_timeout: Duration::from_secs(10),
        ..StoreOptions::new(database.postgres.url_for("stagedoor", "stagedoor_keeper"))
    };
    let store = Store::connect(&options).await.unwrap();
    let keks = KeyEncryptionKeys::from_files(files.iter().copied()).unwrap();
    KeyVault::new(store, Arc::new(keks), database.clock.clone(), Arc::new(SystemEntropy))
}

/// Writes to every table about people, and links the account again, whose session that sets aside as damaged.
pub(super) async fn settle(database: &Database, one: &Inhabited) {
    persons::settle(database, one).await;
    database.tamper("DELETE FROM session_quarantine").await;
    let (account, tokens) = (account_of(one.user), tokens("second"));
    assert_eq!(
        provision::link_account(&database.admin, &one.context, account, &tokens).await.unwrap(),
        one.account
    );
}

pub(super) async fn now(database: &Database) -> DateTime<Utc> {
    let text = database
        .tamper("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    text.await.parse().unwrap()
}

/// Gives every owner a new key.
pub(super) async fn switch_all(
    vault: &KeyVault,
    context: &TenantContext,
    before: DateTime<Utc>,
    compromised: bool,
) -> u64 {
    let mut switched = 0;
    for layer in DataLayer::ALL {
        let done = rotation::switch(vault, context, layer, (before, compromised), None).await.unwrap();
        assert_eq!((done.unreadable, done.next), (0, None));
        switched += done.switched;
        if layer == DataLayer::Tenant {
            rotation::rewrap(vault, context, DataLayer::Subjects, None).await.unwrap();
        }
    }
    switched
}

/// Reseals until nothing is left; how many values were.
pub(super) async fn reseal_all(vault: &KeyVault, context: &TenantContext) -> u64 {
    let mut stale = Vec::new();
    for layer in DataLayer::ALL {
        stale.extend(rotation::stale_keys(vault, context, layer).await.unwrap());
    }
    let mut resealed = 0;
    for place in PLACES {
        loop {
            let (mut after, mut moved) = (None, 0);
            loop {
                let page =
                    rotation::reseal_page(vault, context, place, &stale, after.as_ref()).await.unwrap();
                assert_eq!(page.unreadable, 0, "{}", place.name());
                moved += page.resealed + page.written_meanwhile;
                resealed += page.resealed;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if moved == 0 {
                break;
            }
        }
    }
    resealed
}

pub(super) async fn proved(vault: &KeyVault, context: &TenantContext) -> Proved {
    let mut all = rotation::prove_keys(vault, context).await.unwrap();
    for place in PLACES {
        let mut after = None;
        loop {
            let page = rotation::prove_page(vault, context, place, after.as_ref()).await.unwrap();
            all.opened += page.opened;
            all.unreadable += page.unreadable;
            all.without_key += page.without_key;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    all
}

pub(super) async fn states(database: &Database, one: &Inhabited) -> String {
    let sql = format!(
        "SELECT purpose || ' ' || state || ' ' || count(*) FROM data_keys WHERE tenant_id = '{}'
        GROUP BY purpose, state ORDER BY purpose, state",
        one.context.tenant_id()
    );
    database.tamper(&sql).await
}
