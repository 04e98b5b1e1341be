//! The whole gateway through its front door: real PostgreSQL, real Redis, real HTTP, sandbox music services.
//! Every test sets a stage of its own and shares nothing with any other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, helpers included")]

mod account_tools;
mod audit_trail;
mod bad_input;
mod cached_calls;
mod demo;
mod error_codes;
mod faults;
mod import;
mod isolation;
mod key_encryption;
mod keys;
mod limits;
mod linking;
mod music;
mod pooler;
mod proofs;
mod protocol;
mod provider_failures;
mod replicas;
mod secrecy;
mod sessions;
mod slow_clients;
mod tools;
