//! Complete by construction: every table of the database is said to be about people or not, what is about people is in
//! a copy, and a table that nobody thought of is found.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stagedoor_storage::personal_data::{self, Erased, Holds, TABLES, counts, export_page, people};

use crate::persons::{audited, settle};
use crate::support::{Database, Inhabited};

/// Tables that have a way to a person: a foreign key to one that has, or a column that is named like one.
const REACH_PEOPLE: &str = "WITH RECURSIVE people (oid) AS (
        SELECT 'users'::regclass::oid
        UNION
        SELECT k.conrelid FROM pg_constraint k JOIN people p ON k.confrelid = p.oid WHERE k.contype = 'f'
    ), named AS (
        SELECT a.attrelid AS oid FROM pg_attribute a
        WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname IN ('user_id', 'principal', 'account_id', 'job_id',
            'external_subject', 'provider_user_id', 'device_fingerprint')
    )
    SELECT DISTINCT c.relname FROM pg_class c WHERE c.oid IN (SELECT oid FROM people UNION SELECT oid FROM named)
        AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1";

/// Every table but the list of migrations and the partitions.
const ALL: &str = "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> '_sqlx_migrations'";

fn lines(rows: &str) -> BTreeSet<String> {
    rows.lines().map(str::to_owned).collect()
}

/// What is wrong with the list, if anything.
async fn faults(database: &Database) -> Vec<String> {
    let known: BTreeSet<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
    let there = lines(&database.tamper(ALL).await);
    let about_people: BTreeSet<String> = people().map(|(table, _)| table.name.to_owned()).collect();
    let mut faults = Vec::new();
    faults.extend(there.difference(&known).map(|table| format!("{table} is not in the list")));
    faults.extend(known.difference(&there).map(|table| format!("{table} is not in the database")));
    let reach = lines(&database.tamper(REACH_PEOPLE).await);
    faults.extend(reach.difference(&about_people).map(|table| format!("{table} has a way to people")));
    faults.extend(about_people.difference(&reach).map(|table| format!("{table} has no way to people")));
    for (table, personal) in people() {
        let columns = columns(database, table.name).await;
        let withheld: BTreeSet<&str> = personal.withheld.iter().map(|(column, _)| *column).collect();
        for column in personal.opened.iter().chain(&withheld) {
            if !columns.contains_key(*column) {
                faults.push(format!("{}.{column} is not in the database", table.name));
            }
        }
        for (column, kind) in columns {
            let said = personal.opened.contains(&&*column) || withheld.contains(&*column);
            if kind == "bytea" && !said {
                faults.push(format!("{}.{column} is neither opened nor withheld", table.name));
            }
        }
    }
    faults
}

async fn columns(database: &Database, table: &str) -> BTreeMap<String, String> {
    let sql = format!(
        "SELECT a.attname || ' ' || format_type(a.atttypid, NULL) FROM pg_attribute a
        WHERE a.attrelid = 'public.{table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped"
    );
    let rows = database.tamper(&sql).await;
    let split = rows.lines().filter_map(|row| row.split_once(' '));
    split.map(|(column, kind)| (column.to_owned(), kind.to_owned())).collect()
}

#[tokio::test]
async fn every_table_is_listed_as_what_it_is() {
    let database = Database::start().await;
    assert_eq!(faults(&database).await, Vec::<String>::new());
    let in_order = people().filter(|(_, personal)| personal.erased != Erased::WithTheKey);
    let in_order: Vec<_> = in_order.map(|(table, _)| table.name).collect();
    let places = database.tamper("SELECT array_to_string(privacy_places(), ',')").await;
    assert_eq!(places, in_order.join(","));
    assert_eq!(TABLES.iter().map(|table| table.name).collect::<BTreeSet<_>>().len(), TABLES.len());
    for table in TABLES {
        let reason = match table.holds {
            Holds::People(personal) => personal.withheld.iter().all(|(_, why)| why.len() > 10),
            Holds::NoPerson(why) | Holds::Kept(why) => why.len() > 10,
        };
        assert!(reason && !table.title.is_empty(), "{}", table.name);
    }
}

#[tokio::test]
async fn a_table_or_column_that_nobody_thought_of_is_found() {
    let database = Database::start().await;
    database
        .tamper(
            "CREATE TABLE diary (tenant_id uuid, account_id uuid,
                FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id));
            CREATE TABLE notes (tenant_id uuid, principal text);
            ALTER TABLE preferences ADD COLUMN photo bytea; ALTER TABLE audit_records ADD COLUMN user_id uuid;",
        )
        .await;
    let mut found = faults(&database).await;
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "audit_records has a way to people",
            "diary has a way to people",
            "diary is not in the list",
            "notes has a way to people",
            "notes is not in the list",
            "preferences.photo is neither opened nor withheld",
        ]
    );
}

