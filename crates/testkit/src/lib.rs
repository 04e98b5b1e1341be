//! What integration tests are made of: a stage of real servers with tenants on it, the gateway in process or as a
//! process of its own, a thin client, a browser without script, a clock that stands still, a proxy that breaks
//! connections. For tests only.
#![warn(missing_docs)]

mod browser;
mod client;
mod clock;
mod command;
mod gateway;
mod html;
mod process;
pub mod proof;
mod proxy;
mod stage;
mod template;
mod tenants;

pub use browser::{Browser, Page};
pub use client::{Answer, Client, Era};
pub use clock::FrozenClock;
pub use command::{Command, Finished};
pub use gateway::TestGateway;
pub use process::{DemoProcess, GatewayProcess, Program};
pub use proxy::{FaultProxy, Weather};
pub use stage::{Stage, StageOptions};
pub use tenants::{Inhabited, KeySpec, Linked, TestTenant, generous};
