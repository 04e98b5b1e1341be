//! A rolling restart: each gateway in turn is asked to end, ends, starts anew, and the next follows once it is ready.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::Clock;

use crate::promises::Promises;
use crate::town::Town;

/// A gateway that is asked to end, ends by itself and without an error.
const ORDERLY: &str = "a gateway ends in order";

/// What one restart took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restart {
    /// From the signal to the end of the process.
    pub(crate) ended: Duration,
    /// From the start of the next process to its being ready.
    pub(crate) ready: Duration,
}

/// Restarts each gateway.
pub(crate) async fn restart_each(
    town: &mut Town<'_>,
    promises: &Promises,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Vec<Restart>> {
    let mut restarts = Vec::new();
    for at in 0..town.gateways().len() {
        let ended = town.end(at, clock).await?;
        let ready = town.start(at, clock).await?;
        restarts.push(Restart { ended, ready });
    }
    let longest = restarts.iter().map(|restart| restart.ended).max().unwrap_or_default();
    promises.looked_at(ORDERLY, format!("the longest took {:.1} s", longest.as_secs_f64()));
    Ok(restarts)
}
