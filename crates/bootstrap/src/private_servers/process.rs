//! A child server that ends with us: a clean stop where we can, a watchdog where we were killed.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::PrivateServerError;

const POLL: Duration = Duration::from_millis(10);
const MAX_LOG_BYTES: u64 = 8 * 1024 * 1024;
const LOG_TAIL_LINES: usize = 12;

/// A running child. All signals go through the lock that reaps it, so a reused process id is never hit.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Mutex<Child>,
    watchdog: Mutex<Child>,
    pid: Pid,
}

impl ServerProcess {
    /// Starts `command` in its own process group, so that Ctrl-C in our terminal reaches us first, and beside it a
    /// shell that sends `stop_signal` (`INT`, `TERM`) when our end of its pipe closes, however we ended.
    pub(super) fn start(
        mut command: Command,
        log: &Path,
        stop_signal: &str,
    ) -> Result<Self, PrivateServerError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = open_log(log)?;
        let errors = output.try_clone().map_err(PrivateServerError::io(format!("open {}", log.display())))?;
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(PrivateServerError::io(format!("start {name}")))?;
        match start_watchdog(child.id(), stop_signal) {
            Ok(watchdog) => {
                let pid = Pid::from_child(&child);
                Ok(Self { child: Mutex::new(child), watchdog: Mutex::new(watchdog), pid })
            }
            Err(error) => {
                // Without its watchdog the server could outlive us, so it is not kept.
                let _ = child.kill().and_then(|()| child.wait());
                Err(PrivateServerError::io("start sh")(error))
            }
        }
    }

    /// The process id while it lives.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How it ended, or `None` while it runs.
    pub(super) fn exit_status(&self) -> Option<ExitStatus> {
        lock(&self.child).try_wait().ok().flatten()
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// Sends a signal if it still runs.
    pub(super) fn signal(&self, signal: Signal) {
        let mut child = lock(&self.child);
        if matches!(child.try_wait(), Ok(None)) {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits until it has ended; false if it still runs after `limit`.
    pub(super) async fn wait(&self, limit: Duration) -> bool {
        let ended = async {
            while self.is_running() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(limit, ended).await.is_ok()
    }

    /// Sends each signal in turn until one has worked, giving each its time; the last resort is SIGKILL.
    pub(super) async fn stop(&self, escalation: &[(Signal, Duration)]) {
        for (signal, patience) in escalation {
            self.signal(*signal);
            if self.wait(*patience).await {
                break;
            }
        }
        self.end();
    }

    /// The same without a runtime, for `Drop`.
    pub(super) fn stop_blocking(&self, escalation: &[(Signal, Duration)]) {
        for (signal, patience) in escalation {
            self.signal(*signal);
            let mut waited = Duration::ZERO;
            while self.is_running() && waited < *patience {
                std::thread::sleep(POLL);
                waited += POLL;
            }
            if !self.is_running() {
                break;
            }
        }
        self.end();
    }

    /// Kills what is left of it, and the watchdog with it.
    fn end(&self) {
        for process in [&self.child, &self.watchdog] {
            let mut process = lock(process);
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// The last lines that were written to a log after its first `from` bytes, for an error's text.
pub(super) fn log_tail(log: &Path, from: u64) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let start = usize::try_from(from).unwrap_or_default().min(bytes.len());
    let text = String::from_utf8_lossy(&bytes[start..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

fn start_watchdog(pid: u32, stop_signal: &str) -> std::io::Result<Child> {
    Command::new("sh")
        .args(["-c", r#"read -r _; kill -s "$1" "$0" 2>/dev/null"#, &pid.to_string(), stop_signal])
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn open_log(log: &Path) -> Result<File, PrivateServerError> {
    if log.metadata().is_ok_and(|metadata| metadata.len() > MAX_LOG_BYTES) {
        let _ = std::fs::remove_file(log);
    }
    let opened = OpenOptions::new().create(true).append(true).open(log);
    opened.map_err(PrivateServerError::io(format!("open {}", log.display())))
}

fn lock(process: &Mutex<Child>) -> MutexGuard<'_, Child> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}
