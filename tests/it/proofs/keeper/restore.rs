//! Backups come back: equal in a drill, without whoever was erased, with losses told to the row, and grants that were set
//! aside work again.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_keeper::jobs::restore::{Drill, Restore, What};
use stagedoor_keeper::{Ended, Ending};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, remark};
use stagedoor_testkit::{KeySpec, Stage, TestGateway, generous};

use crate::keeper::restore::{back_up, keep, lose, restore, whole};
use crate::{music, privacy, secrecy};

#[tokio::test]
async fn a_drill_finds_every_table_equal_and_leaves_nothing_behind() {
    let (tenants, people) = ProofSize::wanted().of((3, 3), (50, 20));
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    for number in 0..tenants {
        let tenant = stage.inhabit(&format!("tenant-{number}")).await;
        let client = music::client(&gateway, &tenant);
        let wishes = json!({ "preferences": { "cache_preferences": { "cache_duration": 60 + number } } });
        client.call("preferences_set", wishes).await;
        client.call("playlist_create", json!({ "name": "Mine", "provider": Provider::Tidal })).await;
        for person in 0..people {
            tenant.tenant.person(&format!("Person {person}")).await;
        }
    }
    gateway.flush_audit().await;
    back_up(&stage).await;
    // What happens later is not in the backups. And an earlier drill was killed.
    stage.sql("UPDATE users SET label = 'Later'").await;
    let installation = stage.sql("SELECT oid FROM pg_database WHERE datname = current_database()").await;
    stage.sql(&format!("CREATE DATABASE stagedoor_drill_{installation}_{}", "0".repeat(32))).await;
    // So were those of another installation on the same server, or they are under way.
    let others = format!("stagedoor_drill_1_{}", "0".repeat(32));
    stage.sql(&format!("CREATE DATABASE {others}")).await;

    let drill = keep(&stage, &Restore::drill(Drill::default())).await;
    assert_eq!(drill.ending, Ending::Succeeded, "{drill}");
    let tables = u64::try_from(tenants).unwrap() * 30;
    prove_equal("keeper.drill_tables_equal", drill.count("tables_equal"), tables);
    prove_equal("keeper.drill_tables_different", drill.count("tables_different"), 0);
    let left = stage.sql("SELECT count(*) FROM pg_database WHERE datname ~ '^stagedoor_drill'").await;
    prove_equal("keeper.drill_databases_left", left.parse::<u64>().unwrap() - 1, 0);
    stage.sql(&format!("DROP DATABASE {others}")).await;
    let runs = "SELECT outcome FROM keeper_runs WHERE job = 'drill'";
    assert_eq!(stage.sql(runs).await, "succeeded");
    assert_eq!(stage.sql("SELECT count(*) FROM users WHERE label <> 'Later'").await, "0");

    // A drill that finds damage says where, and leaves nothing behind either.
    let sessions =
        stage.folder().join("backups/backups/v1").join(first_tenant(&stage).await).join("sessions");
    let backup = std::fs::read_dir(&sessions).unwrap().next().unwrap().unwrap().path();
    std::fs::write(backup.join("chunk-00000"), "nothing").unwrap();
    let drill = keep(&stage, &Restore::drill(Drill::default())).await;
    assert_eq!(drill.ending, Ending::Partly, "{drill}");
    let others = u64::try_from(tenants - 1).unwrap() * 30;
    prove_equal("keeper.drill_tables_equal_beside_damage", drill.count("tables_equal"), others);
    let left = stage.sql("SELECT count(*) FROM pg_database WHERE datname ~ '^stagedoor_drill'").await;
    assert_eq!(left, "0");
}

async fn first_tenant(stage: &Stage) -> String {
    stage.sql("SELECT tenant_id FROM tenants ORDER BY tenant_id LIMIT 1").await
}

