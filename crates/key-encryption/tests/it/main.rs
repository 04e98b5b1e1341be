//! Key-encryption keys from real folders, and from a stand-in for a key service that checks what it is asked.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod directory;
mod passphrase;
mod ring;
mod stand_in;
mod support;
mod tls;
mod transit;
