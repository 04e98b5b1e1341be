//! Two tenants side by side: whatever one does, it neither sees nor changes the other's rows.

use sqlx::{Connection as _, PgConnection, Row as _};
use stagedoor_domain::{Clock as _, TenantContext};
use stagedoor_domain::{QueueItemId, QueueLimits, SharedQueueId};
use stagedoor_storage::preferences::Document;
use stagedoor_storage::provider_apps::{self, OpenedProviderApp, ProviderAppMode};
use stagedoor_storage::provision::{self, provider_app_id};
use stagedoor_storage::session_imports::{ImportOutcome, SessionImport};
use stagedoor_storage::shared_queues::{self, Errand, NewItem, NewQueue, Once, Place, Rules};
use stagedoor_storage::{
    StoreError, TenantTransaction, api_keys, consents, limit_violations, link_attempts, linked_accounts,
    preferences, provider_sessions, session_devices, session_imports, tenants, users,
};

use crate::attempts::attempt;
use crate::consents::decision;
use crate::idempotency::begin_one;
use crate::jobs::queued;
use crate::listening::listened;
use crate::support::{Database, Inhabited, account_of, tokens};
use crate::usage::used;
use crate::versions::store_one;
use crate::violations::violation;

const TENANT_TABLES: &[&str] = &[
    "tenants",
    "users",
    "api_keys",
    "data_keys",
    "provider_apps",
    "issuers",
    "linked_accounts",
    "provider_sessions",
    "link_attempts",
    "session_quarantine",
    "session_devices",
    "session_imports",
    "preferences",
    "consents",
    "limit_violations",
    "usage_minutes",
    "usage_rollups",
    "playlist_versions",
    "playlist_chunks",
    "idempotency_keys",
    "jobs",
    "job_parts",
    "audit_records",
    "audit_payloads",
    "audit_chain_heads",
    "audit_checkpoints",
    "privacy_requests",
    "erasure_tombstones",
    "listening_history",
    "listening_gaps",
    "listening_cursors",
    "listening_imports",
    "listening_rollups",
];

#[tokio::test]
async fn another_tenants_objects_look_missing() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let vault = &database.vault;

    assert!(provider_sessions::load(vault, &bob.context, ada.account).await.unwrap().is_none());
    let (theirs, accounts, own) = vault
        .store()
        .with_tenant(&bob.context, async |tx| {
            let user = users::find(tx, ada.user).await?;
            let accounts = linked_accounts::list(tx, ada.user).await?;
            Ok::<_, StoreError>((user, accounts, tenants::current(tx).await?))
        })
        .await
        .unwrap();
    assert_eq!((theirs, accounts.len()), (None, 0));
    assert_eq!(own.slug.as_str(), "bob");

    let foreign =
        provision::link_account(&database.admin, &bob.context, account_of(ada.user), &tokens("x")).await;
    assert!(matches!(foreign, Err(StoreError::Query(_) | StoreError::Missing(_))), "{foreign:?}");
    let own = provider_sessions::load(vault, &ada.context, ada.account).await.unwrap().unwrap();
    assert_eq!(own.user, ada.user);
}

#[tokio::test]
async fn an_app_of_one_tenant_is_not_the_others() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let provider = stagedoor_domain::Provider::Spotify;
    let app = OpenedProviderApp {
        id: provider_app_id(&database.admin),
        provider,
        client_id: "client".to_owned(),
        client_secret: Some("hush".into()),
        api_base_url: "https://api.example".to_owned(),
        auth_base_url: "https://auth.example".to_owned(),
        authorize_url: None,
        mode: ProviderAppMode::Extended,
    };
    provision::create_provider_app(&database.admin, &ada.context, &app).await.unwrap();
    let again = provision::create_provider_app(&database.admin, &ada.context, &app).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists(_))), "{again:?}");

    let loaded = provider_apps::load(&database.vault, &ada.context, provider).await.unwrap().unwrap();
    assert_eq!((loaded.id, loaded.mode), (app.id, ProviderAppMode::Extended));
    assert_eq!(secrecy::ExposeSecret::expose_secret(&loaded.client_secret.unwrap()), "hush");
    assert!(provider_apps::load(&database.vault, &bob.context, provider).await.unwrap().is_none());
    assert!(!format!("{app:?}").contains("hush"));
}

