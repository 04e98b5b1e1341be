//! Looking through all keys for those of a pattern, on every primary of a cluster. Slow for a call, and so for jobs
//! only: it goes through everything that the server holds.

use redis::{RedisResult, Value, cmd, from_redis_value};

use crate::connection::Connection;
use crate::{RedisLink, Unavailable};

/// How many keys a server looks at in one round trip, about: little enough for a command's time limit.
const LOOK_AT: u32 = 500;

/// Where a search goes on: at which node, and how far it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPlace {
    /// A slot of the node; `None` for the only server.
    slot: Option<u16>,
    cursor: u64,
}

impl RedisLink {
    /// Where a search of all keys begins: one place for each node.
    pub async fn scan_places(&self) -> Result<Vec<ScanPlace>, Unavailable> {
        self.run(|mut connection| async move {
            let slots = if connection.is_cluster() { masters(&mut connection).await? } else { vec![None] };
            Ok(slots.into_iter().map(|slot| ScanPlace { slot, cursor: 0 }).collect())
        })
        .await
    }

    /// The keys of that glob pattern among the next ones, and where it goes on, if it does. A key that is there all
    /// the time is found, perhaps twice; slots that move between nodes meanwhile may be missed.
    pub async fn scan(
        &self,
        place: &ScanPlace,
        pattern: &str,
    ) -> Result<(Vec<String>, Option<ScanPlace>), Unavailable> {
        let mut scan = cmd("SCAN");
        scan.arg(place.cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(LOOK_AT);
        let slot = place.slot;
        let (cursor, keys): (u64, Vec<String>) = self
            .run(|mut connection| async move { Ok(from_redis_value(connection.at_node(scan, slot).await?)?) })
            .await?;
        Ok((keys, (cursor != 0).then_some(ScanPlace { slot, cursor })))
    }
}

/// A slot of each primary.
async fn masters(connection: &mut Connection) -> RedisResult<Vec<Option<u16>>> {
    let mut ask = cmd("CLUSTER");
    ask.arg("SLOTS");
    let ranges: Vec<Vec<Value>> = ask.query_async(connection).await?;
    let mut found: Vec<(Value, u16)> = Vec::new();
    for mut range in ranges {
        if range.len() < 3 {
            continue;
        }
        let master = range.swap_remove(2);
        let first: u16 = from_redis_value(range.swap_remove(0))?;
        if !found.iter().any(|(known, _)| *known == master) {
            found.push((master, first));
        }
    }
    Ok(found.into_iter().map(|(_, slot)| Some(slot)).collect())
}
