//! A private Redis or Valkey server for tests: loopback, nothing written to disk, gone with the test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PrivateServerError;
use super::locate;
use super::network::{PORT_ATTEMPTS, free_port};
use super::process::{ServerProcess, log_tail};

const START_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
const STOP: &[(Signal, Duration)] = &[(Signal::TERM, Duration::from_millis(1500))];
const PACKAGES: &str = "apt-get install redis-server, dnf install valkey, or brew install valkey";

/// A running private Redis. Dropping it stops it.
#[derive(Debug)]
pub struct PrivateRedis {
    program: PathBuf,
    folder: PathBuf,
    arguments: Vec<String>,
    port: u16,
    process: Mutex<Arc<ServerProcess>>,
}

impl PrivateRedis {
    /// Starts a server whose log and working folder are `folder`.
    pub async fn start(folder: &Path) -> Result<Self, PrivateServerError> {
        Self::start_with(folder, &[]).await
    }

    /// The same with extra arguments, such as `--maxmemory-policy allkeys-lru`.
    pub async fn start_with(folder: &Path, arguments: &[&str]) -> Result<Self, PrivateServerError> {
        let program = locate::program("redis-server", &["redis-server", "valkey-server"], PACKAGES)?;
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            match start_and_wait(&program, folder, &arguments, port).await {
                Ok(process) => {
                    let process = Mutex::new(Arc::new(process));
                    return Ok(Self { program, folder: folder.to_owned(), arguments, port, process });
                }
                Err(error) if attempt == PORT_ATTEMPTS || !error.to_string().contains("in use") => {
                    return Err(error);
                }
                Err(_) => attempt += 1,
            }
        }
    }

    /// `redis://127.0.0.1:PORT/`, the same over restarts.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.process().pid()
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it as a crash would; everything it held is gone.
    pub async fn kill(&self) {
        let process = self.process().clone();
        process.signal(Signal::KILL);
        process.wait(START_PATIENCE).await;
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn pause(&self) {
        self.process().signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) {
        self.process().signal(Signal::CONT);
    }

    /// Stops it if it runs, and starts it empty on the same port.
    pub async fn restart(&self) -> Result<(), PrivateServerError> {
        self.stop().await;
        let process = start_and_wait(&self.program, &self.folder, &self.arguments, self.port).await?;
        *self.process() = Arc::new(process);
        Ok(())
    }

    /// Ends it.
    pub async fn stop(&self) {
        let process = self.process().clone();
        process.stop(STOP).await;
    }

    fn process(&self) -> MutexGuard<'_, Arc<ServerProcess>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn start_and_wait(
    program: &Path,
    folder: &Path,
    arguments: &[String],
    port: u16,
) -> Result<ServerProcess, PrivateServerError> {
    let log = folder.join("redis.log");
    let written = log.metadata().map_or(0, |metadata| metadata.len());
    let mut command = Command::new(program);
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--daemonize", "no"])
        .args(["--save", "", "--appendonly", "no", "--databases", "16", "--dir"])
        .arg(folder)
        .args(arguments);
    let process = ServerProcess::start(command, &log, "TERM")?;
    let ready = async {
        while !answers_ping(port).await {
            if let Some(status) = process.exit_status() {
                return Err(format!("it ended with {status}"));
            }
            tokio::time::sleep(POLL).await;
        }
        // Another server may have taken the port in the meantime, and it would answer as well.
        process.exit_status().map_or(Ok(()), |status| Err(format!("it ended with {status}")))
    };
    let outcome = tokio::time::timeout(START_PATIENCE, ready)
        .await
        .unwrap_or_else(|_| Err(format!("it was not ready within {} s", START_PATIENCE.as_secs())));
    let failed =
        |reason| PrivateServerError::NotStarted { program: "Redis", reason, log: log_tail(&log, written) };
    outcome.map_err(failed)?;
    Ok(process)
}

async fn answers_ping(port: u16) -> bool {
    let ping = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0_u8; 7];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(&answer == b"+PONG\r\n")
    };
    ping.await.unwrap_or(false)
}
