//! How often a principal may call: token buckets counted in Redis or in this process, leases that spare the
//! round trip, and the log of failed authentications. Knows no HTTP beyond the text of the limit headers.
//!
//! Buckets are generic cell rates (ITU-T I.371): one number each, the theoretical arrival time, kept exactly
//! in integers. In any interval of length `t` a bucket admits at most `capacity + capacity·t/window` calls.
//! The in-process twin is our own and not `governor`'s: a call has to be checked against all of its buckets
//! before any of them is charged, and `governor` rounds a call's weight to whole nanoseconds.
#![warn(missing_docs)]

pub mod attempts;
mod decision;
mod gcra;
mod lease;
mod limiter;
mod local;
mod plan;
mod script;
mod shards;
#[cfg(test)]
mod tests;

pub use attempts::{AttemptGuard, AttemptPolicy, AttemptSubject, Attempts};
pub use decision::{Backend, Bucket, Decision};
pub use lease::LeaseOptions;
pub use limiter::{Limiter, LimiterCounters, SharedOptions};
pub use stagedoor_redis_link::{InvalidRedisUrl, RedisLink, RedisOptions};
