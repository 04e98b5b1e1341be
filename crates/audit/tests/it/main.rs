//! The audit trail against a real PostgreSQL server of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;
mod checkpoints;
mod erased;
mod exports;
mod forged;
mod outage;
mod recording;
mod search;
mod sizes;
mod stuck;
#[expect(dead_code, reason = "the tests of the store need more of it")]
#[path = "../../../storage/tests/support/mod.rs"]
mod support;
mod trail;
