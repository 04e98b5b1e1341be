//! The audit trail against a real PostgreSQL server of its own.

mod chain;
mod outage;
mod recording;
#[expect(dead_code, reason = "the tests of the store need more of it")]
#[path = "../../../storage/tests/support/mod.rs"]
mod support;
mod trail;
