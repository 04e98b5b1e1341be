//! What is counted of agents' calls: added up in memory by the minute, written when the minute is over. What a call came
//! to, and whose it may be counted as, is told by `tools` and the gateway; hours and days are the keeper's.
#![warn(missing_docs)]

mod call;
mod closed;
mod counting;
mod log;
mod pending;

pub use call::{CacheUse, CallRecord, Content, Denial, End};
pub use log::{UsageCounts, UsageLog};
