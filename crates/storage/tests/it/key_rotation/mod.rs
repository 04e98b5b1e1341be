//! Keys are replaced while they are in use: nothing that is sealed is lost, nothing stays under a key that goes, and a
//! place that nobody thought of is found.

mod peppers;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use stagedoor_crypto::{KeyEncryptionKeys, KeyOwner, SystemEntropy};
use stagedoor_domain::{Clock as _, TenantContext};
use stagedoor_storage::provider_sessions::RefreshedTokens;
use stagedoor_storage::rotation::{
    self, DataLayer, Layer, NOT_SEALED, PLACES, Patience, Retired, RotationState, SigningSwitch,
};
use stagedoor_storage::{KeyVault, preferences, provider_sessions, signing_keys};

use crate::support::{Database, Inhabited, KEY, tokens};
use crate::versions::{names, store};

use self::steps::{keeper, now, proved, reseal_all, settle, states, switch_all};

const OTHER_KEY: &[u8] = b"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const AT_ONCE: Patience = Patience { settle: Duration::ZERO, given_away: Duration::ZERO, backups: true };

#[tokio::test]
async fn every_column_of_bytes_is_a_place_or_said_to_be_none() {
    let database = Database::start().await;
    let there = database.tamper(
        "SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'bytea'::regtype
            AND c.relname NOT IN ('_sqlx_migrations')
            AND EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id')",
    );
    let there: BTreeSet<String> = there.await.lines().map(str::to_owned).collect();
    let places = PLACES.iter().map(rotation::Place::name);
    let others = NOT_SEALED.iter().map(|(table, column, _)| format!("{table}.{column}"));
    let known: Vec<String> = places.chain(others).collect();
    assert_eq!(known.iter().cloned().collect::<BTreeSet<_>>(), there);
    assert_eq!(known.len(), there.len(), "one is named twice");
    assert!(NOT_SEALED.iter().all(|(_, _, why)| why.len() > 5));
}

#[tokio::test]
async fn all_that_is_sealed_moves_to_new_keys_and_old_ones_end() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    settle(&database, &ada).await;
    settle(&database, &bob).await;
    let others = states(&database, &bob).await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let context = &ada.context;
    let (old, old_version) = (keeper.tenant_key(context).await.unwrap().id(), stored(&database, &ada).await);
    let before = proved(&keeper, context).await;
    assert_eq!((before.unreadable, before.without_key), (0, 0));
    let subjects = rotation::due(&keeper, context, DataLayer::Subjects, now(&database).await).await.unwrap();

    let switched = switch_all(&keeper, context, now(&database).await, false).await;
    assert_eq!(switched, subjects + 1);
    assert_eq!(
        states(&database, &ada).await,
        format!("1 active 1\n1 decrypt_only 1\n2 active {subjects}\n2 decrypt_only {subjects}")
    );
    let held = rotation::retire(&keeper, context, AT_ONCE).await.unwrap();
    assert_eq!(held.destroyed, 0);
    assert!(!held.held.is_empty());
    // The gateway holds the old keys open, and reads and writes on.
    provider_sessions::load(&database.vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!(
        stored(&database, &ada).await,
        old_version,
        "equal contents are found by the codes of the old key"
    );

    let resealed = reseal_all(&keeper, context).await;
    assert!(resealed >= PLACES.len() as u64 - 2, "{resealed} values of {} places", PLACES.len());
    assert_eq!(reseal_all(&keeper, context).await, 0);
    let first = rotation::retire(&keeper, context, AT_ONCE).await.unwrap();
    assert_eq!((first.destroyed, first.unreferenced, first.held), (0, subjects + 1, Vec::new()));
    let young = Patience { settle: Duration::from_mins(10), ..AT_ONCE };
    let waiting = rotation::retire(&keeper, context, young).await.unwrap();
    assert_eq!((waiting.destroyed, waiting.young), (0, subjects + 1), "someone may still hold them");
    let second = rotation::retire(&keeper, context, AT_ONCE).await.unwrap();
    assert_eq!(second, Retired { destroyed: subjects + 1, ..Retired::default() });
    assert_eq!(
        states(&database, &ada).await,
        format!("1 active 1\n1 destroyed 1\n2 active {subjects}\n2 destroyed {subjects}")
    );

    let after = proved(&keeper, context).await;
    assert_eq!((after.opened, after.unreadable, after.without_key), (before.opened, 0, 0));
    assert_eq!(states(&database, &bob).await, others, "another tenant's keys are its own");
    // A gateway that comes to it anew finds everything as it was.
    database.clock.advance(stagedoor_storage::keys::OPEN_FOR);
    assert_ne!(database.vault.tenant_key(context).await.unwrap().id(), old);
    provider_sessions::load(&database.vault, context, ada.account).await.unwrap().unwrap();
    preferences::load(&database.vault, context, ada.user).await.unwrap();
    assert_eq!(stored(&database, &ada).await, old_version);
}

