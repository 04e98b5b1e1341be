//! `HAProxy` in front of the gateways, by two doors: one hands out requests as an ingress does, the other connections as a
//! Kubernetes Service does. Neither sends anything twice. Probes are those of the chart, on the port of operators.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use stagedoor_bootstrap::config::variable;
use stagedoor_testkit::Program;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);

/// The balancer.
#[derive(Debug)]
pub(crate) struct Balancer {
    program: Program,
    socket: PathBuf,
}

/// A row of its statistics, by column.
#[derive(Debug)]
struct Row(BTreeMap<String, String>);

/// Where agents reach the gateways.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doors {
    /// Hands out requests.
    pub(crate) requests: SocketAddr,
    /// Hands out connections.
    pub(crate) connections: SocketAddr,
}

/// What it counted of one gateway, or of all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Requests that were handed out.
    pub(crate) requests: u64,
    /// Connections that were handed out.
    pub(crate) connections: u64,
    /// What failed on the way: no connection, no answer, an answer of the balancer's own.
    pub(crate) errors: u64,
    /// What it sent once more.
    pub(crate) again: u64,
}

impl Balancer {
    /// Where `HAProxy` is.
    pub(crate) fn installed(named: Option<&Path>) -> anyhow::Result<PathBuf> {
        let found = if let Some(named) = named {
            named.is_file().then(|| named.to_owned())
        } else {
            let path = variable("PATH").unwrap_or_default();
            let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
            let folders = std::env::split_paths(&path).chain(usual.map(PathBuf::from));
            folders.map(|folder| folder.join("haproxy")).find(|program| program.is_file())
        };
        found.context(
            "HAProxy is not installed, and the replicas need a proxy in front: apt-get, dnf or brew install haproxy",
        )
    }

    /// Starts it in front of these gateways: where agents reach each, and where probes do.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        doors: Doors,
        gateways: &[(SocketAddr, SocketAddr)],
    ) -> anyhow::Result<Self> {
        let socket = folder.join("haproxy.sock");
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, configuration(doors, &socket, gateways))
            .with_context(|| format!("{} cannot be written", file.display()))?;
        let file = file.to_string_lossy().into_owned();
        let log = folder.join("haproxy.log");
        let program = Program::start_at(program, &["-db", "-f", &file], &[], &log, Stdio::null());
        let balancer = Self { program, socket };
        for at in 0..gateways.len() {
            balancer.until_up(at).await.with_context(|| balancer.program.said())?;
        }
        Ok(balancer)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Waits until both doors lead to the gateway at `at`.
    pub(crate) async fn until_up(&self, at: usize) -> anyhow::Result<()> {
        let wanted = format!("gateway-{at}");
        let settled = async {
            loop {
                let rows = self.rows().await.unwrap_or_default();
                let here = || rows.iter().filter(|row| row.text("svname") == wanted);
                if here().count() == 2 && here().all(|row| row.text("status").starts_with("UP")) {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let settled = tokio::time::timeout(PATIENCE, settled).await;
        settled.with_context(|| format!("HAProxy does not see {wanted}"))
    }

    /// What it counted, by gateway.
    pub(crate) async fn seen(&self) -> anyhow::Result<BTreeMap<String, Seen>> {
        let mut seen = BTreeMap::<String, Seen>::new();
        for row in self.rows().await?.iter().filter(|row| row.text("svname").starts_with("gateway-")) {
            let of = seen.entry(row.text("svname").to_owned()).or_default();
            match row.text("pxname") {
                "requests" => of.requests += row.number("stot"),
                _ => of.connections += row.number("stot"),
            }
            of.errors += row.number("econ") + row.number("eresp");
            of.again += row.number("wretr") + row.number("wredis");
        }
        Ok(seen)
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        self.program.signal(Signal::TERM);
        self.program.ended().await;
    }

    /// Its statistics (management guide of `HAProxy` 2.6, 9.1 and 9.3), a row for each server and door.
    async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let mut socket = UnixStream::connect(&self.socket).await.context("HAProxy does not listen")?;
        socket.write_all(b"show stat\n").await?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await?;
        let mut lines = text.lines();
        let names =
            lines.next().and_then(|line| line.strip_prefix("# ")).context("HAProxy names no columns")?;
        let names: Vec<&str> = names.split(',').collect();
        let row = |line: &str| {
            let fields = names.iter().zip(line.split(','));
            Row(fields.map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect())
        };
        Ok(lines.filter(|line| !line.is_empty()).map(row).collect())
    }
}

impl Row {
    fn text(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    fn number(&self, column: &str) -> u64 {
        self.text(column).parse().unwrap_or_default()
    }
}

fn configuration(doors: Doors, socket: &Path, gateways: &[(SocketAddr, SocketAddr)]) -> String {
    let server = |(at, (address, ops)): (usize, &(SocketAddr, SocketAddr))| {
        format!("    server gateway-{at} {address} check port {} inter 500ms fall 2 rise 1\n", ops.port())
    };
    let servers: String = gateways.iter().enumerate().map(server).collect();
    let door = |name: &str, mode: &str, address: SocketAddr| {
        format!(
            "frontend {name}\n    mode {mode}\n    bind {address}\n    default_backend {name}\n\
             backend {name}\n    mode {mode}\n    balance roundrobin\n\
             \x20   option httpchk GET /readyz\n    http-check expect status 200\n{servers}"
        )
    };
    format!(
        "global\n    stats socket {}\n\
         defaults\n    retries 0\n    timeout connect 2s\n    timeout client 90s\n    timeout server 90s\n\
         \x20   timeout check 2s\n{}{}",
        socket.display(),
        door("requests", "http", doors.requests),
        door("connections", "tcp", doors.connections),
    )
}
