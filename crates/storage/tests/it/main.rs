//! The store against a real PostgreSQL server of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod catalogue;
mod isolation;
mod keys;
mod reach;
mod sessions;
mod sign_in;
#[expect(dead_code, reason = "the tests of the audit trail need more of it")]
#[path = "../support/mod.rs"]
mod support;
