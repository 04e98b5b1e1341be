//! Starting the server of a private cluster: its settings, the race for a port, and the wait until it is ready.

use std::process::Command;
use std::time::Duration;

use super::cluster::{ClusterFolder, ServerStatus};
use super::locate::PostgresInstallation;
use super::network::{PORT_ATTEMPTS, free_port};
use super::process::{ServerProcess, log_tail};
use super::{PrivatePostgresOptions, PrivateServerError};

/// A start waits this long: recovery after a kill replays the write-ahead log first.
pub(super) const START_PATIENCE: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(10);

pub(super) async fn start_on_a_port(
    folder: &ClusterFolder,
    installation: &PostgresInstallation,
    options: &PrivatePostgresOptions,
) -> Result<(ServerProcess, u16), PrivateServerError> {
    let mut attempt = 1;
    loop {
        let port = options.port.map_or_else(free_port, Ok)?;
        match start_and_wait(folder, installation, options, port).await {
            Ok(process) => return Ok((process, port)),
            Err(error) => {
                let taken = error.to_string().contains("Address already in use");
                if !taken || options.port.is_some() || attempt == PORT_ATTEMPTS {
                    return Err(error);
                }
                attempt += 1;
            }
        }
    }
}

pub(super) async fn start_and_wait(
    folder: &ClusterFolder,
    installation: &PostgresInstallation,
    options: &PrivatePostgresOptions,
    port: u16,
) -> Result<ServerProcess, PrivateServerError> {
    let (data, log) = (folder.data(), folder.log());
    let attempts = async {
        loop {
            let written = log.metadata().map_or(0, |metadata| metadata.len());
            let command = server_command(folder, installation, options, port)?;
            let process = ServerProcess::start(command, &log, "INT")?;
            loop {
                let status = ServerStatus::read(&data);
                if status.is_some_and(|status| status.pid == process.pid() && status.ready) {
                    return Ok(process);
                }
                let Some(status) = process.exit_status() else {
                    tokio::time::sleep(POLL).await;
                    continue;
                };
                let said = log_tail(&log, written);
                // The workers of a killed server take a moment to notice, and hold its shared memory until then.
                if said.contains("pre-existing shared memory block")
                    || said.contains("postmaster.pid\" already exists")
                {
                    tokio::time::sleep(POLL * 10).await;
                    break;
                }
                let reason = format!("it ended with {status}");
                return Err(PrivateServerError::NotStarted { program: "PostgreSQL", reason, log: said });
            }
        }
    };
    tokio::time::timeout(START_PATIENCE, attempts).await.unwrap_or_else(|_| {
        let reason = format!("it was not ready within {} s", START_PATIENCE.as_secs());
        Err(PrivateServerError::NotStarted { program: "PostgreSQL", reason, log: log_tail(&folder.log(), 0) })
    })
}

fn server_command(
    folder: &ClusterFolder,
    installation: &PostgresInstallation,
    options: &PrivatePostgresOptions,
    port: u16,
) -> Result<Command, PrivateServerError> {
    let socket_dir = folder.socket_dir()?.map(|path| format!("\"{}\"", path.display())).unwrap_or_default();
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={socket_dir}"),
        "unix_socket_permissions=0700".to_owned(),
        format!("max_connections={}", options.max_connections),
        "password_encryption=scram-sha-256".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "jit=off".to_owned(),
    ];
    if !options.durable {
        // Commits still reach the operating system before they are acknowledged, so a killed server loses none.
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    let mut command = Command::new(installation.program("postgres"));
    command.arg("-D").arg(folder.data());
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    folder.account().apply(&mut command);
    Ok(command)
}
