//! Complete by construction: every tenant table is in a class of backups or said not to be, a table that nobody thought
//! of is found, and rows come as backups need them. And the catalogue of backups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use stagedoor_domain::backup::NOT_BACKED_UP;
use stagedoor_domain::{BackupClass, Clock as _};
use stagedoor_storage::backup_rows::{columns, each_row, erased_people, surroundings};
use stagedoor_storage::backups::{self, BackupState, Written};
use stagedoor_storage::{Purpose, RolePasswords, Store, StoreError, StoreOptions, provision_roles};
use uuid::Uuid;

use crate::support::Database;

const TENANT_TABLES: &str = "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND EXISTS (SELECT FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)";

async fn store(database: &Database, purpose: Purpose) -> Store {
    let backup = Some(database.postgres.role_password().clone());
    let passwords = RolePasswords { backup, ..RolePasswords::default() };
    provision_roles(&database.superuser_url(), &passwords).await.unwrap();
    let options = StoreOptions { purpose, ..database.options(purpose.role()) };
    Store::connect(&options).await.unwrap()
}

/// What is wrong with the classes, if anything.
async fn faults(database: &Database) -> Vec<String> {
    let there = database.tamper(TENANT_TABLES).await;
    let there: BTreeSet<&str> = there.lines().collect();
    let classes = BackupClass::ALL.into_iter().flat_map(BackupClass::tables);
    let known: BTreeSet<&str> =
        classes.copied().chain(NOT_BACKED_UP.iter().map(|(table, _)| *table)).collect();
    let unknown = there.difference(&known).map(|table| format!("{table} is in no class"));
    let gone = known.difference(&there).map(|table| format!("{table} is not in the database"));
    unknown.chain(gone).collect()
}

#[tokio::test]
async fn every_tenant_table_is_in_a_class_or_said_not_to_be() {
    let database = Database::start().await;
    assert_eq!(faults(&database).await, Vec::<String>::new());
    database.tamper("CREATE TABLE forgotten (tenant_id uuid PRIMARY KEY)").await;
    assert_eq!(faults(&database).await, ["forgotten is in no class"]);

    // Parents come before what refers to them, in a class and over the classes.
    let order: Vec<&str> = BackupClass::ALL.into_iter().flat_map(BackupClass::tables).copied().collect();
    let place = |table: &str| order.iter().position(|known| *known == table);
    let references = database
        .tamper(
            "SELECT DISTINCT conrelid::regclass || ' ' || confrelid::regclass FROM pg_constraint
            WHERE contype = 'f' AND conrelid <> confrelid AND conparentid = 0",
        )
        .await;
    for line in references.lines() {
        let (child, parent) = line.split_once(' ').unwrap();
        if let Some(child_place) = place(child) {
            assert!(place(parent).is_some_and(|parent| parent < child_place), "{child} before {parent}");
        }
    }
}

