//! Erasing a person: everything of theirs goes and nothing of others, however often a worker dies on the way, and only
//! with a request that was confirmed.

use std::collections::BTreeMap;

use serde_json::Map;
use sqlx::{Connection as _, Row as _};
use stagedoor_crypto::{KeyMode, PlainApiKey};
use stagedoor_storage::erasure::{Batch, Destroyed, destroy_person, erase_batch};
use stagedoor_storage::personal_data::counts;
use stagedoor_storage::privacy_requests::{self, Claim, Kind, State, claim_due, finish};
use stagedoor_storage::{StoreError, preferences, provision};

use crate::persons::{TOKEN, advance, audited, claimed, confirmed, offer, read, settle};
use crate::support::{Database, Inhabited, account_of, tokens};

const TABLES: &str = "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> '_sqlx_migrations'";

/// In how many rows of which tables a text stands.
async fn mentions(database: &Database, text: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for table in database.tamper(TABLES).await.lines() {
        let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{text}%'");
        let count: u64 = database.tamper(&sql).await.parse().unwrap();
        if count > 0 {
            found.insert(table.to_owned(), count);
        }
    }
    found
}

/// Every row that names one of them, table by table.
async fn naming(database: &Database, names: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for table in database.tamper(TABLES).await.lines() {
        let sql = format!(
            "SELECT string_agg(t::text, ',' ORDER BY t::text) FROM {table} t WHERE t::text ~ '({})'",
            names.join("|")
        );
        found.insert(table.to_owned(), database.tamper(&sql).await);
    }
    found
}

/// Another person of the same tenant, with an account, a grant, and a record in the trail.
async fn another(database: &Database, one: &Inhabited) -> Inhabited {
    let (admin, context) = (&database.admin, &one.context);
    let user = provision::create_user(admin, context, Some("carol".to_owned()), "Carol").await.unwrap();
    let account = provision::link_account(admin, context, account_of(user), &tokens("carols")).await.unwrap();
    let key = PlainApiKey::generate(admin.entropy(), KeyMode::Test);
    let carol = Inhabited { context: context.clone(), user, account, key };
    audited(database, &carol, b"{}").await.unwrap();
    let none = preferences::load(&database.vault, context, user).await.unwrap();
    preferences::store(&database.vault, context, user, &none, preferences::Document::new()).await.unwrap();
    carol
}

async fn batch(database: &Database, one: &Inhabited, claim: &Claim) -> Batch {
    erase_batch(database.vault.store(), &one.context, claim).await.unwrap()
}

async fn destroy(database: &Database, one: &Inhabited, claim: &Claim) -> Destroyed {
    destroy_person(database.vault.store(), &one.context, claim).await.unwrap()
}

/// The worker dies: its claim runs out.
async fn die(database: &Database) {
    database
        .tamper("UPDATE privacy_requests SET due_at = now() WHERE due_at IS NOT NULL AND kind = 'erasure'")
        .await;
}

