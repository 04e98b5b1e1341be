//! The real `stagedoor` program: `serve` replicas that can be killed, and the demo.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use url::Url;

use crate::client::{self, Client};
use crate::metrics::Metrics;
use crate::stage::Stage;

const POLL: Duration = Duration::from_millis(20);
const START_PATIENCE: Duration = Duration::from_mins(1);

/// A running program of ours. It is killed when this is dropped, and when the test's process ends in any way.
#[derive(Debug)]
pub struct Program {
    child: Child,
    watchdog: Child,
    log: PathBuf,
}

/// A replica that serves.
#[derive(Debug)]
pub struct GatewayProcess {
    program: Program,
    address: SocketAddr,
    ops: SocketAddr,
}

/// A running demo.
#[derive(Debug)]
pub struct DemoProcess {
    program: Program,
    /// The line that it printed first.
    pub greeting: Value,
}

impl Program {
    /// Starts `stagedoor` with these arguments and variables on top of the test's own.
    ///
    /// # Panics
    /// If the program was not built.
    pub fn start(arguments: &[&str], variables: &[(&str, String)], log: &Path, output: Stdio) -> Self {
        Self::start_of("stagedoor", arguments, variables, log, output)
    }

    /// The same of another program of ours.
    ///
    /// # Panics
    /// If the program was not built.
    pub fn start_of(
        program: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
        log: &Path,
        output: Stdio,
    ) -> Self {
        Self::start_at(&built(program), arguments, variables, log, output)
    }

