//! How often a principal and its tenant may call: token buckets counted in Redis or in this process, leases that spare
//! the round trip, penalties, the log of failed authentications, and the pauses that music services ask for. Knows no
//! HTTP beyond the text of the limit headers.
//!
//! Buckets are generic cell rates (ITU-T I.371): one number each, the theoretical arrival time, kept exactly
//! in integers. In any interval of length `t` a bucket admits at most `capacity + capacity·t/window` calls.
//! The in-process twin is our own and not `governor`'s: a call has to be checked against all of its buckets
//! before any of them is charged, and `governor` rounds a call's weight to whole nanoseconds.
#![warn(missing_docs)]

pub mod attempts;
mod decision;
mod forget;
mod gcra;
mod lease;
mod limiter;
mod local;
mod outage;
mod packed;
mod pauses;
mod penalty;
mod plan;
mod plans;
mod record;
mod refusal;
#[cfg(any(test, feature = "proofs"))]
pub mod replay;
mod replicas;
mod script;
mod shards;
#[cfg(test)]
mod tests;

pub use attempts::{AttemptGuard, AttemptPolicy, Attempts};
pub use decision::{Backend, Bucket, Decision, Look};
pub use lease::LeaseOptions;
pub use limiter::{Limiter, LimiterCounters, SharedOptions};
pub use pauses::{PauseKey, ProviderPauses};
pub use penalty::Penalty;
pub use refusal::Violation;
pub use replicas::Replicas;
pub use stagedoor_redis_link::{InvalidRedisUrl, RedisLink, RedisOptions};