/// Random statements of both tenants interleaved on one connection of the gateway's role, past the store's own
/// queries: what holds here holds for every query that will ever be written. The sequence is fixed.
#[tokio::test]
async fn random_statements_of_two_tenants_meet_no_foreign_row() {
    let database = Database::start().await;
    let both = [database.inhabit("ada").await, database.inhabit("bob").await];
    for one in &both {
        furnish(&database, one).await;
    }
    let mut connection = database.bare("stagedoor_admin").await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut own, mut refused) = (0_u64, 0_u64);
    for round in 0..3_000 {
        let (me, other) = if random(2) == 0 { (&both[0], &both[1]) } else { (&both[1], &both[0]) };
        let mut transaction = connection.begin().await.unwrap();
        set_tenant(&mut transaction, &me.context).await;
        match random(4) {
            0 => own += read(&mut transaction, TENANT_TABLES[1 + random(TENANT_TABLES.len() - 1)], me).await,
            1 => {
                let (table, column) = [
                    ("users", "created_at"),
                    ("linked_accounts", "created_at"),
                    ("provider_sessions", "created_at"),
                    ("link_attempts", "created_at"),
                    ("session_devices", "first_seen"),
                    ("preferences", "updated_at"),
                ][random(6)];
                let sql = format!("UPDATE {table} SET {column} = now() WHERE tenant_id = $1");
                let mine = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).bind(me.context.tenant_id().0);
                own += mine.execute(&mut *transaction).await.unwrap().rows_affected();
                let theirs = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(other.context.tenant_id().0);
                assert_eq!(theirs.execute(&mut *transaction).await.unwrap().rows_affected(), 0);
            }
            2 => {
                let theirs =
                    sqlx::query("INSERT INTO users (tenant_id, user_id) VALUES ($1, gen_random_uuid())")
                        .bind(other.context.tenant_id().0)
                        .execute(&mut *transaction)
                        .await;
                assert!(theirs.unwrap_err().to_string().contains("row-level security"));
                refused += 1;
            }
            _ => {
                let mine = sqlx::query(
                    "INSERT INTO users (tenant_id, user_id, label) VALUES ($1, gen_random_uuid(), $2)",
                )
                .bind(me.context.tenant_id().0)
                .bind(round.to_string());
                own += mine.execute(&mut *transaction).await.unwrap().rows_affected();
            }
        }
        if random(2) == 0 {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    assert!(own > 500 && refused > 500, "the test itself did its part: {own} own, {refused} refused");
    let per_tenant = database.tamper("SELECT count(DISTINCT tenant_id) FROM users").await;
    assert_eq!(per_tenant, "2");
}

#[tokio::test]
async fn without_a_tenant_there_is_nothing() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let mut connection = database.bare("stagedoor_app").await;
    // Before any setting, and after a transaction whose setting was local: absent, then the empty string.
    for _ in 0..2 {
        for table in TENANT_TABLES.iter().filter(|table| **table != "api_keys") {
            let sql = format!("SELECT count(*) FROM {table}");
            let count: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
            assert_eq!(count, 0, "{table}");
        }
        let mut transaction = connection.begin().await.unwrap();
        set_tenant(&mut transaction, &ada.context).await;
        transaction.commit().await.unwrap();
    }
    let names: i64 =
        sqlx::query_scalar("SELECT count(name) FROM api_keys").fetch_one(&mut connection).await.unwrap();
    assert_eq!(names, 0);
    for column in ["digest", "pepper_version", "*"] {
        let sql = format!("SELECT {column} FROM api_keys");
        let keys = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        assert!(
            keys.unwrap_err().to_string().contains("permission denied"),
            "{column}: for the sign-in only"
        );
    }
}

