//! A private PostgreSQL server: found or refused with the package to install, started on loopback and a private
//! socket, watched, stopped with us, and recovered after a kill. `cluster` has its files, `launch` its start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::PrivateServerError;
use super::cluster::{ClusterFolder, SUPERUSER};
use super::launch::{START_PATIENCE, start_and_wait, start_on_a_port};
use super::locate::{self, PostgresInstallation};
use super::process::ServerProcess;
use crate::config::home_directory;

const WATCH_INTERVAL: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Fast shutdown, then immediate shutdown; both together stay under two seconds.
const CLEAN_STOP: &[(Signal, Duration)] =
    &[(Signal::INT, Duration::from_millis(1400)), (Signal::QUIT, Duration::from_millis(400))];
const HASTY_STOP: &[(Signal, Duration)] = &[(Signal::QUIT, Duration::from_secs(1))];

/// Where the cluster lives and how it runs.
#[derive(Debug, Clone)]
pub struct PrivatePostgresOptions {
    /// The folder that holds the cluster, its log and its lock; made where missing.
    pub data_dir: PathBuf,
    /// The folder of `initdb` and `postgres`; searched for when absent.
    pub bin_dir: Option<PathBuf>,
    /// The loopback port; any free one when absent.
    pub port: Option<u16>,
    /// Whether acknowledged commits survive a power cut; they survive a killed server in any case. Tests say no and
    /// are faster for it.
    pub durable: bool,
    /// How many connections it allows.
    pub max_connections: u32,
}

impl PrivatePostgresOptions {
    /// For the demo: data is kept safely.
    pub fn durable(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), bin_dir: None, port: None, durable: true, max_connections: 100 }
    }

    /// For tests: no fsync, more connections.
    pub fn for_tests(data_dir: impl Into<PathBuf>) -> Self {
        Self { durable: false, max_connections: 300, ..Self::durable(data_dir) }
    }
}

/// `/var/lib/stagedoor` for root, else `$XDG_DATA_HOME/stagedoor` or `~/.local/share/stagedoor`.
pub fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/stagedoor");
    }
    crate::config::data_home().unwrap_or_else(|| home_directory().join(".local/share")).join("stagedoor")
}

/// A running private server. Dropping it stops it.
#[derive(Debug)]
pub struct PrivatePostgres {
    options: PrivatePostgresOptions,
    folder: ClusterFolder,
    installation: PostgresInstallation,
    port: u16,
    superuser_password: SecretString,
    role_password: SecretString,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    process: Arc<ServerProcess>,
    stopped: bool,
}

impl PrivatePostgres {
    /// Makes the cluster where there is none, stops what a killed predecessor left, and starts the server.
    pub async fn start(options: PrivatePostgresOptions) -> Result<Self, PrivateServerError> {
        let installed = locate::postgres(options.bin_dir.as_deref())?;
        let folder = ClusterFolder::hold(&options.data_dir)?;
        folder.stop_orphan().await?;
        let version = folder.version().unwrap_or_else(|| installed[0].major_version.clone());
        let installation = fitting(installed, &version, &folder)?;
        if folder.version().is_none() {
            tracing::info!(version = installation.major_version, folder = %folder.data().display(), "making a PostgreSQL cluster");
            folder.initialise(&installation, options.durable)?;
        }
        let superuser_password = SecretString::from(folder.superuser_password()?);
        let role_password = SecretString::from(folder.role_password()?);
        let (process, port) = start_on_a_port(&folder, &installation, &options).await?;
        let state = Mutex::new(State { process: Arc::new(process), stopped: false });
        Ok(Self { options, folder, installation, port, superuser_password, role_password, state })
    }

    /// Removes the cluster in `data_dir`, with everything in it; refused while a process of ours uses it.
    pub async fn erase(data_dir: &Path) -> Result<(), PrivateServerError> {
        let folder = ClusterFolder::hold(data_dir)?;
        folder.stop_orphan().await?;
        folder.erase()
    }

