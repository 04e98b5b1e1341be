//! Reaching the database: which roles are refused, what happens when connections run out or the server goes away.

use std::time::Duration;

use chrono::TimeDelta;
use stagedoor_bootstrap::private_servers::PrivatePgBouncer;
use stagedoor_domain::{Clock as _, ErrorCode};
use stagedoor_storage::{Purpose, Store, StoreError, StoreOptions, tenants};

use crate::support::Database;

#[tokio::test]
async fn roles_that_see_too_much_are_refused() {
    let database = Database::start().await;
    let superuser = Store::connect(&StoreOptions::new(database.superuser_url())).await.unwrap_err();
    assert!(matches!(superuser, StoreError::RefusedRole { reason: "is a superuser", .. }), "{superuser}");

    database.tamper("ALTER ROLE stagedoor_backup LOGIN").await;
    database.postgres.allow_login("stagedoor_backup").await.unwrap();
    let backup = Store::connect(&database.options("stagedoor_backup")).await.unwrap_err();
    assert!(
        matches!(backup, StoreError::RefusedRole { reason: "bypasses row-level security", .. }),
        "{backup}"
    );

    database.tamper("CREATE ROLE deputy IN ROLE stagedoor_owner").await;
    database.postgres.allow_login("deputy").await.unwrap();
    let owner = Store::connect(&database.options("deputy")).await.unwrap_err();
    assert!(matches!(owner, StoreError::RefusedRole { reason: "owns the schema", .. }), "{owner}");
    assert!(owner.to_string().contains("deputy") && owner.to_string().contains("stagedoor_app"));

    let empty = StoreOptions::new(database.postgres.url_for("postgres", "stagedoor_app"));
    assert!(matches!(Store::connect(&empty).await.unwrap_err(), StoreError::NotMigrated));
    assert!(matches!(
        Store::connect(&StoreOptions::new("nonsense")).await.unwrap_err(),
        StoreError::InvalidUrl(_)
    ));
}

#[tokio::test]
async fn a_process_is_refused_the_roles_of_others() {
    let database = Database::start().await;
    database
        .tamper(
            "CREATE ROLE clerk IN ROLE stagedoor_app, stagedoor_admin;
            CREATE ROLE porter IN ROLE stagedoor_app, stagedoor_backup;
            CREATE ROLE server IN ROLE stagedoor_app",
        )
        .await;
    for role in ["clerk", "porter", "server"] {
        database.postgres.allow_login(role).await.unwrap();
    }
    let refusal = async |role: &str, purpose| {
        let options = StoreOptions { purpose, ..database.options(role) };
        match Store::connect(&options).await {
            Ok(_) => None,
            Err(StoreError::RefusedRole { reason, .. }) => Some(reason),
            Err(other) => panic!("{other}"),
        }
    };
    let provisions = Some("may provision every tenant");
    assert_eq!(refusal("stagedoor_admin", Purpose::Serve).await, provisions);
    assert_eq!(refusal("clerk", Purpose::Serve).await, provisions, "it may become stagedoor_admin");
    assert_eq!(refusal("stagedoor_keeper", Purpose::Serve).await, Some("may do the keeper's jobs"));
    assert_eq!(refusal("porter", Purpose::Serve).await, Some("bypasses row-level security"));
    assert_eq!(refusal("porter", Purpose::Provision).await, Some("bypasses row-level security"));
    for role in ["stagedoor_app", "server"] {
        assert_eq!(refusal(role, Purpose::Serve).await, None, "{role}");
    }
    for role in ["stagedoor_admin", "clerk"] {
        assert_eq!(refusal(role, Purpose::Provision).await, None, "{role}");
    }
}

/// The server reads the BEGIN that nobody waits for any more when it thaws; that connection must not be used again.
#[tokio::test]
async fn a_connection_whose_begin_was_given_up_is_closed() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let options = StoreOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(1),
        application_name: "thawed".to_owned(),
        ..database.options("stagedoor_app")
    };
    let store = Store::connect(&options).await.unwrap();
    let backends = async |state: &str| {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'thawed' AND state LIKE '{state}'"
        );
        database.tamper(&sql).await
    };
    let frozen = backends("%").await;
    signal("-STOP", &frozen);
    let refused = store.begin(&ada.context).await.unwrap_err();
    assert!(matches!(refused, StoreError::TimedOut), "{refused:?}");
    signal("-CONT", &frozen);

    let transaction = loop {
        match store.begin(&ada.context).await {
            Ok(transaction) => break transaction,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    };
    let used = backends("idle in transaction").await;
    assert_ne!(used, frozen, "it was pooled with a transaction in it");
    transaction.commit().await.unwrap();
}

fn signal(signal: &str, pid: &str) {
    assert!(std::process::Command::new("kill").args([signal, pid]).status().unwrap().success());
}

