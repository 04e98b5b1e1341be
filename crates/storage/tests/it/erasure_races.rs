//! Erasing a person while others write of them: what is written before is erased as well, what would be written after
//! is not.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use stagedoor_domain::PrivacyRequestId;
use stagedoor_storage::erasure::{Batch, Destroyed, destroy_person, erase_batch};
use stagedoor_storage::privacy_requests::{self, Confirmed, Kind, State};
use stagedoor_storage::{StoreError, linked_accounts};

use crate::isolation::set_tenant;
use crate::persons::{TOKEN, advance, append, claimed, confirmed, offer, record};
use crate::support::{Database, Inhabited};

/// Runs SQL of the gateway's role in a transaction that stays open.
async fn open(connection: &mut PgConnection, one: &Inhabited, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    set_tenant(connection, &one.context).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

async fn end(connection: &mut PgConnection) {
    sqlx::raw_sql("COMMIT").execute(connection).await.unwrap();
}

fn linking(one: &Inhabited, name: &str) -> String {
    format!(
        "INSERT INTO linked_accounts (tenant_id, account_id, user_id, provider, provider_user_id)
        VALUES ('{}', gen_random_uuid(), '{}', 'tidal', '{name}')",
        one.context.tenant_id(),
        one.user
    )
}

/// Waits until some statement waits for a lock.
async fn until_someone_waits(database: &Database) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while database.tamper(waiting).await == "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_being_linked_is_linked_before_the_confirmation_or_not_at_all() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let id: PrivacyRequestId = offer(&database, &ada, Kind::Erasure, TOKEN).await.id;
    let mut connection = database.bare("stagedoor_app").await;
    open(&mut connection, &ada, linking(&ada, "early")).await.unwrap();
    let confirming = privacy_requests::verify(database.vault.store(), &ada.context, id, TOKEN);
    let (confirmed, ()) = tokio::join!(confirming, async {
        until_someone_waits(&database).await;
        end(&mut connection).await;
    });
    assert_eq!(confirmed.unwrap(), Confirmed::Now);
    let accounts = async |tx: &mut _| linked_accounts::list(tx, ada.user).await;
    let accounts = database.vault.store().with_tenant::<_, StoreError>(&ada.context, accounts).await.unwrap();
    assert_eq!(accounts.len(), 2, "whoever ends the grants sees it");

    let refused = open(&mut connection, &ada, linking(&ada, "late")).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("23503"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_linked_while_the_confirmation_is_on_its_way_is_refused() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let id = offer(&database, &ada, Kind::Erasure, TOKEN).await.id;
    let token = std::str::from_utf8(TOKEN).unwrap().replace('\'', "''");
    let mut connection = database.bare("stagedoor_app").await;
    open(&mut connection, &ada, format!("SELECT privacy_verify('{id}', '{token}'::bytea)")).await.unwrap();
    let mut second = database.bare("stagedoor_app").await;
    let sql = linking(&ada, "late");
    let ((), refused) = tokio::join!(
        async {
            until_someone_waits(&database).await;
            end(&mut connection).await;
        },
        open(&mut second, &ada, sql)
    );
    assert!(refused.unwrap_err().to_string().contains("being erased"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_written_at_the_end_goes_too() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (bundle, late) = record(&database, &ada, b"{}").await;
    append(&database, &ada, &bundle, &late).await.unwrap();
    let (after_bundle, after_record) = record(&database, &ada, b"{\"after\":true}").await;
    confirmed(&database, &ada).await;
    let claim = claimed(&database).await;
    assert!(advance(&database, &ada, &claim, State::Verified, State::Revoked).await);
    let store = database.vault.store().clone();
    while erase_batch(&store, &ada.context, &claim).await.unwrap() != Batch::Nothing {}
    assert!(advance(&database, &ada, &claim, State::Revoked, State::Erased).await);

    // A call of another replica that began long ago: a row and a record, not yet committed.
    let (tenant, user) = (ada.context.tenant_id(), ada.user);
    let mut connection = database.bare("stagedoor_app").await;
    let sql = format!(
        "INSERT INTO preferences (tenant_id, user_id, document, updated_at) VALUES ('{tenant}', '{user}', 'x', now());
        SELECT audit_append((now() AT TIME ZONE 'UTC')::date, ARRAY[gen_random_uuid()], ARRAY['{user}'::uuid],
            ARRAY[1], ARRAY['secret'::bytea], ARRAY[]::smallint[], ARRAY[]::timestamptz[], ARRAY[]::bytea[],
            ARRAY[]::uuid[], ARRAY[]::uuid[], ARRAY[]::integer[])"
    );
    open(&mut connection, &ada, sql).await.unwrap();
    let (destroyed, ()) = tokio::join!(destroy_person(&store, &ada.context, &claim), async {
        until_someone_waits(&database).await;
        end(&mut connection).await;
    });
    assert_eq!(destroyed.unwrap(), Destroyed::Done);
    let left = "SELECT (SELECT count(*) FROM preferences) || ' ' || (SELECT count(*) FROM users) || ' '
        || (SELECT count(*) FROM audit_payloads WHERE sealed <> '' OR user_id IS NOT NULL)";
    assert_eq!(database.tamper(left).await, "0 0 0");

    // A record that is appended afterwards keeps its place in the chain, once, and says nothing.
    for _ in 0..2 {
        append(&database, &ada, &after_bundle, &after_record).await.unwrap();
    }
    assert_eq!(database.tamper(left).await, "0 0 0");
    let record = format!("SELECT count(*) FROM audit_records WHERE bundle_id = '{}'", after_bundle.id);
    assert_eq!(database.tamper(&record).await, "1");
    let late = format!(
        "INSERT INTO preferences (tenant_id, user_id, document, updated_at)
        VALUES ('{tenant}', '{user}', 'x', now())"
    );
    assert!(open(&mut connection, &ada, late).await.is_err());
    connection.close().await.unwrap();
}
