//! The store against a real PostgreSQL server of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod catalogue;
mod isolation;
mod keys;
mod reach;
mod sessions;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