#[tokio::test]
async fn rows_come_in_the_order_of_the_primary_key_as_one_text_whoever_asks() {
    let database = Database::start().await;
    let tenant = database.inhabit("acme").await;
    let other = database.inhabit("other").await;
    let today = database.clock.now().date_naive();
    database.vault.store().ensure_audit_partitions(today, 2).await.unwrap();
    let id = tenant.context.tenant_id();
    for (name, user) in [("zoe", 3), ("Ada", 1), ("ärger", 2)] {
        let user = Uuid::from_u128(user);
        database.tamper(&format!("INSERT INTO users VALUES ('{id}', '{user}', '{name}', '{name}')")).await;
        let key = format!("{:?}", name.as_bytes()).replace([',', ' ', '[', ']'], "") + "000000000000";
        database
            .tamper(&format!(
                "INSERT INTO api_keys (tenant_id, key_id, name, mode, pepper_version, digest, scopes)
                VALUES ('{id}', '{}', '{name}', 'live', 1, sha256('{name}'), '{{}}')",
                &key[..12]
            ))
            .await;
    }
    for seq in 1..=12 {
        let day = today + TimeDelta::days(i64::from(seq % 2));
        database
            .tamper(&format!(
                "INSERT INTO audit_records VALUES ('{id}', '{day}', {seq}, 1, '{day} 12:00:00.25+00', sha256('a'),
                    sha256('b'), sha256('c'), gen_random_uuid(), gen_random_uuid(), 0)"
            ))
            .await;
    }
    let reading = store(&database, Purpose::Backup).await;
    // Whatever the session's own settings are.
    database.tamper("ALTER ROLE stagedoor_backup SET timezone = 'Asia/Kathmandu'").await;
    database.tamper("ALTER ROLE stagedoor_backup SET bytea_output = 'escape'").await;
    let reading_anew = store(&database, Purpose::Backup).await;

    let mut first = reading.snapshot(&tenant.context).await.unwrap();
    let mut second = reading_anew.snapshot(&tenant.context).await.unwrap();
    for class in BackupClass::ALL {
        for table in class.tables() {
            let days = Some((today, today + TimeDelta::days(1)));
            let mut texts = Vec::new();
            let push = async |text: String| {
                texts.push(text);
                Ok::<_, StoreError>(())
            };
            let rows = each_row(&mut first, table, days, push).await.unwrap();
            let expected = in_order(&database, table, id.0).await;
            assert_eq!(texts.join("\n"), expected, "{table}");
            assert_eq!(rows, texts.len() as u64);
            let mut again = Vec::new();
            let push = async |text: String| {
                again.push(text);
                Ok::<_, StoreError>(())
            };
            each_row(&mut second, table, days, push).await.unwrap();
            assert_eq!(texts, again, "{table}");
            let columns = columns(&mut first, table).await.unwrap();
            let row: Option<BTreeMap<String, serde_json::Value>> =
                texts.first().map(|text| serde_json::from_str(text).unwrap());
            let named: BTreeSet<String> = columns.into_iter().collect();
            assert!(row.is_none_or(|row| row.into_keys().collect::<BTreeSet<_>>() == named), "{table}");
        }
    }
    let only_today = Some((today, today));
    let mut seen = 0;
    let push = async |text: String| {
        seen += 1;
        assert!(text.contains(&today.to_string()) && text.contains("+00:00"), "{text}");
        Ok::<_, StoreError>(())
    };
    assert_eq!(each_row(&mut first, "audit_records", only_today, push).await.unwrap(), 6);
    let nothing = async |_: String| Ok::<_, StoreError>(());
    assert_eq!(each_row(&mut first, "audit_records", None, nothing).await.unwrap(), 0);
    let told = each_row(&mut first, "jobs", None, nothing).await.unwrap_err();
    assert!(matches!(told, StoreError::NotUnderstood { .. }), "{told:?}");

    // One moment: what is written meanwhile is not seen, and nothing can be written.
    database.tamper(&format!("DELETE FROM api_keys WHERE tenant_id = '{id}'")).await;
    let mut keys = 0;
    let count = async |_: String| {
        keys += 1;
        Ok::<_, StoreError>(())
    };
    each_row(&mut first, "api_keys", None, count).await.unwrap();
    assert_eq!(keys, 4);
    let around = surroundings(&mut first).await.unwrap();
    assert_eq!((around.key_encryption_keys.len(), around.tenant_keys.len()), (1, 1));
    assert!(around.subject_keys >= 1, "{around:?}");
    assert_eq!(erased_people(&mut first).await.unwrap(), []);
    let refused = backups::begin(
        &mut first,
        (Uuid::from_u128(1), BackupClass::Audit, database.clock.now()),
        Uuid::from_u128(2),
    );
    assert!(refused.await.is_err());
    drop(other);
}

/// The rows as a superuser sees them, in the order of the primary key that the catalogue has.
async fn in_order(database: &Database, table: &str, tenant: Uuid) -> String {
    let order = database
        .tamper(&format!(
            "SELECT string_agg(format('t.%I%s', a.attname,
                CASE WHEN a.atttypid = 'text'::regtype THEN ' COLLATE \"C\"' ELSE '' END), ', ' ORDER BY k.n)
            FROM pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, n), pg_attribute a
            WHERE i.indrelid = 'public.{table}'::regclass AND i.indisprimary AND a.attrelid = i.indrelid
                AND a.attnum = k.attnum"
        ))
        .await;
    database
        .tamper(&format!(
            "SET timezone = 'UTC'; SELECT to_jsonb(t)::text FROM {table} t WHERE tenant_id = '{tenant}' ORDER BY {order}"
        ))
        .await
        .trim_start_matches("SET\n")
        .to_owned()
}