#[tokio::test]
async fn everything_of_the_person_goes_and_nothing_of_others_although_each_step_is_cut_off() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    settle(&database, &bob).await;
    settle(&database, &ada).await;
    let carol = another(&database, &ada).await;
    let names = [bob.context.tenant_id().to_string(), carol.user.to_string(), carol.account.to_string()];
    let chain = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM audit_records t";
    let chain_before = database.tamper(chain).await;
    let id = confirmed(&database, &ada).await;
    let before: BTreeMap<_, _> =
        counts(database.vault.store(), &ada.context, ada.user).await.unwrap().into_iter().collect();
    let others_before = naming(&database, &names).await;

    let claim = claimed(&database).await;
    assert_eq!(batch(&database, &ada, &claim).await, Batch::Lost, "first the grants are ended");
    let grants = Map::from_iter([("grants".to_owned(), ada.account.to_string().into())]);
    let noted =
        privacy_requests::note(database.vault.store(), &ada.context, &claim, State::Verified, &grants);
    assert!(noted.await.unwrap());
    assert!(advance(&database, &ada, &claim, State::Verified, State::Revoked).await);
    assert_eq!(destroy(&database, &ada, &claim).await, Destroyed::Lost, "first the rows go");
    let mut last = claim;
    loop {
        die(&database).await;
        let claim = claimed(&database).await;
        assert_eq!(batch(&database, &ada, &last).await, Batch::Lost, "another has it");
        let done = batch(&database, &ada, &claim).await;
        last = claim;
        if done == Batch::Nothing {
            break;
        }
    }
    assert!(advance(&database, &ada, &last, State::Revoked, State::Erased).await);
    die(&database).await;
    let claim = claimed(&database).await;
    assert_eq!(destroy(&database, &ada, &claim).await, Destroyed::Done);
    assert_eq!(destroy(&database, &ada, &claim).await, Destroyed::Lost, "it is done");
    die(&database).await;
    let claim = claimed(&database).await;
    assert_eq!((claim.state, claim.user), (State::KeyDestroyed, Some(ada.user)), "to forget in caches");
    let store = database.vault.store();
    assert!(finish(store, &ada.context, &claim, "a receipt").await.unwrap());
    assert!(!finish(store, &ada.context, &claim, "another").await.unwrap());
    assert_eq!(claim_due(store, 10).await.unwrap(), []);

    let done = read(&database, &ada, id).await;
    assert_eq!((done.state, done.user, done.requested_by.as_deref()), (State::Done, None, None));
    assert_eq!(done.receipt.as_deref(), Some("a receipt"));
    let erased: BTreeMap<_, _> = done.rows().collect();
    // The erasure itself is one of the person's requests, and stays.
    let expected: BTreeMap<_, _> = before
        .iter()
        .map(|(table, count)| (*table, if *table == "privacy_requests" { count - 1 } else { *count }))
        .collect();
    assert_eq!(erased, expected);
    for trace in [ada.user.to_string(), ada.account.to_string(), ada.key.id().to_string(), "ada|ada".into()] {
        assert_eq!(mentions(&database, &trace).await, BTreeMap::new(), "{trace}");
    }
    assert_eq!(database.tamper(chain).await, chain_before, "the chain is as it was");
    let emptied = "SELECT count(*) FROM audit_payloads WHERE user_id IS NULL AND sealed = ''";
    assert_eq!(database.tamper(emptied).await, before["audit_payloads"].to_string());
    assert_eq!(naming(&database, &names).await, others_before, "others have what they had");
    assert!(!others_before["provider_sessions"].is_empty() && !others_before["jobs"].is_empty());

    let tombstone = database
        .tamper(
            "SELECT encode(t.subject_digest, 'hex') || ' ' || t.request_id FROM erasure_tombstones t
            JOIN privacy_requests r USING (tenant_id, request_id, subject_digest)",
        )
        .await;
    let digest = stagedoor_crypto::digest::sha256(&[
        b"stagedoor/subject/1",
        ada.context.tenant_id().0.as_bytes(),
        ada.user.0.as_bytes(),
    ]);
    let hex = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(tombstone, format!("{hex} {id}"));
}

#[tokio::test]
async fn once_it_is_confirmed_nothing_works_or_begins() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let job = crate::jobs::queued(&database, &ada).await;
    let working = crate::jobs::claimed(&database, &ada, job).await;
    let link = crate::attempts::agreed(&database, &ada, 1).await;
    confirmed(&database, &ada).await;

    let (vault, slug) = (&database.vault, "ada".parse().unwrap());
    assert!(vault.store().find_api_key(&slug, ada.key.id()).await.unwrap().is_none());
    let held = stagedoor_storage::jobs::hold(vault.store(), &ada.context, &working).await.unwrap();
    assert_eq!(held, stagedoor_storage::jobs::Held::Lost);
    assert_eq!(stagedoor_storage::jobs::claim_due(vault.store(), 9, 9).await.unwrap(), []);
    let ended = crate::attempts::find(&database, &ada, link).await;
    assert_eq!(ended.failure.as_deref(), Some("link_expired"));

    let account = account_of(ada.user);
    let again = provision::link_account(vault, &ada.context, account, &tokens("x")).await;
    assert!(again.is_err(), "an account that is linked now would never be ended at its service");
    let attempt = crate::attempts::attempt(&database, &ada, 2);
    let attempt = async |tx: &mut _| stagedoor_storage::link_attempts::insert(tx, &attempt).await;
    assert!(vault.store().with_tenant::<_, StoreError>(&ada.context, attempt).await.is_err());
    let key = format!(
        "INSERT INTO api_keys (tenant_id, key_id, name, mode, pepper_version, digest, scopes, user_id)
        VALUES ('{}', 'abcdefghijkl', '', 'test', 1, sha256(''), '{{}}', '{}')",
        ada.context.tenant_id(),
        ada.user
    );
    let mut admin = database.bare("stagedoor_admin").await;
    let mut transaction = admin.begin().await.unwrap();
    crate::isolation::set_tenant(&mut transaction, &ada.context).await;
    let refused = sqlx::query(sqlx::AssertSqlSafe(key)).execute(&mut *transaction).await.unwrap_err();
    assert!(refused.to_string().contains("being erased"), "{refused}");
}

