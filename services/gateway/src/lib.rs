//! The HTTP edge: the only user of axum and rmcp. Wires the rooms together; the tools themselves are in
//! `stagedoor-tools`. `main` is the command line over it.

pub mod access_log;
pub mod assembly;
pub mod authn;
pub mod background;
pub mod client;
pub mod concurrency;
pub mod connect;
pub mod demo;
pub mod gauges;
pub mod health;
pub mod import;
pub mod job_worker;
pub mod keys;
pub mod mcp;
pub mod narrowing;
pub mod pauses;
pub mod problem;
pub mod quota;
pub mod refusals;
pub mod router;
pub mod sealer;
pub mod server;
pub mod shield;
pub mod state;
pub mod tenancy;
pub mod tenant_watch;
pub mod violations;
pub mod warm_up;
