//! The last step of a deletion: it waits until no call of before can be under way, whichever replica does it, and then
//! leaves nothing of the person in Redis.

use std::time::Duration;

use redis::AsyncTypedCommands;
use stagedoor_testkit::{GatewayProcess, Stage, TestGateway};

use super::{confirm_deletion, keys, lines, live, reached, receipt, state};

/// Long enough that no test sees its end.
const SETTLE_MS: u64 = 600_000;

/// Keys in Redis that name a person or an API key, and what they hold as `RESTORE` takes it.
async fn remembered(
    connection: &mut redis::aio::MultiplexedConnection,
    names: [&str; 2],
) -> Vec<(String, Vec<u8>)> {
    let mut remembered = Vec::new();
    for key in connection.keys("*").await.unwrap() {
        if names.iter().any(|name| key.contains(name)) {
            let held: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query_async(connection).await.unwrap();
            remembered.extend(held.map(|held| (key, held)));
        }
    }
    remembered
}

/// Waits until somebody has claimed the request as often, and given it back until its time has come.
async fn waits(stage: &Stage, claims: u32) {
    let waiting = format!(
        "SELECT count(*) FROM privacy_requests WHERE state = 'key_destroyed' AND fence >= {claims}
            AND due_at > clock_timestamp() + interval '5 minutes'"
    );
    while stage.sql(&waiting).await.trim() == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// As if the time since the confirmation had passed.
async fn let_it_settle(stage: &Stage) {
    let pass = format!(
        "UPDATE privacy_requests SET verified_at = verified_at - interval '{SETTLE_MS} milliseconds',
            due_at = clock_timestamp()"
    );
    stage.sql(&pass).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_call_leaves_in_redis_goes_with_the_last_step_of_whichever_replica() {
    let stage = Stage::start().await;
    let settle = [("STAGEDOOR_PRIVACY__SETTLE_MS", SETTLE_MS.to_string())];
    let mut doomed = GatewayProcess::start(&stage, "doomed", &settle).await;
    let ada = stage.inhabit("ada").await;
    live(&doomed.client("ada", &ada.key), &stage, &ada, "Late").await;
    let (person, key) = (ada.user.to_string(), stage.sql("SELECT key_id FROM api_keys").await);
    let names = [person.as_str(), key.trim()];
    let client = redis::Client::open(stage.redis().url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let before = remembered(&mut redis, names).await;
    for name in names {
        assert!(before.iter().any(|(key, _)| key.contains(name)), "Redis does not know {name}");
    }
    let page = confirm_deletion(&doomed.client("ada", &ada.key)).await;
    waits(&stage, 1).await;

    // A call that began before the confirmation ends on another replica, and leaves what it always does.
    for (key, held) in &before {
        let restore = redis::cmd("RESTORE").arg(key).arg(0).arg(held).arg("REPLACE").clone();
        restore.query_async::<()>(&mut redis).await.unwrap();
    }
    doomed.kill().await;
    let heir = GatewayProcess::start(&stage, "heir", &settle).await;
    stage.sql("UPDATE privacy_requests SET due_at = clock_timestamp()").await;
    waits(&stage, 2).await;
    assert_eq!(
        remembered(&mut redis, names).await.len(),
        before.len(),
        "it waited as long as the other would have"
    );

    let_it_settle(&stage).await;
    reached(&stage, "erasure", "done").await;
    assert_eq!(remembered(&mut redis, names).await, []);
    let at_heir = page.as_str().replace(&doomed.address().to_string(), &heir.address().to_string());
    let told = lines(&receipt(&at_heir.parse().unwrap()).await, &keys(&stage, &ada.tenant).await);
    assert_eq!(told[1]["deleted"]["answers_kept_for_a_while"], "forgotten", "{}", told[1]);
}

#[tokio::test]
async fn a_tenant_without_people_ends_when_its_last_calls_have_ended() {
    let stage = Stage::start().await;
    let _gateway = TestGateway::start_with(&stage, |config| config.privacy.settle_ms = SETTLE_MS).await;
    let tenant = stage.tenant("ada", stagedoor_testkit::generous()).await;
    stage
        .sql(&format!(
            "BEGIN; SET LOCAL stagedoor.tenant_id = '{}';
            SELECT privacy_request_tenant_erasure(gen_random_uuid(), 'test', 3600); COMMIT",
            tenant.id()
        ))
        .await;
    let waiting = "SELECT count(*) FROM privacy_requests WHERE state = 'erased'
        AND due_at > clock_timestamp() + interval '5 minutes'";
    while stage.sql(waiting).await.trim() == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(state(&stage, "tenant_erasure").await, "erased");
    let_it_settle(&stage).await;
    reached(&stage, "tenant_erasure", "done").await;
}