    /// The same of a program of somebody else's, by its path.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_at(
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, String)],
        log: &Path,
        output: Stdio,
    ) -> Self {
        let errors = std::fs::File::create(log).expect("a log file can be made");
        let child = Command::new(program)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("the program starts");
        // Reads until our end of the pipe closes, however we ended.
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -s KILL \"$0\" 2>/dev/null", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        Self { child, watchdog, log: log.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Where standard error goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, once it has.
    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What it said on standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn exited(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for process in [&mut self.watchdog, &mut self.child] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl GatewayProcess {
    /// Starts a replica on `stage` and waits until it is ready. `variables` are further settings, such as
    /// `("STAGEDOOR_SERVER__DRAIN_GRACE_MS", "500")`.
    ///
    /// # Panics
    /// If it does not get ready.
    pub async fn start(stage: &Stage, name: &str, variables: &[(&str, String)]) -> Self {
        Self::start_at(stage, name, (free_address(), free_address()), variables).await
    }

    /// The same on given addresses, for agents and for probes: those of a replica that ended, which others know.
    ///
    /// # Panics
    /// If it does not get ready.
    pub async fn start_at(
        stage: &Stage,
        name: &str,
        (address, ops): (SocketAddr, SocketAddr),
        variables: &[(&str, String)],
    ) -> Self {
        let mut all = settings(stage, address, ops);
        all.extend(variables.iter().map(|(name, value)| (*name, value.clone())));
        let log = stage.folder().join(format!("{name}.log"));
        let mut program = Program::start(&["serve"], &all, &log, Stdio::null());
        let ready = async {
            while !is_ready(ops).await {
                assert!(!program.exited(), "{name} ended: {}", program.said());
                tokio::time::sleep(POLL).await;
            }
        };
        let in_time = tokio::time::timeout(START_PATIENCE, ready).await;
        assert!(in_time.is_ok(), "{name} did not get ready: {}", program.said());
        Self { program, address, ops }
    }

    /// Where agents reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it wants traffic.
    pub async fn is_ready(&self) -> bool {
        is_ready(self.ops).await
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Where probes reach it.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops
    }

    /// A client of the tenant `slug`.
    pub fn client(&self, slug: &str, key: &str) -> Client {
        Client::new(self.address, slug, Some(key))
    }

    /// Freezes it: its connections stay open and nothing answers.
    pub fn pause(&self) {
        self.program.signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) {
        self.program.signal(Signal::CONT);
    }

    /// The values at `/metrics`.
    pub async fn metrics(&self) -> Metrics {
        Metrics::of(self.ops).await
    }

    /// Kills it as a crash would.
    pub async fn kill(&mut self) {
        self.program.signal(Signal::KILL);
        self.program.ended().await;
    }

    /// The program.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}

impl DemoProcess {
    /// Starts a demo in `data_dir` and waits for its line.
    ///
    /// # Panics
    /// If it ends before.
    pub async fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        let folder = data_dir.to_string_lossy().into_owned();
        let mut all = vec!["demo", "--port", "0", "--json", "--data-dir", &folder];
        all.extend(arguments);
        let log = data_dir.with_extension("log");
        let mut program = Program::start(&all, &[], &log, Stdio::piped());
        let output = program.child.stdout.take().expect("standard output is a pipe");
        let output = tokio::process::ChildStdout::from_std(output).expect("a pipe can be polled");
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(START_PATIENCE, lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else { panic!("the demo said nothing: {}", program.said()) };
        let greeting = serde_json::from_str(&line).expect("the first line is JSON");
        Self { program, greeting }
    }

    /// A demo that is expected to refuse: its exit status and what it said.
    pub async fn refused(data_dir: &Path, arguments: &[&str]) -> (ExitStatus, String) {
        let folder = data_dir.to_string_lossy().into_owned();
        let mut all = vec!["demo", "--port", "0", "--json", "--data-dir", &folder];
        all.extend(arguments);
        let mut program = Program::start(&all, &[], &data_dir.with_extension("refused.log"), Stdio::piped());
        let status = program.ended().await;
        let mut output = String::new();
        if let Some(mut pipe) = program.child.stdout.take() {
            let _ = pipe.read_to_string(&mut output);
        }
        (status, output + &program.said())
    }

    /// A client with the key that the demo printed.
    ///
    /// # Panics
    /// If the line has no endpoint or key.
    pub fn client(&self) -> Client {
        let text = |name: &str| self.greeting[name].as_str().expect("the line has it").to_owned();
        let url = Url::parse(&text("endpoint")).expect("the endpoint is a URL");
        let address = url.socket_addrs(|| None).expect("the endpoint has an address")[0];
        Client::new(address, &text("tenant"), Some(&text("api_key")))
    }

    /// The program.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}

pub(crate) fn settings(stage: &Stage, address: SocketAddr, ops: SocketAddr) -> Vec<(&'static str, String)> {
    let config = stage.config();
    let file =
        |path: &Option<PathBuf>| path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let mut settings = vec![
        ("STAGEDOOR_SERVER__LISTEN", address.to_string()),
        ("STAGEDOOR_SERVER__PUBLIC_URL", format!("http://{address}")),
        ("STAGEDOOR_SERVER__DRAIN_GRACE_MS", "0".to_owned()),
        ("STAGEDOOR_OPS__LISTEN", ops.to_string()),
        ("STAGEDOOR_STORAGE__DATABASE_URL", config.storage.database_url.expose().to_owned()),
        ("STAGEDOOR_STORAGE__ACQUIRE_TIMEOUT_MS", config.storage.acquire_timeout_ms.to_string()),
        ("STAGEDOOR_STORAGE__MAX_CONNECTIONS", config.storage.max_connections.to_string()),
        ("STAGEDOOR_ENCRYPTION__KEY_FILE", file(&config.encryption.key_file)),
        ("STAGEDOOR_ENCRYPTION__API_KEY_PEPPER_FILE", file(&config.encryption.api_key_pepper_file)),
        ("STAGEDOOR_PROVIDERS__ALLOW_PLAIN_HTTP_LOOPBACK", "true".to_owned()),
        ("STAGEDOOR_RATE_LIMITING__PER_IP_PER_SECOND", "1000000".to_owned()),
        ("STAGEDOOR_RATE_LIMITING__PER_IP_BURST", "1000000".to_owned()),
        ("STAGEDOOR_PRIVACY__SETTLE_MS", config.privacy.settle_ms.to_string()),
        ("STAGEDOOR_CACHE__COMMAND_TIMEOUT_MS", config.cache.command_timeout_ms.to_string()),
        ("STAGEDOOR_RATE_LIMITING__COMMAND_TIMEOUT_MS", config.rate_limiting.command_timeout_ms.to_string()),
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "warn".to_owned()),
    ];
    if let Some(redis) = &config.cache.redis_url {
        settings.push(("STAGEDOOR_CACHE__REDIS_URL", redis.expose().to_owned()));
        settings.push(("STAGEDOOR_RATE_LIMITING__REDIS_URL", redis.expose().to_owned()));
    }
    settings
}

async fn is_ready(ops: SocketAddr) -> bool {
    let Ok(stream) = tokio::net::TcpStream::connect(ops).await else { return false };
    drop(stream);
    client::get(ops, "/readyz").await.status == 200
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
    listener.local_addr().expect("a listener has an address")
}

/// The program beside this one, `target/PROFILE/NAME`; tests are one folder further down.
fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its own program");
    let folder = own.parent().expect("a program is in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("deps is in target") } else { folder };
    let program = folder.join(name);
    assert!(
        program.exists(),
        "{} is missing; build it with: cargo build -p stagedoor-gateway -p stagedoor-keeper --bins",
        program.display()
    );
    program
}
