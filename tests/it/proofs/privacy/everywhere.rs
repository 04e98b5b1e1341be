//! Everything that is stored or said anywhere, as text: the database, Redis, the archive of checkpoints, the logs.

use std::fmt::Write;
use std::path::Path;

use redis::AsyncTypedCommands;
use rustix::process::Signal;
use stagedoor_testkit::{GatewayProcess, Stage};

use crate::secrecy::stored;

/// What replicas said, once they have ended.
pub(super) async fn logs(gateways: [GatewayProcess; 2]) -> Vec<(String, String)> {
    let mut logs = Vec::new();
    for (number, mut gateway) in gateways.into_iter().enumerate() {
        gateway.program().signal(Signal::TERM);
        gateway.program().ended().await;
        let said = gateway.program().said();
        assert!(said.len() > 1_000, "a log holds something");
        logs.push((format!("the log of replica {number}"), said));
    }
    logs
}

/// Each place and what is there.
pub(super) async fn all(stage: &Stage, archive: &Path, logs: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut places = logs;
    places.push(("the database".to_owned(), stored(stage).await));
    places.push(("Redis".to_owned(), remembered(stage).await));
    let kept = files(archive);
    assert!(kept.contains("signature"), "the archive holds checkpoints");
    places.push(("the archive of checkpoints".to_owned(), kept));
    places
}

/// Every key of Redis and what it holds, unpacked.
async fn remembered(stage: &Stage) -> String {
    let client = redis::Client::open(stage.redis().url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut text = String::new();
    for key in connection.keys("*").await.unwrap() {
        text.extend([key.as_str(), "\n"]);
        // All but one of them are of another kind of value.
        let reads = [
            redis::cmd("GET").arg(&key).clone(),
            redis::cmd("HGETALL").arg(&key).clone(),
            redis::cmd("SMEMBERS").arg(&key).clone(),
            redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).clone(),
            redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).clone(),
        ];
        for read in reads {
            if let Ok(value) = read.query_async::<redis::Value>(&mut connection).await {
                spell(&value, &mut text);
            }
        }
    }
    text
}

fn spell(value: &redis::Value, text: &mut String) {
    match value {
        redis::Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        redis::Value::Array(values) | redis::Value::Set(values) => {
            for value in values {
                spell(value, text);
            }
        }
        redis::Value::Map(pairs) => {
            for (name, value) in pairs {
                spell(name, text);
                spell(value, text);
            }
        }
        other => {
            let _ = write!(text, "{other:?}");
        }
    }
    text.push('\n');
}

fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text.push_str(&path.to_string_lossy());
        text.push('\n');
        if path.is_dir() {
            text.push_str(&files(&path));
        } else {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
    text
}
