//! Servers that belong to one process of ours: started on loopback in a folder of their own, stopped with it.
//! PostgreSQL serves the demo and the tests; Redis and PgBouncer serve the tests only.

pub mod pgbouncer;
pub mod postgres;
pub mod redis;
pub mod redis_cluster;

mod account;
mod cluster;
mod error;
mod launch;
mod locate;
mod network;
mod process;

pub use error::PrivateServerError;
pub use pgbouncer::PrivatePgBouncer;
pub use postgres::{PrivatePostgres, PrivatePostgresOptions, default_data_dir};
pub use redis::PrivateRedis;
pub use redis_cluster::PrivateRedisCluster;
