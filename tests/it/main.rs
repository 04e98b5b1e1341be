//! The whole gateway through its front door: real PostgreSQL, real Redis, real HTTP, sandbox music services.
//! Every test sets a stage of its own and shares nothing with any other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, helpers included")]

mod account_tools;
mod audit_trail;
mod bad_input;
mod cached_calls;
mod concurrency;
mod dedupe_jobs;
mod demo;
mod error_codes;
mod faults;
mod freshness;
mod import;
mod isolation;
mod key_encryption;
mod keys;
mod library;
mod limits;
mod limits_hot_reload;
mod linking;
mod music;
mod narrowing;
mod playback;
mod playlist_again;
mod playlist_memory;
mod playlist_writes;
mod policy_gates;
mod pooler;
mod preferences;
mod prompts;
mod proofs;
mod protocol;
mod provider_failures;
mod provider_quota;
mod replicas;
mod resources;
mod secrecy;
mod sessions;
mod slow_clients;
mod tasks;
mod tools;
mod transfer;
mod violations;
mod warm_up;
