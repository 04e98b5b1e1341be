//! Reaching the database: which roles are refused, what happens when connections run out or the server goes away.

use std::time::Duration;

use stagedoor_bootstrap::private_servers::PrivatePgBouncer;
use stagedoor_domain::{Clock as _, ErrorCode};
use stagedoor_storage::{Store, StoreError, StoreOptions, tenants};

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