#[tokio::test]
async fn the_gateways_role_cannot_rewrite_the_audit_trail() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let day = database.clock.now().date_naive();
    database.vault.store().ensure_audit_partitions(day, 1).await.unwrap();
    let partition = format!("audit_records_p{}", day.format("%Y%m%d"));
    for sql in [
        "UPDATE audit_records SET type = 1".to_owned(),
        "DELETE FROM audit_records".to_owned(),
        "INSERT INTO audit_chain_heads VALUES (gen_random_uuid(), '2026-11-21', 9, sha256('x'))".to_owned(),
        "UPDATE audit_chain_heads SET seq = 0".to_owned(),
        "DELETE FROM audit_payloads".to_owned(),
        "DELETE FROM audit_checkpoints".to_owned(),
        "UPDATE audit_checkpoints SET seq = 1".to_owned(),
        "UPDATE audit_checkpoint_heads SET number = 0".to_owned(),
        format!("SELECT 1 FROM {partition}"),
    ] {
        let mut connection = database.bare("stagedoor_app").await;
        let mut transaction = connection.begin().await.unwrap();
        set_tenant(&mut transaction, &ada.context).await;
        let refused = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *transaction).await;
        assert!(refused.unwrap_err().to_string().contains("permission denied"), "{sql}");
    }
}

/// A row in each table that linking and using an account writes.
pub(crate) async fn furnish(database: &Database, one: &Inhabited) {
    let (vault, now) = (&database.vault, database.clock.now());
    let import = SessionImport {
        source_digest: [1; 32],
        user: one.user,
        outcome: ImportOutcome::Linked(one.account),
        imported_at: now,
    };
    let rows = async |tx: &mut TenantTransaction| {
        link_attempts::insert(tx, &attempt(database, one, 1)).await?;
        session_devices::admit(tx, one.account, &[1; 32], "key:x", now).await?;
        limit_violations::add(tx, &[violation("key:x", "search-60", now, Some(one.user))]).await?;
        session_imports::record(tx, &import, None).await
    };
    assert!(vault.store().with_tenant(&one.context, rows).await.unwrap());
    let none = preferences::load(vault, &one.context, one.user).await.unwrap();
    preferences::store(vault, &one.context, one.user, &none, Document::new()).await.unwrap();
    consents::decide(vault, &one.context, decision(one.user, true, 0)).await.unwrap();
    let damage = "UPDATE provider_sessions SET access_token = 'x' WHERE account_id = ";
    database.tamper(&format!("{damage}'{}'", one.account)).await;
    assert!(provider_sessions::quarantine(vault, &one.context, one.account, "test").await.unwrap());
    store_one(database, one).await;
    begin_one(database, one).await;
    queued(database, one).await;
    used(database, one).await;
    shared(database, one).await;
    listened(database, one).await;
}

/// A shared queue of the person's, with an item, a vote and a commit.
async fn shared(database: &Database, one: &Inhabited) {
    let (vault, context, user) = (&database.vault, &one.context, one.user);
    let (clock, entropy, store) = (vault.clock(), vault.entropy(), vault.store());
    let id = SharedQueueId::generate(clock, entropy);
    let new = NewQueue { id, name: "Friday", by_votes: false, owner: user };
    shared_queues::create(store, context, &new, None, QueueLimits::default()).await.unwrap();
    let errand = Errand { queue: id, user, expected_version: None, once: None };
    let item = QueueItemId::generate(clock, entropy);
    let new = NewItem { id: item, track: "spotify:track:0000000000000000000001".to_owned(), known: None };
    let rules = Rules { items: 5, mixed: false };
    shared_queues::add(store, context, &errand, (&[new], Place::End), rules).await.unwrap();
    shared_queues::vote(store, context, &errand, (item, 1)).await.unwrap();
    let once = Once { key: [1; 32], request: [2; 32] };
    let plan = (uuid::Uuid::from_u128(7), serde_json::json!({}));
    let begun = shared_queues::commits::begin(store, context, (id, user, one.account), &once, plan).await;
    assert!(begun.unwrap().is_some());
}

