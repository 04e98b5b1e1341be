//! What a Redis server says of itself, for checks by operators.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redis::{RedisResult, Value, cmd, from_redis_value};

use crate::{RedisLink, Unavailable};

/// Of a cluster, one node stands for all.
const ANY_SLOT: u16 = 0;

/// A server's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its clock.
    pub now: DateTime<Utc>,
    /// What it does when its memory is full, such as `noeviction`; none if it does not say.
    pub eviction: Option<String>,
    /// Bytes that its data takes.
    pub used_bytes: u64,
    /// Bytes that its data may take; none for no bound.
    pub most_bytes: Option<u64>,
}

impl RedisLink {
    /// Asks the server, or one of a cluster, about itself.
    pub async fn server_facts(&self) -> Result<ServerFacts, Unavailable> {
        self.run(|mut connection| async move {
            let slot = connection.is_cluster().then_some(ANY_SLOT);
            let time = connection.at_node(cmd("TIME"), slot).await?;
            let mut info = cmd("INFO");
            info.arg("memory");
            let info: String = from_redis_value(connection.at_node(info, slot).await?)?;
            facts(time, &info)
        })
        .await
    }
}

fn facts(time: Value, info: &str) -> RedisResult<ServerFacts> {
    let (seconds, micros): (i64, i64) = from_redis_value(time)?;
    let field =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let number = |name| field(name).and_then(|text| text.parse().ok());
    let now = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH);
    Ok(ServerFacts {
        now: now + TimeDelta::from_std(Duration::from_micros(micros.unsigned_abs())).unwrap_or_default(),
        eviction: field("maxmemory_policy").map(str::to_owned),
        used_bytes: number("used_memory").unwrap_or(0),
        most_bytes: number("maxmemory").filter(|bytes| *bytes > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_read() {
        let time = || {
            let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
            Value::Array(vec![text("1795348800"), text("250000")])
        };
        let info = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\n\
                    maxmemory_policy:noeviction\r\n";
        let read = facts(time(), info).unwrap();
        assert_eq!(read.now.to_rfc3339(), "2026-11-22T12:00:00.250+00:00");
        assert_eq!((read.used_bytes, read.most_bytes), (1_048_576, None));
        assert_eq!(read.eviction.as_deref(), Some("noeviction"));
        assert_eq!(facts(time(), "").unwrap().eviction, None);
    }
}
