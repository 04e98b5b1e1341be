//! What a collector gets: one trace for each call, metrics and log lines, over HTTP and gRPC; nothing of a person; and what
//! a collector that fails costs.

mod away;
pub(crate) mod collector;
mod people;
mod trace;

use rustix::process::Signal;
use stagedoor_testkit::GatewayProcess;

/// Ends the gateway, which sends its last spans and lines before.
async fn end(gateway: &mut GatewayProcess) {
    gateway.program().signal(Signal::TERM);
    gateway.program().ended().await;
}