    /// The loopback port, which stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.process().pid()
    }

    /// The superuser's connection, to the database `postgres`. It holds a password: not for logs.
    pub fn admin_url(&self) -> String {
        self.url_for("postgres", SUPERUSER)
    }

    /// A connection of `role` to `database`. Roles other than the superuser need [`Self::allow_login`] once.
    pub fn url_for(&self, database: &str, role: &str) -> String {
        let password = if role == SUPERUSER { &self.superuser_password } else { &self.role_password };
        format!("postgres://{role}:{}@127.0.0.1:{}/{database}", password.expose_secret(), self.port)
    }

    /// The password that roles log in with after [`Self::allow_login`].
    pub fn role_password(&self) -> &SecretString {
        &self.role_password
    }

    /// Where a program of the same installation is, such as `psql` or `pg_dump`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.installation.program(name)
    }

    /// Makes an empty database, owned by the superuser; a database of that name may exist already.
    pub async fn create_database(&self, name: &str) -> Result<(), PrivateServerError> {
        let name = plain(name)?;
        let existing = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
        if self.sql("postgres", &existing).await?.is_empty() {
            self.sql("postgres", &format!("CREATE DATABASE {name}")).await?;
        }
        Ok(())
    }

    /// Lets an existing role log in with the cluster's role password.
    pub async fn allow_login(&self, role: &str) -> Result<(), PrivateServerError> {
        let (role, password) = (plain(role)?, self.role_password.expose_secret());
        self.sql("postgres", &format!("ALTER ROLE {role} LOGIN PASSWORD '{password}'")).await.map(drop)
    }

    /// Runs SQL as the superuser through `psql`; answers with its unaligned output.
    pub async fn sql(&self, database: &str, sql: &str) -> Result<String, PrivateServerError> {
        let mut command = tokio::process::Command::new(self.installation.program("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", SUPERUSER, "-w"])
            .args(["-p", &self.port.to_string(), "-d", database, "-f", "-"])
            .env("PGPASSWORD", self.superuser_password.expose_secret())
            .kill_on_drop(true)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        // The statement travels by standard input, because arguments are visible to every user of the machine.
        let mut child = command.spawn().map_err(PrivateServerError::io("start psql"))?;
        let written = match child.stdin.take() {
            Some(mut input) => tokio::io::AsyncWriteExt::write_all(&mut input, sql.as_bytes()).await,
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        let output = child.wait_with_output().await.map_err(PrivateServerError::io("run psql"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(PrivateServerError::CommandFailed { program: "psql", output: text });
        }
        written.map_err(PrivateServerError::io("write to psql"))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Starts the server again whenever it ends on its own, until `shutdown`. For a task of the caller.
    pub async fn keep_running(self: Arc<Self>, shutdown: CancellationToken) {
        let mut pause = WATCH_INTERVAL;
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let Some(status) = self.process().exit_status() else { continue };
            if self.state().stopped {
                return;
            }
            tracing::error!(%status, "the private PostgreSQL server ended; starting it again");
            match self.start_again().await {
                Ok(()) => pause = WATCH_INTERVAL,
                Err(error) => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tracing::error!(
                        error = %stagedoor_domain::error::Chain(&error),
                        "it could not be started again"
                    );
                }
            }
        }
    }

    /// Kills the server as a crash would; for tests of what happens then.
    pub async fn kill(&self) {
        let process = self.process();
        process.signal(Signal::KILL);
        process.wait(START_PATIENCE).await;
    }

    /// Stops the server if it runs, and starts it again on the same port.
    pub async fn restart(&self) -> Result<(), PrivateServerError> {
        self.state().stopped = false;
        self.process().stop(CLEAN_STOP).await;
        self.start_again().await
    }

    /// Ends the server: a fast shutdown, an immediate one when that takes too long. At most two seconds.
    pub async fn stop(&self) {
        self.state().stopped = true;
        self.process().stop(self.stop_plan()).await;
    }

    async fn start_again(&self) -> Result<(), PrivateServerError> {
        let process = start_and_wait(&self.folder, &self.installation, &self.options, self.port).await?;
        let mut state = self.state();
        // A stop that came meanwhile found only the old process; this one ends by being dropped.
        if !state.stopped {
            state.process = Arc::new(process);
        }
        Ok(())
    }

    fn stop_plan(&self) -> &'static [(Signal, Duration)] {
        if self.options.durable { CLEAN_STOP } else { HASTY_STOP }
    }

    fn process(&self) -> Arc<ServerProcess> {
        self.state().process.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.process().stop_blocking(self.stop_plan());
    }
}

fn fitting(
    installed: Vec<PostgresInstallation>,
    version: &str,
    folder: &ClusterFolder,
) -> Result<PostgresInstallation, PrivateServerError> {
    let found = installed.iter().map(|one| one.major_version.as_str()).collect::<Vec<_>>().join(", ");
    installed.into_iter().find(|one| one.major_version == version).ok_or_else(|| {
        PrivateServerError::VersionMismatch { folder: folder.data(), wanted: version.to_owned(), found }
    })
}

/// A name that needs no quoting in SQL.
fn plain(name: &str) -> Result<&str, PrivateServerError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.is_empty() && name.len() <= 63 && name.bytes().all(allowed) {
        Ok(name)
    } else {
        Err(PrivateServerError::InvalidName(name.to_owned()))
    }
}