#[tokio::test]
async fn a_used_up_pool_answers_unavailable_and_recovers() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let options =
        StoreOptions { acquire_timeout: Duration::from_secs(2), ..database.options("stagedoor_app") };
    let store = Store::connect(&options).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(store.begin(&ada.context).await.unwrap());
    }
    let refused = store.begin(&ada.context).await.unwrap_err();
    assert!(matches!(refused, StoreError::TimedOut), "{refused:?}");
    assert_eq!(refused.public().code, ErrorCode::StoreUnavailable);
    held.pop();
    store.begin(&ada.context).await.unwrap();
}

#[tokio::test]
async fn a_restarted_server_costs_no_call() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let options =
        StoreOptions { acquire_timeout: Duration::from_secs(2), ..database.options("stagedoor_app") };
    let store = Store::connect(&options).await.unwrap();
    let read = async || store.with_tenant(&ada.context, async |tx| tenants::current(tx).await).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(store.begin(&ada.context).await.unwrap());
    }
    for transaction in held {
        transaction.commit().await.unwrap();
    }
    database.postgres.kill().await;
    let down = read().await.unwrap_err();
    assert!(down.is_transient(), "{down:?}");
    database.postgres.restart().await.unwrap();
    assert_eq!(read().await.unwrap().slug.as_str(), "ada", "dead pooled connections are passed over");
}

/// What `axum` and task spawners need of the futures.
#[tokio::test]
async fn a_transaction_may_live_in_a_spawned_task() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (database.vault.clone(), ada.context.clone());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let name = String::from("owned by the task");
        vault
            .store()
            .with_tenant(&context, async |tx| {
                let tenant = tenants::current(tx).await?;
                Ok::<_, StoreError>((tenant, name.len()))
            })
            .await
    });
    assert!(tasks.join_next().await.unwrap().unwrap().is_ok());
}

/// In transaction mode each transaction may run on another server connection, and two tenants share all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_through_pgbouncer_in_transaction_mode() {
    let database = Database::start().await;
    let both = [database.inhabit("ada").await, database.inhabit("bob").await];
    let folder = database.folder.path().join("pgbouncer");
    std::fs::create_dir(&folder).unwrap();
    let pooler = PrivatePgBouncer::start(&folder, &database.postgres, &["stagedoor_app"]).await.unwrap();
    let options = StoreOptions {
        url: pooler.url_for("stagedoor", "stagedoor_app").into(),
        statement_cache: false,
        max_connections: 12,
        ..database.options("stagedoor_app")
    };
    let store = Store::connect(&options).await.unwrap();
    store.ensure_audit_partitions(database.clock.now().date_naive(), 1).await.unwrap();

    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let me = &both[number % 2];
        let (store, context, key) = (store.clone(), me.context.clone(), me.key.id().clone());
        tasks.spawn(async move {
            let seen = store.with_tenant(&context, async |tx| tenants::current(tx).await).await.unwrap();
            assert_eq!(seen.id, context.tenant_id());
            let found = store.find_api_key(&context.tenant().slug, &key).await.unwrap().unwrap();
            assert_eq!(found.tenant.id, context.tenant_id());
        });
    }
    assert_eq!(tasks.join_all().await.len(), 200);
}

/// The look for an existing partition and its making are two steps; many writers start at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_start_together_make_each_partition_once() {
    let database = Database::start().await;
    let first = database.clock.now().date_naive();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = database.vault.store().clone();
        writers.spawn(async move { store.ensure_audit_partitions(first, 8).await });
    }
    assert!(writers.join_all().await.iter().all(Result::is_ok));
    let made =
        database.tamper("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_records'::regclass").await;
    assert_eq!(made, "8");
    let refused = database.vault.store().ensure_audit_partitions(first, 32).await;
    assert!(matches!(refused, Err(StoreError::Query(_))), "{refused:?}");
}

#[tokio::test]
async fn partitions_are_made_for_near_days_only() {
    let database = Database::start().await;
    let today = database.clock.now().date_naive();
    let make = async |first: i64, days| {
        let first = today + TimeDelta::days(first);
        database.vault.store().ensure_audit_partitions(first, days).await
    };
    for (first, days) in [(-9, 1), (-9, 12), (33, 1), (20, 14), (-740_000, 1)] {
        let refused = make(first, days).await;
        assert!(matches!(refused, Err(StoreError::Query(_))), "{first} {days}: {refused:?}");
    }
    // The same day before Christ would have the same name.
    for day in ["(current_date::text || ' BC')::date", "'infinity'", "NULL"] {
        let call = format!("SELECT ensure_audit_partitions({day}, 1)");
        database.postgres.sql("stagedoor", &call).await.unwrap_err();
    }
    let made = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_records'::regclass";
    assert_eq!(database.tamper(made).await, "0");
    make(-6, 1).await.unwrap();
    make(30, 1).await.unwrap();
    assert_eq!(database.tamper(made).await, "2");
}