#[tokio::test]
async fn what_belongs_to_an_account_of_another_tenant_is_out_of_reach() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    furnish(&database, &ada).await;
    let (vault, now) = (&database.vault, database.clock.now());
    let mut adas = attempt(&database, &ada, 2);
    let adas_own = async |tx: &mut TenantTransaction| link_attempts::insert(tx, &adas).await;
    vault.store().with_tenant(&ada.context, adas_own).await.unwrap();

    let reach = async |tx: &mut TenantTransaction| {
        assert_eq!(link_attempts::find(tx, adas.id).await?, None);
        assert!(!link_attempts::advance_retry(tx, adas.id, 0).await?);
        assert!(!link_attempts::decline(tx, adas.id, "link_declined", now).await?);
        assert!(!link_attempts::fail(tx, adas.id, "link_failed", now).await?);
        assert_eq!(linked_accounts::find(tx, ada.account).await?, None);
        assert_eq!(linked_accounts::owner_of(tx, ada.account).await?, None);
        assert_eq!(linked_accounts::unlink(tx, ada.account).await?, None);
        assert_eq!(session_imports::find(tx, &[1; 32]).await?, None);
        assert_eq!(api_keys::get(tx, ada.key.id()).await?, None);
        assert_eq!(users::find_by_subject(tx, "ada|ada").await?, None);
        assert_eq!(tenants::name(tx).await?, "bob");
        let long_ago = now - chrono::TimeDelta::days(1);
        assert_eq!(limit_violations::of_principal(tx, "key:x", long_ago, 20).await?, []);
        assert_eq!(limit_violations::of_tenant(tx, long_ago, 20).await?, []);
        Ok::<_, StoreError>(())
    };
    vault.store().with_tenant(&bob.context, reach).await.unwrap();
    assert!(matches!(
        link_attempts::take(vault, &bob.context, adas.id, &[2; 32]).await.unwrap(),
        link_attempts::Taken::Gone
    ));
    assert!(!provider_sessions::quarantine(vault, &bob.context, ada.account, "x").await.unwrap());
    assert!(!provider_sessions::mark_relink_needed_at(vault, &bob.context, ada.account, 1).await.unwrap());
    let sight = session_devices::SightOf {
        fingerprint: &[1; 32],
        principal: "key:x",
        at: now,
        window: chrono::TimeDelta::minutes(1),
        record_new: true,
        at_most: None,
    };
    let sighting = vault
        .store()
        .with_tenant(&bob.context, async |tx| session_devices::sight(tx, ada.account, &sight).await)
        .await;
    assert!(matches!(sighting, Err(StoreError::Missing(_))), "{sighting:?}");

    let theirs = preferences::load(vault, &bob.context, ada.user).await.unwrap();
    assert_eq!(theirs.revision, 0, "a person of another tenant is a stranger");
    let foreign = preferences::store(vault, &bob.context, ada.user, &theirs, Document::new()).await;
    assert!(matches!(foreign, Err(StoreError::Missing("person"))), "{foreign:?}");
    assert!(consents::current(vault, &bob.context, ada.user).await.unwrap().is_empty());
    let foreign = consents::decide(vault, &bob.context, decision(ada.user, true, 0)).await;
    assert!(matches!(foreign, Err(StoreError::Missing("person"))), "{foreign:?}");

    // A link that names another tenant's account cannot be made at all.
    adas.user = bob.user;
    adas.account = Some(ada.account);
    let foreign = vault.store().with_tenant(&bob.context, async |tx| link_attempts::insert(tx, &adas).await);
    assert!(matches!(foreign.await, Err(StoreError::LinkEnded)));
    let rows = "SELECT count(*) FROM link_attempts WHERE stage = 'offered'";
    assert_eq!(database.tamper(rows).await, "2", "ada's are as they were");
}

pub(crate) async fn set_tenant(connection: &mut PgConnection, context: &TenantContext) {
    sqlx::query("SELECT set_config('stagedoor.tenant_id', $1, true)")
        .bind(context.tenant_id().to_string())
        .execute(connection)
        .await
        .unwrap();
}

async fn read(connection: &mut PgConnection, table: &str, me: &Inhabited) -> u64 {
    let sql = format!("SELECT tenant_id FROM {table}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    for row in &rows {
        assert_eq!(row.get::<sqlx::types::Uuid, _>(0), me.context.tenant_id().0, "a foreign row in {table}");
    }
    rows.len() as u64
}
