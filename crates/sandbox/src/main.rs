//! The sandbox as a process of its own, on loopback. Prints its address as one line of JSON, then runs until a signal.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use stagedoor_sandbox::{Sandbox, SandboxConfig, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for Spotify's and Tidal's APIs.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Decides the catalogue.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where apps, accounts, refresh tokens and playlists are kept.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Where to write every exchange with both APIs.
    #[arg(long, value_name = "DIR", env = "STAGEDOOR_SANDBOX_RECORD")]
    record: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let sandbox = Sandbox::new(SandboxConfig {
        seed: arguments.seed,
        state_file: arguments.state,
        record: arguments.record,
        ..SandboxConfig::default()
    });
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let ready = serde_json::json!({ "spotify": format!("http://{address}/spotify"), "tidal": format!("http://{address}/tidal") });
    writeln!(std::io::stdout(), "{ready}").context("cannot print the address")?;
    serve(sandbox, listener, shutdown).await.context("the sandbox stopped")
}