#[tokio::test]
async fn the_catalogue_says_what_became_of_a_backup_and_which_keys_it_needs() {
    let database = Database::start().await;
    let (acme, other) = (database.inhabit("acme").await, database.inhabit("other").await);
    let keeper = store(&database, Purpose::Keep).await;
    let now = database.clock.now();
    let id = |number: u128| Uuid::from_u128(number);
    let in_acme = &acme.context;
    keeper
        .with_tenant(in_acme, async |tx| {
            for number in 1..=3 {
                let taken_at = now + TimeDelta::days(i64::try_from(number).unwrap());
                backups::begin(tx, (id(number), BackupClass::Sessions, taken_at), id(100 + number)).await?;
            }
            let keys = [id(200)];
            let written = Written { key_encryption_keys: &keys, days: None, rows: 7, chunks: 1, bytes: 9 };
            backups::written(tx, id(1), written).await?;
            backups::verified(tx, id(1), now, None).await?;
            backups::written(tx, id(2), written).await?;
            backups::verified(tx, id(2), now, Some("chunk-00000: the chunk is missing")).await?;
            let again = backups::written(tx, id(2), written).await.unwrap_err();
            assert!(matches!(again, StoreError::Missing("backup")), "{again:?}");
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    let kept = keeper.with_tenant(in_acme, backups::kept).await.unwrap();
    let states: Vec<_> = kept.iter().map(|entry| (entry.id, entry.state)).collect();
    let expected = [BackupState::Verified, BackupState::Damaged, BackupState::Writing];
    assert_eq!(states, [id(1), id(2), id(3)].into_iter().zip(expected).collect::<Vec<_>>());
    assert_eq!(
        (kept[0].rows, kept[0].bytes, kept[1].detail.as_str()),
        (7, 9, "chunk-00000: the chunk is missing")
    );
    assert!(keeper.with_tenant(&other.context, backups::kept).await.unwrap().is_empty(), "another tenant's");
    let used = backups::key_encryption_keys_in_use(&keeper).await.unwrap();
    assert_eq!(used, [101, 102, 103, 200].map(id).into());
    let oldest = keeper
        .with_tenant(in_acme, async |tx| backups::oldest_kept(tx, BackupClass::Sessions).await)
        .await
        .unwrap();
    assert_eq!(oldest, Some(now + TimeDelta::days(1)));
    let ages = backups::ages(&keeper).await.unwrap();
    assert_eq!(ages.iter().map(|age| age.class).collect::<Vec<_>>(), BackupClass::ALL);
    assert_eq!((ages[0].tenants, ages[0].missing, ages[0].oldest), (1, 1, Some(now + TimeDelta::days(1))));
    assert_eq!((ages[2].tenants, ages[2].missing, ages[2].oldest), (0, 2, None));

    database.clock.advance(Duration::from_hours(1));
    keeper
        .with_tenant(in_acme, async |tx| {
            for number in 1..=3 {
                backups::ended(tx, id(number), now).await?;
            }
            // A catalogue that was rewound learns of it again.
            let days = Some((now.date_naive(), now.date_naive()));
            let written = Written { key_encryption_keys: &[], days, rows: 1, chunks: 1, bytes: 1 };
            backups::adopt(tx, (id(9), BackupClass::Audit, now), id(109), written).await?;
            backups::adopt(tx, (id(9), BackupClass::Audit, now), id(109), written).await
        })
        .await
        .unwrap();
    let states = database.tamper("SELECT state FROM backups ORDER BY backup_id").await;
    assert_eq!(states, "expired\nexpired\nabandoned\nwritten");
    let kept = keeper.with_tenant(in_acme, backups::kept).await.unwrap();
    assert_eq!((kept.len(), kept[0].class), (1, BackupClass::Audit));
    assert_eq!(backups::key_encryption_keys_in_use(&keeper).await.unwrap(), [id(109)].into());
}
