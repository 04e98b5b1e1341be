//! The store against a real PostgreSQL server of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin_lists;
mod admin_objects;
mod agent_keys;
mod attempts;
mod backups;
mod catalogue;
mod consents;
mod devices;
mod erasure;
mod erasure_races;
mod idempotency;
mod isolation;
mod issuers;
mod job_claims;
mod jobs;
mod key_changes;
mod key_rotation;
mod keys;
mod linking;
mod listening;
mod personal_data;
mod persons;
mod preferences;
mod privacy_requests;
mod quarantine;
mod reach;
mod refresh;
mod restore;
mod rotation;
mod sessions;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod tenant_changes;
mod tenant_erasure;
mod upgrade;
mod usage;
mod usage_of_principals;
mod version_faults;
mod version_memory;
mod versions;
mod violations;
