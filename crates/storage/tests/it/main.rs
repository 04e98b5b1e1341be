//! The store against a real PostgreSQL server of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempts;
mod catalogue;
mod devices;
mod idempotency;
mod isolation;
mod job_claims;
mod jobs;
mod keys;
mod linking;
mod preferences;
mod quarantine;
mod reach;
mod refresh;
mod rotation;
mod sessions;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod tenant_changes;
mod upgrade;
mod versions;
mod violations;