#[tokio::test]
async fn nobody_who_was_erased_comes_back() {
    let people: usize = ProofSize::wanted().of(6, 60);
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let tenant = stage.tenant("ada", generous()).await;
    for provider in Provider::ALL {
        tenant.set_up(*provider).await;
    }
    let mut all = Vec::new();
    for number in 0..people {
        let label = format!("canary-label-{number:04}");
        let user = tenant.person(&label).await;
        let account = tenant.link(user, Provider::Spotify).await;
        let key = tenant.key(&KeySpec::for_user(user)).await;
        let client = gateway.client("ada", &key);
        let wishes = json!({ "preferences": { "cache_preferences": { "cache_duration": 60 + number } } });
        client.call("preferences_set", wishes).await;
        client.call("playlist_create", json!({ "name": format!("canary-list-{number:04}") })).await;
        let canaries = vec![label, user.to_string(), account.account.clone(), account.id.to_string()];
        all.push((key, canaries));
    }
    gateway.flush_audit().await;
    back_up(&stage).await;
    let before = newest(&stage).await;
    assert!(
        found(&stage, all.iter().flat_map(|(_, canaries)| canaries)).await > 0,
        "the search finds something"
    );

    let (gone, staying) = all.split_at(people / 3);
    for (key, _) in gone {
        privacy::receipt(&privacy::confirm_deletion(&gateway.client("ada", key)).await).await;
    }
    gateway.flush_audit().await;
    // The next backup tells the store who was erased; those from before know nothing of it.
    back_up(&stage).await;
    gateway.stop().await;
    assert_eq!(found(&stage, gone.iter().flat_map(|(_, canaries)| canaries)).await, 0);

    // Onto what is there, and onto nothing at all, as of before they were erased.
    let replaced = restore(&stage, What { replace: true, at: Some(before), ..whole("ada") }).await;
    assert_eq!(replaced.ending, Ending::Succeeded, "{replaced}");
    let readable = found(&stage, gone.iter().flat_map(|(_, canaries)| canaries)).await;
    prove_equal("keeper.erased_canaries_after_replacing", readable, 0);
    lose(&stage, &tenant.id()).await;
    let restored = restore(&stage, What { at: Some(before), ..whole("ada") }).await;
    assert_eq!(restored.ending, Ending::Succeeded, "{restored}");
    let (stayed, erased) = (restored.count("people_erased"), gone.len() as u64);
    prove_equal("keeper.erased_people_who_stay_away", stayed, erased);
    let readable = found(&stage, gone.iter().flat_map(|(_, canaries)| canaries)).await;
    prove_equal("keeper.erased_canaries_after_a_loss", readable, 0);

    let gateway = TestGateway::start(&stage).await;
    let mut served = 0;
    for (key, _) in staying {
        let answer = gateway.client("ada", key).tool("playlists_list", json!({})).await;
        served += u64::from(answer.verdict() == "200 ok");
    }
    prove_equal("keeper.others_served_after_a_loss", served, staying.len() as u64);
    for (key, _) in gone {
        assert_eq!(gateway.client("ada", key).tool("playlists_list", json!({})).await.status, 401);
    }
    gateway.flush_audit().await;
    assert_eq!(tenant.verify_chain().await.faults.len(), 0);
}

#[tokio::test]
async fn what_a_damaged_chunk_costs_is_told_to_the_row() {
    let people: usize = ProofSize::wanted().of(1_500, 20_000);
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let tenant = ada.tenant.id();
    stage
        .sql(&format!(
            "INSERT INTO users (tenant_id, user_id, label)
            SELECT '{tenant}', gen_random_uuid(), 'Person ' || n FROM generate_series(1, {people}) n"
        ))
        .await;
    back_up(&stage).await;
    let users = "SELECT user_id FROM users ORDER BY user_id";
    let before: Vec<String> = stage.sql(users).await.lines().map(str::to_owned).collect();
    let folder = stage.folder().join("backups/backups/v1").join(&tenant).join("sessions");
    let backup = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let chunk = backup.join("chunk-00002");
    let mut bytes = std::fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&chunk, &bytes).unwrap();

    lose(&stage, &tenant).await;
    let refused = restore(&stage, whole("ada")).await;
    assert_eq!(refused.ending, Ending::Refused, "{refused}");
    assert!(refused.to_string().contains(" of users; add --partial"), "{refused}");
    assert_eq!(
        stage.sql("SELECT count(*) FROM tenants").await,
        "0",
        "nothing is visible of what is not whole"
    );
    let restored = restore(&stage, What { partial: true, ..whole("ada") }).await;
    assert_eq!((restored.ending, restored.ending.code()), (Ending::Partly, 3), "{restored}");
    let (first, rows) = told(&restored);
    let after: BTreeSet<String> = stage.sql(users).await.lines().map(str::to_owned).collect();
    let missing: Vec<usize> =
        (0..before.len()).filter(|place| !after.contains(&before[*place])).map(|place| place + 1).collect();
    let expected: Vec<usize> = (first..first + rows).collect();
    remark(format_args!("rows {first} to {} of users are lost", first + rows - 1));
    prove("keeper.rows_told_lost", missing.len(), format_args!("={rows}"), missing == expected && rows > 1);
    prove_equal("keeper.rows_back", after.len() as u64, (before.len() - rows) as u64);
}

