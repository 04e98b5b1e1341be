//! Command lines from their words to what is printed, over a real connection to a small server that keeps tenants in
//! memory. The gateway's own server is called in the integration tests.

mod server;

mod answers;
mod connection;
mod contexts;
mod export;
mod refusals;
mod requests;
