//! Answers that may be given again: in this process (level 1) and in Redis (level 2), for exactly the readers
//! they were fetched for. Knows neither the tools nor the providers; values are bytes.
//!
//! A key names tenant, provider, operation, parameters and reader, and is built from types only. What a person's
//! token fetched carries that person's *generation*, which every write raises before its reply, so that whoever
//! reads afterwards, through any replica, cannot meet what was fetched before.
//!
//! An answer's life is learned from how often it was found changed. After it the answer still stands in for a while:
//! at once while it is fetched again, and for a day instead of an error; both are told to the caller.
#![warn(missing_docs)]

mod answer;
mod cache;
mod counters;
mod entry;
mod flight;
mod forget;
mod generation;
mod key;
mod lead;
mod level_one;
mod level_two;
mod lifetimes;
mod persons;
mod popular;
mod run;
mod seal;
mod seed;
mod shared_flight;
#[cfg(test)]
mod tests;
mod usage;
mod warm;

pub use answer::{Ask, CacheOptions, Cached, Fetched, Level, Mode, Verdicts};
pub use cache::Cache;
pub use counters::{ByClass, CacheCounters, ClassCounts, Outcome};
pub use forget::NotForgotten;
pub use generation::{BumpDeferred, DataScope, GenerationCounters, PlaylistSlot};
pub use key::{CacheKey, InvalidParams, Reader};
pub use seal::{SealError, Sealer};
pub use seed::Seed;
pub use shared_flight::FlightCounters;
pub use stagedoor_redis_link::{InvalidRedisUrl, RedisOptions};
pub use usage::CacheUsage;
pub use warm::{WarmBudget, Warmed};
