//! What integration tests are made of: a stage of real servers with tenants on it, the gateway in process or as a
//! process of its own, a thin client, a browser without script, a clock that stands still, proxies that break
//! connections or lose messages. For tests only.
#![warn(missing_docs)]

mod admin;
mod browser;
mod client;
mod clock;
mod command;
mod entropy;
mod gateway;
mod html;
mod issuer;
mod keeper;
mod lossy;
mod metrics;
mod process;
pub mod proof;
mod proxy;
mod stage;
mod template;
mod tenants;
mod twin;

pub use admin::Admin;
pub use browser::{Browser, Page};
pub use client::{Answer, Client, Era};
pub use clock::FrozenClock;
pub use command::{Command, Finished};
pub use entropy::SeededEntropy;
pub use gateway::TestGateway;
pub use issuer::{KeyKind, TestIssuer};
pub use lossy::LossyBroadcast;
pub use metrics::Metrics;
pub use process::{DemoProcess, GatewayProcess, Program};
pub use proxy::{FaultProxy, Weather};
pub use stage::{Stage, StageOptions};
pub use tenants::{Inhabited, KeySpec, Linked, TestTenant, generous};
pub use twin::Twin;
