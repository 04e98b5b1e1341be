//! The store against a real PostgreSQL server of its own.

mod catalogue;
mod isolation;
mod keys;
mod reach;
mod sessions;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