/// The number of the version that holds these entries, however often they are stored.
async fn stored(database: &Database, one: &Inhabited) -> u32 {
    store(&database.vault, &one.context, (one, 77), &names(0..40)).await.unwrap().number
}

#[tokio::test]
async fn a_writer_beside_the_rotation_is_neither_lost_nor_refused() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    settle(&database, &ada).await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let context = &ada.context;
    // Loaded before the seal changes, written after it.
    let before = preferences::load(&database.vault, context, ada.user).await.unwrap();
    let session = provider_sessions::load(&database.vault, context, ada.account).await.unwrap().unwrap();
    switch_all(&keeper, context, now(&database).await, false).await;
    reseal_all(&keeper, context).await;
    let mut document = before.document().clone();
    document.insert("language".to_owned(), "de".into());
    preferences::store(&database.vault, context, ada.user, &before, document).await.unwrap();
    let tokens = tokens("next");
    let saved = provider_sessions::save_refreshed(&database.vault, context, &session, &tokens);
    let revision = session.revision + 1;
    assert_eq!(saved.await.unwrap(), provider_sessions::SaveOutcome::Saved { revision });
    // This replica still had the old key: what it wrote is found by the next look.
    assert!(reseal_all(&keeper, context).await >= 3);
    assert_eq!(reseal_all(&keeper, context).await, 0);
    let again = preferences::load(&database.vault, context, ada.user).await.unwrap();
    assert_eq!(again.document()["language"], "de");
    let opened = provider_sessions::load(&database.vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!(opened.revision, revision);
}

#[tokio::test]
async fn a_damaged_value_keeps_its_key() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let context = &ada.context;
    database.tamper("UPDATE provider_sessions SET access_token = set_byte(access_token, 90, 1)").await;
    switch_all(&keeper, context, now(&database).await, false).await;
    let stale = rotation::stale_keys(&keeper, context, DataLayer::Subjects).await.unwrap();
    let place = PLACES.iter().find(|place| place.name() == "provider_sessions.access_token").unwrap();
    let page = rotation::reseal_page(&keeper, context, place, &stale, None).await.unwrap();
    assert_eq!((page.resealed, page.unreadable), (0, 1));
    let place = PLACES.iter().find(|place| place.name() == "provider_sessions.refresh_token").unwrap();
    let page = rotation::reseal_page(&keeper, context, place, &stale, None).await.unwrap();
    assert_eq!((page.resealed, page.unreadable), (1, 0));
    for _ in 0..2 {
        let retired = rotation::retire(&keeper, context, AT_ONCE).await.unwrap();
        assert_eq!(retired.held, [(stale[0], 1)], "whoever restores it can still try");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotators_at_once_make_one_key_of_each() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    settle(&database, &ada).await;
    let before = now(&database).await;
    let mut rotators = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (vault, context) = (keeper(&database, &[("1", KEY)]).await, ada.context.clone());
        rotators.spawn(async move {
            let switched = switch_all(&vault, &context, before, false).await;
            reseal_all(&vault, &context).await;
            switched
        });
    }
    let switched: u64 = rotators.join_all().await.into_iter().sum();
    let active = states(&database, &ada).await;
    assert_eq!(active.lines().filter(|line| line.contains("pending")).count(), 0, "{active}");
    assert!(active.contains("1 active 1\n1 decrypt_only 1\n"), "{active}");
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let left = rotation::due(&keeper, &ada.context, DataLayer::Subjects, before).await.unwrap();
    assert_eq!(left, 0);
    let stale = rotation::stale_keys(&keeper, &ada.context, DataLayer::Subjects).await.unwrap();
    assert_eq!(switched, stale.len() as u64 + 1);
    reseal_all(&keeper, &ada.context).await;
    let proof = proved(&keeper, &ada.context).await;
    assert_eq!((proof.unreadable, proof.without_key), (0, 0));
}

