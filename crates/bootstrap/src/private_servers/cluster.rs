//! The files of a private PostgreSQL cluster: making them, holding the folder for one process of ours, and
//! dealing with what a killed process left behind. Starting the server is in `postgres`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::PrivateServerError;
use super::account::ServerAccount;
use super::locate::PostgresInstallation;
use super::network::random_password;

/// The database superuser of every private cluster.
pub(super) const SUPERUSER: &str = "postgres";

const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A folder with at most one cluster, held by this process until it is dropped.
#[derive(Debug)]
pub(super) struct ClusterFolder {
    root: PathBuf,
    account: ServerAccount,
    _lock: File,
}

impl ClusterFolder {
    /// Makes the folder where needed and takes its lock, which the kernel gives back however we end.
    pub(super) fn hold(root: &Path) -> Result<Self, PrivateServerError> {
        let make = PrivateServerError::io(format!("make the folder {}", root.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(make)?;
        let root = root.canonicalize().map_err(PrivateServerError::io(format!("find {}", root.display())))?;
        let lock = take_lock(&root)?;
        let account = ServerAccount::choose();
        account.reach(&root, "PostgreSQL")?;
        Ok(Self { root, account, _lock: lock })
    }

    pub(super) fn account(&self) -> ServerAccount {
        self.account
    }

    /// The cluster's own folder (`PGDATA`).
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("postgres")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Where the server puts its socket; `None` if the path would not fit a socket address (108 bytes).
    pub(super) fn socket_dir(&self) -> Result<Option<PathBuf>, PrivateServerError> {
        let folder = self.root.join("run");
        if folder.as_os_str().len() + "/.s.PGSQL.65535.lock".len() > 107 {
            return Ok(None);
        }
        fs::create_dir_all(&folder).map_err(PrivateServerError::io(format!("make {}", folder.display())))?;
        self.account.own(&folder, 0o700)?;
        Ok(Some(folder))
    }

    /// The superuser's password, made at the first call and kept readable for this account only.
    pub(super) fn superuser_password(&self) -> Result<String, PrivateServerError> {
        self.kept_password("superuser-password")
    }

    /// The password of the roles that services log in with.
    pub(super) fn role_password(&self) -> Result<String, PrivateServerError> {
        self.kept_password("role-password")
    }

    /// The major version that made the cluster; `None` while there is none.
    pub(super) fn version(&self) -> Option<String> {
        fs::read_to_string(self.data().join("PG_VERSION")).ok().map(|text| text.trim().to_owned())
    }

    /// Makes a cluster. It appears under its final name only when it is whole.
    pub(super) fn initialise(
        &self,
        installation: &PostgresInstallation,
        durable: bool,
    ) -> Result<(), PrivateServerError> {
        self.superuser_password()?;
        let unfinished = self.root.join("postgres.unfinished");
        remove_folder(&unfinished)?;
        fs::create_dir(&unfinished)
            .map_err(PrivateServerError::io(format!("make {}", unfinished.display())))?;
        self.account.own(&unfinished, 0o700)?;
        let mut command = Command::new(installation.program("initdb"));
        command
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"])
            .arg("--pwfile")
            .arg(self.root.join("superuser-password"));
        if !durable {
            command.arg("--no-sync");
        }
        self.account.apply(&mut command);
        let output = command.output().map_err(PrivateServerError::io("start initdb"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(PrivateServerError::CommandFailed { program: "initdb", output: text });
        }
        fs::rename(&unfinished, self.data()).map_err(PrivateServerError::io("name the new cluster"))
    }

    /// Removes the cluster and its passwords.
    pub(super) fn erase(&self) -> Result<(), PrivateServerError> {
        remove_folder(&self.data())?;
        remove_folder(&self.root.join("postgres.unfinished"))?;
        for name in ["superuser-password", "role-password", "postgres.log"] {
            let path = self.root.join(name);
            if path.exists() {
                fs::remove_file(&path)
                    .map_err(PrivateServerError::io(format!("remove {}", path.display())))?;
            }
        }
        Ok(())
    }

    /// The server of this cluster that a killed process of ours left running, if there is one.
    pub(super) fn orphan(&self) -> Option<Pid> {
        let pid = ServerStatus::read(&self.data())?.pid;
        let pid = Pid::from_raw(pid)?;
        (test_kill_process(pid).is_ok() && serves(pid, &self.data())).then_some(pid)
    }

    /// Stops such a server and waits for its end; its successor must not start beside it.
    pub(super) async fn stop_orphan(&self) -> Result<(), PrivateServerError> {
        let Some(pid) = self.orphan() else { return Ok(()) };
        tracing::warn!(
            pid = pid.as_raw_nonzero().get(),
            "stopping the PostgreSQL server of a process that was killed"
        );
        for signal in [Signal::INT, Signal::QUIT] {
            let _ = kill_process(pid, signal);
            let ended = async {
                while self.orphan().is_some() {
                    tokio::time::sleep(POLL).await;
                }
            };
            if tokio::time::timeout(ORPHAN_PATIENCE, ended).await.is_ok() {
                return Ok(());
            }
        }
        Err(PrivateServerError::FolderInUse { folder: self.data(), pid: Some(pid.as_raw_nonzero().get()) })
    }

    fn kept_password(&self, name: &str) -> Result<String, PrivateServerError> {
        let path = self.root.join(name);
        let action = || PrivateServerError::io(format!("keep a password in {}", path.display()));
        if let Ok(text) = fs::read_to_string(&path)
            && !text.trim().is_empty()
        {
            return Ok(text.trim().to_owned());
        }
        let password = random_password()?;
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(action())?;
        writeln!(file, "{password}").map_err(action())?;
        self.account.own(&path, 0o600)?;
        Ok(password)
    }
}

/// What the server says of itself in `postmaster.pid` (PostgreSQL `miscadmin.h`, `LOCK_FILE_LINE_…`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerStatus {
    pub(super) pid: i32,
    pub(super) ready: bool,
}

impl ServerStatus {
    pub(super) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        Some(Self { pid, ready: lines.nth(6).is_some_and(|status| status.trim() == "ready") })
    }
}

/// Whether `pid` is a server of the cluster in `data`: after a reboot the number may be anybody's.
fn serves(pid: Pid, data: &Path) -> bool {
    let pid = pid.as_raw_nonzero();
    if Path::new("/proc/self").exists() {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data);
    }
    let output = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&*data.to_string_lossy()))
}

fn take_lock(root: &Path) -> Result<File, PrivateServerError> {
    let path = root.join("stagedoor.lock");
    let action = || PrivateServerError::io(format!("lock {}", path.display()));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(action())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(PrivateServerError::FolderInUse {
                folder: root.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(fs::TryLockError::Error(error)) => return Err(action()(error)),
    }
    let write = |file: &mut File| -> std::io::Result<()> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(action())?;
    Ok(file)
}

fn remove_folder(path: &Path) -> Result<(), PrivateServerError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(PrivateServerError::io(format!("remove {}", path.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ServerStatus;

    #[test]
    fn a_server_is_ready_only_when_its_eighth_line_says_so() {
        let starting = "4711\n/data\n1700000000\n5432\n/run\n127.0.0.1\n  12 34\nstarting\n";
        assert_eq!(ServerStatus::parse(starting), Some(ServerStatus { pid: 4711, ready: false }));
        let ready = starting.replace("starting", "ready   ");
        assert_eq!(ServerStatus::parse(&ready), Some(ServerStatus { pid: 4711, ready: true }));
        assert_eq!(ServerStatus::parse("4711\n"), Some(ServerStatus { pid: 4711, ready: false }));
        assert_eq!(ServerStatus::parse(""), None);
    }
}