#[tokio::test]
async fn the_gateways_role_erases_nobody_without_a_confirmed_request() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    settle(&database, &ada).await;
    let asked = offer(&database, &ada, Kind::Erasure, TOKEN).await.id;
    let mut app = database.bare("stagedoor_app").await;
    for (sql, says) in [
        ("DELETE FROM users".to_owned(), "permission denied"),
        ("UPDATE users SET erasing_at = now()".to_owned(), "permission denied"),
        ("UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL".to_owned(), "permission denied"),
        ("UPDATE privacy_requests SET state = 'revoked'".to_owned(), "permission denied"),
        ("INSERT INTO privacy_requests SELECT * FROM privacy_requests".to_owned(), "permission denied"),
        ("DELETE FROM erasure_tombstones".to_owned(), "permission denied"),
        (
            format!("SELECT privacy_delete_rows('{}', '{}', 'jobs', 9)", ada.context.tenant_id(), ada.user),
            "permission",
        ),
        (format!("SELECT privacy_begin_erasure('{}')", ada.user), "permission denied"),
        (
            format!("SELECT privacy_empty_payloads('{}', '{}', 9)", ada.context.tenant_id(), ada.user),
            "permission",
        ),
        (format!("SELECT privacy_request_tenant_erasure('{asked}', 'x', 1)"), "permission denied"),
        (format!("SELECT privacy_erase('{asked}', 0, 'jobs', 9)::text"), "-1"),
        (format!("SELECT privacy_destroy_person('{asked}', 0)"), "lost"),
        (format!("SELECT privacy_advance('{asked}', 0, 'requested', 'revoked', '{{}}')"), "no such step"),
        (format!("SELECT privacy_advance('{asked}', 0, 'verified', 'revoked', '{{}}')::text"), "false"),
        (format!("SELECT privacy_finish('{asked}', 0, 'x')::text"), "false"),
        (
            format!(
                "SELECT privacy_verify('{asked}', (SELECT page_hash FROM privacy_requests WHERE request_id = '{asked}'))"
            ),
            "unknown",
        ),
        (format!("SELECT privacy_erase_tenant('{asked}', 0, 'api_keys', 9)::text"), "-1"),
        (format!("SELECT privacy_destroy_tenant('{asked}', 0, 'x')::text"), "false"),
    ] {
        let mut transaction = app.begin().await.unwrap();
        crate::isolation::set_tenant(&mut transaction, &ada.context).await;
        let answer = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).fetch_all(&mut *transaction).await;
        let told = match answer {
            Ok(rows) => rows.first().map_or(String::new(), |row| row.get::<String, _>(0)),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(says), "{sql}: {told}");
        transaction.rollback().await.unwrap();
    }
    assert_eq!(read(&database, &ada, asked).await.state, State::Requested);
    assert_eq!(mentions(&database, &ada.user.to_string()).await["users"], 1);
}

#[tokio::test]
async fn much_goes_in_batches_and_what_comes_late_goes_first() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    settle(&database, &ada).await;
    let bundle =
        "INSERT INTO audit_payloads SELECT tenant_id, day, gen_random_uuid(), user_id, records, sealed
        FROM (SELECT * FROM audit_payloads LIMIT 1) p, generate_series(1, 1200)";
    database.tamper(bundle).await;
    confirmed(&database, &ada).await;
    let claim = claimed(&database).await;
    assert!(advance(&database, &ada, &claim, State::Verified, State::Revoked).await);
    let mut sizes = Vec::new();
    while let Batch::Erased { table, rows } = batch(&database, &ada, &claim).await {
        if table == "audit_payloads" {
            sizes.push(rows);
        }
    }
    assert_eq!(sizes, [500, 500, 201]);
    assert!(advance(&database, &ada, &claim, State::Revoked, State::Erased).await);

    audited(&database, &ada, b"{}").await.unwrap();
    let late = format!(
        "INSERT INTO limit_violations (tenant_id, principal, limit_name, minute, user_id, attempted_calls, first_at,
            last_at) SELECT '{}', 'key:x', 'late', now() + n * interval '1 minute', '{}', 1, now(), now()
            FROM generate_series(1, 700) n",
        ada.context.tenant_id(),
        ada.user
    );
    database.tamper(&late).await;
    assert_eq!(destroy(&database, &ada, &claim).await, Destroyed::RowsLeft);
    while batch(&database, &ada, &claim).await != Batch::Nothing {}
    assert_eq!(destroy(&database, &ada, &claim).await, Destroyed::Done);
    let erased = read(&database, &ada, claim.request).await;
    let erased: BTreeMap<_, _> = erased.rows().collect();
    assert_eq!((erased["audit_payloads"], erased["limit_violations"]), (1_202, 702));
    assert_eq!(
        mentions(&database, &ada.user.to_string()).await.into_keys().collect::<Vec<_>>(),
        ["privacy_requests"]
    );

    // A worker that wakes up now can neither write nor seal for the person.
    let vault = &database.vault;
    vault.forget_person(&ada.context, ada.user);
    let key = vault.subject_key(&ada.context, ada.user).await;
    assert!(matches!(key, Err(StoreError::Missing("person"))), "{key:?}");
    let nothing = Map::new();
    let noted =
        privacy_requests::note(vault.store(), &ada.context, &claim, State::KeyDestroyed, &nothing).await;
    assert!(noted.unwrap());
}
