//! A private PgBouncer in transaction mode in front of a private PostgreSQL, for tests.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use super::account::ServerAccount;
use super::network::{PORT_ATTEMPTS, free_port};
use super::process::{ServerProcess, log_tail};
use super::{PrivatePostgres, PrivateServerError, locate};

const START_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
/// SIGINT waits for clients; SIGTERM ends at once.
const STOP: &[(Signal, Duration)] = &[(Signal::TERM, Duration::from_millis(1500))];
const PACKAGES: &str = "apt-get, dnf or brew install pgbouncer";

/// A running private PgBouncer. Dropping it stops it.
#[derive(Debug)]
pub struct PrivatePgBouncer {
    port: u16,
    role_password: secrecy::SecretString,
    process: ServerProcess,
}

impl PrivatePgBouncer {
    /// Starts one in `folder` for `roles`, which [`PrivatePostgres::allow_login`] has let in.
    pub async fn start(
        folder: &Path,
        postgres: &PrivatePostgres,
        roles: &[&str],
    ) -> Result<Self, PrivateServerError> {
        let program = locate::program("pgbouncer", &["pgbouncer"], PACKAGES)?;
        let account = ServerAccount::choose();
        account.reach(folder, "PgBouncer")?;
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let configuration = write_configuration(folder, account, postgres, roles, port)?;
            let mut command = Command::new(&program);
            command.arg(configuration);
            account.apply(&mut command);
            match start_and_wait(command, folder, port).await {
                Ok(process) => {
                    return Ok(Self { port, role_password: postgres.role_password().clone(), process });
                }
                Err(error) if attempt == PORT_ATTEMPTS || !error.to_string().contains("in use") => {
                    return Err(error);
                }
                Err(_) => attempt += 1,
            }
        }
    }

    /// A connection of `role` to `database` through the pooler.
    pub fn url_for(&self, database: &str, role: &str) -> String {
        format!("postgres://{role}:{}@127.0.0.1:{}/{database}", self.role_password.expose_secret(), self.port)
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it.
    pub async fn stop(&self) {
        self.process.stop(STOP).await;
    }
}

fn write_configuration(
    folder: &Path,
    account: ServerAccount,
    postgres: &PrivatePostgres,
    roles: &[&str],
    port: u16,
) -> Result<std::path::PathBuf, PrivateServerError> {
    let (main, users) = (folder.join("pgbouncer.ini"), folder.join("pgbouncer-users.txt"));
    let mut user_list = String::new();
    for role in roles {
        let _ = writeln!(user_list, "\"{role}\" \"{}\"", postgres.role_password().expose_secret());
    }
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
         max_client_conn = 500\ndefault_pool_size = 20\nignore_startup_parameters = extra_float_digits\n",
        postgres.port(),
        users.display(),
    );
    for (path, content) in [(&main, text), (&users, user_list)] {
        fs::write(path, content).map_err(PrivateServerError::io(format!("write {}", path.display())))?;
        account.own(path, 0o600)?;
    }
    Ok(main)
}

async fn start_and_wait(
    command: Command,
    folder: &Path,
    port: u16,
) -> Result<ServerProcess, PrivateServerError> {
    let log = folder.join("pgbouncer.log");
    let written = log.metadata().map_or(0, |metadata| metadata.len());
    let process = ServerProcess::start(command, &log, "TERM")?;
    let ready = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if process.exit_status().is_some() {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        process.exit_status().map_or(Ok(()), |status| Err(format!("it ended with {status}")))
    };
    let outcome = tokio::time::timeout(START_PATIENCE, ready)
        .await
        .unwrap_or_else(|_| Err(format!("it was not ready within {} s", START_PATIENCE.as_secs())));
    let failed = |reason| PrivateServerError::NotStarted {
        program: "PgBouncer",
        reason,
        log: log_tail(&log, written),
    };
    outcome.map_err(failed)?;
    Ok(process)
}