#[tokio::test]
async fn a_grant_that_was_set_aside_works_again() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let create = async || {
        let made =
            client.tool("playlist_create", json!({ "name": "Made", "provider": Provider::Spotify })).await;
        made.verdict()
    };
    assert_eq!(create().await, "200 ok");
    back_up(&stage).await;
    stage
        .sql(
            "UPDATE provider_sessions s SET access_token = set_byte(access_token, 100, get_byte(access_token, 100) # 1) \
             FROM linked_accounts a WHERE a.account_id = s.account_id AND a.provider = 'spotify'",
        )
        .await;
    // Another replica has not got it in memory.
    let fresh = TestGateway::start(&stage).await;
    let other = music::client(&fresh, &ada);
    let answer =
        other.tool("playlist_create", json!({ "name": "Made", "provider": Provider::Spotify })).await;
    assert_eq!(answer.verdict(), "200 session_unreadable");
    assert_eq!(stage.sql("SELECT count(*) FROM session_quarantine").await, "1");

    let what = What { set_aside: true, ..whole("ada") };
    let restored = restore(&stage, what.clone()).await;
    assert_eq!(restored.ending, Ending::Succeeded, "{restored}");
    prove_equal("keeper.grants_restored", restored.count("sessions_restored"), 1);
    let answer =
        other.tool("playlist_create", json!({ "name": "Again", "provider": Provider::Spotify })).await;
    prove("keeper.grants_usable", answer.verdict(), "200 ok", answer.verdict() == "200 ok");
    assert_eq!(create().await, "200 ok");
    let none = restore(&stage, what).await;
    assert_eq!((none.ending, none.count("sessions_restored")), (Ending::Succeeded, 0), "{none}");
    let account = ada.account(Provider::Spotify).id.0;
    let used = restore(&stage, What { session: vec![account], ..whole("ada") }).await;
    assert_eq!(used.count("sessions_in_use"), 1, "{used}");
}

/// The first and the number of the rows of users that a run says are lost.
fn told(ended: &Ended) -> (usize, usize) {
    let answer: &Value = &ended.answer.as_ref().unwrap().json;
    let damaged = answer["damaged_chunks"].as_array().unwrap();
    assert_eq!(damaged.len(), 1, "{answer}");
    let lost = damaged[0]["lost"].as_array().unwrap();
    assert_eq!((lost.len(), &lost[0]["table"]), (1, &json!("users")), "{answer}");
    let number = |name: &str| usize::try_from(lost[0][name].as_u64().unwrap()).unwrap();
    (number("first"), number("rows"))
}

/// How many of these texts are stored in the database.
async fn found(stage: &Stage, canaries: impl Iterator<Item = &String>) -> u64 {
    let stored = secrecy::stored(stage).await;
    let mut readable = 0;
    for canary in canaries.filter(|canary| stored.contains(canary.as_str())) {
        remark(format_args!("{canary} is stored"));
        readable += 1;
    }
    readable
}

/// When the newest backup was taken; what comes later is of another second.
async fn newest(stage: &Stage) -> chrono::DateTime<chrono::Utc> {
    let listed =
        Restore::list().without_keeper(&crate::keeper::restore::config(stage)).await.unwrap().unwrap().json;
    let times = listed["backups"].as_array().unwrap().iter();
    let times = times.map(|backup| backup["taken_at"].as_str().unwrap().parse().unwrap());
    let newest: chrono::DateTime<chrono::Utc> = times.max().unwrap();
    while stage.clock().now() < newest + chrono::TimeDelta::seconds(2) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    newest
}