/// All rows of one table in a person's copy.
async fn exported(database: &Database, one: &Inhabited, table: &'static str) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = export_page(&database.vault, &one.context, one.user, table, after.as_ref()).await.unwrap();
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

#[tokio::test]
async fn a_copy_holds_every_table_opened_and_nobody_elses() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    settle(&database, &bob).await;
    settle(&database, &ada).await;
    let counted = counts(database.vault.store(), &ada.context, ada.user).await.unwrap();
    let mut all = String::new();
    for ((table, personal), (name, count)) in people().zip(counted) {
        let rows = exported(&database, &ada, table.name).await;
        assert_eq!((table.name, rows.len() as u64), (name, count));
        assert!(!rows.is_empty(), "the test itself writes {}", table.name);
        let expected: BTreeSet<String> = columns(&database, table.name).await.into_keys().collect();
        let withheld: BTreeSet<String> =
            personal.withheld.iter().map(|(column, _)| (*column).to_owned()).collect();
        for row in &rows {
            let row = row.as_object().unwrap();
            let found: BTreeSet<String> = row.keys().cloned().collect();
            assert_eq!(found, expected.difference(&withheld).cloned().collect(), "{}", table.name);
        }
        for column in personal.opened {
            let filled = rows.iter().any(|row| !row[*column].is_null());
            // The one key in use of the test has a note, and an answer takes its place.
            assert!(filled || *column == "answer", "{}.{column}", table.name);
        }
        all.push_str(&Value::Array(rows).to_string());
        assert_eq!(exported(&database, &ada, table.name).await.len() as u64, count);
    }
    for said in [
        "Ada's Spotify",
        "ada|ada",
        "a private document",
        "a private message",
        "private second",
        "half way",
        "Morning",
        "spotify:track:0000000000000000000002",
        "a private agent",
        "stagedoor/consent/1",
    ] {
        assert!(all.contains(said), "{said}");
    }
    for never in ["access-first", "refresh-first", "\\\\x", "bob", &bob.user.to_string()] {
        assert!(!all.contains(never), "{never}");
    }
    let other = personal_data::export_page(&database.vault, &ada.context, ada.user, "tenants", None).await;
    assert!(other.is_err(), "it is about nobody");
    let foreign = exported_as(&database, &bob, &ada).await;
    assert_eq!(foreign, 0, "another tenant's person has nothing here");
}

async fn exported_as(database: &Database, tenant: &Inhabited, person: &Inhabited) -> usize {
    let mut rows = 0;
    for (table, _) in people() {
        let page = export_page(&database.vault, &tenant.context, person.user, table.name, None).await;
        rows += page.unwrap().rows.len();
    }
    rows
}

#[tokio::test]
async fn pages_join_to_the_whole() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    settle(&database, &ada).await;
    for number in 0..120_u32 {
        audited(&database, &ada, format!("{{\"number\":{number}}}").as_bytes()).await.unwrap();
    }
    let (tenant, user) = (ada.context.tenant_id(), ada.user);
    database
        .tamper(&format!(
            "INSERT INTO limit_violations (tenant_id, principal, limit_name, minute, user_id, attempted_calls,
                first_at, last_at)
            SELECT '{tenant}', 'key:' || n % 3, 'search-' || n % 7, date_trunc('minute', now()) + n * interval '1 minute',
                '{user}', 1, now(), now() FROM generate_series(1, 401) n;
            INSERT INTO session_devices (tenant_id, account_id, fingerprint, principal, first_seen, last_seen)
            SELECT '{tenant}', '{account}', sha256(n::text::bytea), 'key:x', now(), now()
            FROM generate_series(1, 300) n;
            INSERT INTO job_parts SELECT tenant_id, job_id, number + 10, revision, content FROM job_parts;
            INSERT INTO playlist_chunks SELECT tenant_id, account_id, playlist || n, gen_random_uuid(), entries
            FROM playlist_chunks, generate_series(1, 130) n;",
            account = ada.account
        ))
        .await;
    let counted = counts(database.vault.store(), &ada.context, ada.user).await.unwrap();
    for (table, count) in counted {
        let rows = exported(&database, &ada, table).await;
        assert_eq!(rows.len() as u64, count, "{table}");
        let different: BTreeSet<String> = rows
            .into_iter()
            .map(|mut row| {
                row.as_object_mut().unwrap().remove("unreadable");
                row.to_string()
            })
            .collect();
        // Devices differ in what is withheld.
        assert!(different.len() as u64 == count || table == "session_devices", "{table}");
    }
    // A chunk is bound to its id: those that were copied do not open, the rest does.
    let chunks = exported(&database, &ada, "playlist_chunks").await;
    assert_eq!(chunks.iter().filter(|row| row["unreadable"] == serde_json::json!(["entries"])).count(), 130);
    assert_eq!(chunks.iter().filter(|row| row["entries"].is_array()).count(), 1);
}
