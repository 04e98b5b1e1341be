//! Commands of the real programs that end by themselves, such as `stagedoor import`, set up for a stage.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{DemoProcess, Program, settings};
use crate::stage::Stage;

/// Commands of one process get files of their own.
static COMMANDS: AtomicU64 = AtomicU64::new(0);

/// A command that runs.
#[derive(Debug)]
pub struct Command {
    program: Program,
    output: PathBuf,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it said on standard error.
    pub said: String,
}

impl Stage {
    /// Begins `stagedoor ARGUMENTS` with this stage's configuration, and further settings on top of it.
    ///
    /// # Panics
    /// If the program was not built.
    pub fn begin(&self, arguments: &[&str], variables: &[(&str, String)]) -> Command {
        let mut all = settings(self, Command::NOWHERE, Command::NOWHERE);
        all.extend(variables.iter().map(|(name, value)| (*name, value.clone())));
        Command::start(self, "stagedoor", arguments, &all)
    }

    /// Runs `stagedoor ARGUMENTS` with this stage's configuration to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        self.begin(arguments, &[]).finished().await
    }
}

impl DemoProcess {
    /// Runs `stagedoor-keeper ARGUMENTS` on the demo's data to its end.
    ///
    /// # Panics
    /// If the greeting does not say with which configuration, or the program was not built.
    pub async fn keep(&self, arguments: &[&str]) -> Finished {
        let config = self.greeting["keeper_config"].as_str().expect("the greeting names a file");
        let folder = Path::new(config).parent().expect("it is in a folder");
        let arguments = [&["--config", config], arguments].concat();
        Command::start_in(folder, "stagedoor-keeper", &arguments, &[]).finished().await
    }
}

impl Command {
    /// What a command does not serve on.
    pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    pub(crate) fn start(
        stage: &Stage,
        program: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> Self {
        Self::start_in(stage.folder(), program, arguments, variables)
    }

    /// Starts it with its output in a folder.
    pub(crate) fn start_in(
        folder: &Path,
        program: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> Self {
        let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
        let output = folder.join(format!("command-{number}.out"));
        let file = std::fs::File::create(&output).expect("an output file can be made");
        let log = output.with_extension("log");
        let program = Program::start_of(program, arguments, variables, &log, Stdio::from(file));
        Self { program, output }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        self.program.said()
    }

    /// Waits for its end.
    pub async fn finished(mut self) -> Finished {
        let status = self.program.ended().await;
        let output = std::fs::read_to_string(&self.output).unwrap_or_default();
        Finished { code: status.code(), output, said: self.program.said() }
    }
}

impl Finished {
    /// Its output as one JSON value a line.
    ///
    /// # Panics
    /// If a line is something else.
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.output.lines().map(parse).collect()
    }
}
