//! What integration tests are made of: a stage of real servers with tenants on it, the gateway in process or as a
//! process of its own, a thin client, a clock that stands still, a proxy that breaks connections. For tests only.
#![warn(missing_docs)]

mod client;
mod clock;
mod gateway;
mod process;
mod proxy;
mod stage;
mod template;
mod tenants;

pub use client::{Answer, Client, Era};
pub use clock::FrozenClock;
pub use gateway::TestGateway;
pub use process::{DemoProcess, GatewayProcess, Program};
pub use proxy::{FaultProxy, Weather};
pub use stage::{Stage, StageOptions};
pub use tenants::{Inhabited, KeySpec, Linked, TestTenant, generous};