#[tokio::test]
async fn tenants_keys_come_under_the_key_that_wraps_now() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database, &[("1", KEY), ("2", OTHER_KEY)]).await;
    let outer = keeper.wraps_with().unwrap();
    let context = &ada.context;
    let left = async || rotation::not_wrapped_by(&keeper, context, DataLayer::Tenant, outer).await.unwrap();
    assert_eq!(left().await, 1);
    let done = rotation::rewrap(&keeper, context, DataLayer::Tenant, None).await.unwrap();
    assert_eq!((done.rewrapped, done.unreadable, left().await), (1, 0, 0));
    let only_new = KeyEncryptionKeys::from_files([("2", OTHER_KEY)]).unwrap();
    let store = keeper.store().clone();
    let without = KeyVault::new(store, Arc::new(only_new), database.clock.clone(), Arc::new(SystemEntropy));
    provider_sessions::load(&without, context, ada.account).await.unwrap().unwrap();
    assert_eq!(without.subject_key(context, ada.user).await.unwrap().owner(), KeyOwner::Subject(ada.user));
}

#[tokio::test]
async fn known_keys_hand_nothing_on_and_end_sessions() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    settle(&database, &ada).await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let context = &ada.context;
    switch_all(&keeper, context, now(&database).await, true).await;
    assert_eq!(database.tamper("SELECT count(*) FROM data_keys WHERE indexes IS NOT NULL").await, "0");
    // Whoever calls meanwhile has the known refresh token stored under the new key.
    let until = now(&database).await.max(database.clock.now());
    let loaded = provider_sessions::load(&database.vault, context, ada.account).await.unwrap().unwrap();
    database.clock.advance(stagedoor_storage::keys::OPEN_FOR);
    let renewed = RefreshedTokens { refresh_token: None, ..tokens("renewed") };
    provider_sessions::save_refreshed(&database.vault, context, &loaded, &renewed).await.unwrap();
    let known = rotation::stale_keys(&keeper, context, DataLayer::Subjects).await.unwrap();
    let by_key = rotation::known_grants(&keeper, context, &known, DateTime::UNIX_EPOCH).await.unwrap();
    assert!(by_key.is_empty(), "it is under no known key any more");
    let grants = rotation::known_grants(&keeper, context, &known, until).await.unwrap();
    assert_eq!(grants.len(), 1);
    let (account, given) = grants[0];
    assert_eq!(account, ada.account);
    let later = given + chrono::TimeDelta::seconds(1);
    assert!(!rotation::end_grant(&keeper, context, account, later).await.unwrap(), "linked again since");
    assert!(rotation::end_grant(&keeper, context, account, given).await.unwrap());
    assert!(provider_sessions::load(&database.vault, context, ada.account).await.unwrap().is_none());
    let status = format!("SELECT status FROM linked_accounts WHERE account_id = '{}'", ada.account);
    assert_eq!(database.tamper(&status).await, "relink_needed");
}

