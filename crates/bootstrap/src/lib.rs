//! Configuration, telemetry, metrics, health, shutdown, tasks, and private servers for the demo and tests.
//! Knows nothing of HTTP routes, SQL or MCP; of ours it uses `domain` only.

pub mod config;
pub mod health;
pub mod host;
pub mod metrics;
pub mod private_servers;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod tls;

pub use config::Config;
pub use health::Health;
pub use metrics::Metrics;
pub use shutdown::{Shutdown, ShutdownOptions, ShutdownTokens};