#[tokio::test]
async fn a_signing_key_is_replaced_once_and_its_private_half_goes_after_a_checkpoint() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let context = &ada.context;
    let (since, later) = (now(&database).await, now(&database).await + chrono::TimeDelta::days(2));
    let switch = async || rotation::switch_signing_key(&keeper, context, later, since).await.unwrap();
    assert_eq!(switch().await, SigningSwitch::None);
    let old = signing_keys::active(&database.vault, context).await.unwrap();
    assert_eq!((switch().await, switch().await), (SigningSwitch::Switched, SigningSwitch::Kept));
    let new = signing_keys::active(&database.vault, context).await.unwrap();
    assert_ne!(old.id(), new.id());
    assert_eq!(rotation::destroy_signing_keys(&keeper, context, false).await.unwrap(), (0, 1));
    assert_eq!(rotation::destroy_signing_keys(&keeper, context, true).await.unwrap(), (1, 0));
    let keys =
        keeper.store().with_tenant(context, async |tx| signing_keys::public_keys(tx).await).await.unwrap();
    assert_eq!(keys.len(), 2, "the public half stays");
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_goes_on_and_one_that_is_over_does_not() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let context = &ada.context;
    let begin = async |compromised| {
        rotation::begin(&keeper, context, Layer::Tenant, None, compromised).await.unwrap()
    };
    let note = async |state: RotationState| {
        let counts = [("keys_switched".to_owned(), 2)].into();
        rotation::note(&keeper, context, Layer::Tenant, Some(state), &counts).await.unwrap();
    };
    let first = begin(false).await;
    note(RotationState::Resealing).await;
    let again = begin(false).await;
    assert_eq!((again.made_before, again.started_at), (first.made_before, first.started_at));
    assert_eq!(again.counts["keys_switched"], 2);
    let worse = begin(true).await;
    assert!(worse.made_before > first.made_before && worse.counts.is_empty(), "it begins anew");
    assert_eq!(begin(true).await.made_before, worse.made_before);
    let daily = begin(false).await;
    assert!(
        daily.compromised && daily.made_before == worse.made_before,
        "whoever goes on with it treats it alike"
    );
    note(RotationState::Done).await;
    let listed = rotation::list(&keeper, context).await.unwrap();
    assert_eq!((listed.len(), listed[0].state, listed[0].compromised), (1, RotationState::Done, true));
    assert!(listed[0].ended_at.is_some());
    assert!(begin(false).await.made_before > worse.made_before);
}

#[tokio::test]
async fn a_session_that_nobody_uses_gets_its_daily_seal_and_is_not_used_by_that() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let job = job_context(&ada);
    let facts = "SELECT session_id || ' ' || revision || ' ' || last_accessed FROM provider_sessions";
    let before = database.tamper(facts).await;
    assert!(provider_sessions::due(&keeper, &job, None, 10).await.unwrap().is_empty());
    assert!(!provider_sessions::rotate_if_due(&keeper, &job, ada.account).await.unwrap());
    database.clock.advance(Duration::from_hours(25));
    assert_eq!(provider_sessions::due(&keeper, &job, None, 10).await.unwrap(), [ada.account]);
    assert!(provider_sessions::rotate_if_due(&keeper, &job, ada.account).await.unwrap());
    let after = database.tamper(facts).await;
    let (old, new): (Vec<_>, Vec<_>) = (before.splitn(3, ' ').collect(), after.splitn(3, ' ').collect());
    assert_ne!((old[0], old[1]), (new[0], new[1]));
    assert_eq!(old[2], new[2], "what ends unused sessions still sees it unused");
    provider_sessions::load(&database.vault, &ada.context, ada.account).await.unwrap().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "tests build contexts")]
fn job_context(one: &Inhabited) -> TenantContext {
    TenantContext::for_job(Arc::new(one.context.tenant().clone()), "rotate-sessions", one.context.call())
}
