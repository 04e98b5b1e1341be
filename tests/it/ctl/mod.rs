//! `stagedoorctl` against the real gateway: what operators do, in the words in which they do it.

mod files;
mod keys;
mod quickstart;
mod reading;
mod roles;

use std::ffi::OsString;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use stagedoor_crypto::SystemEntropy;
use stagedoor_ctl::{Exit, Surroundings, Terminal, run};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{Stage, TestGateway};
use tempfile::TempDir;

/// A gateway with its admin API, and an operator at a shell.
pub(crate) struct Desk {
    pub(crate) stage: Stage,
    pub(crate) gateway: TestGateway,
    pub(crate) key: String,
    home: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) output: String,
    pub(crate) messages: String,
}

impl Desk {
    pub(crate) async fn set() -> Self {
        let stage = Stage::start().await;
        let gateway = TestGateway::start_with(&stage, |config| stage.with_admin(config)).await;
        let key = stage.admin_key(AdminRole::PlatformOperator, None).await;
        Self { stage, gateway, key, home: tempfile::tempdir().unwrap() }
    }

    /// A command of the operator's.
    pub(crate) async fn ctl(&self, line: &str) -> Ended {
        self.ctl_as(&self.key, line).await
    }

    /// A command of whoever has that key; its words have blanks between.
    pub(crate) async fn ctl_as(&self, key: &str, line: &str) -> Ended {
        self.ctl_with(key, line, "").await
    }

    /// The same with something on standard input.
    pub(crate) async fn ctl_with(&self, key: &str, line: &str, input: &str) -> Ended {
        self.ctl_at(Terminal::default(), key, line, input).await
    }

    /// A command of the operator's at a terminal, where questions can be asked.
    pub(crate) async fn ctl_asked(&self, line: &str, answers: &str) -> Ended {
        self.ctl_at(Terminal { input: true, output_width: Some(100) }, &self.key, line, answers).await
    }

    async fn ctl_at(&self, terminal: Terminal, key: &str, line: &str, input: &str) -> Ended {
        let server = format!("http://{}", self.gateway.admin_address().unwrap());
        let (key, home) = (key.to_owned(), self.home.path().display().to_string());
        let (output, messages) = (Shared::default(), Shared::default());
        let mut surroundings = Surroundings {
            environment: Box::new(move |name| match name {
                "STAGEDOOR_SERVER" => Some(server.clone()),
                "STAGEDOOR_ADMIN_KEY" => Some(key.clone()),
                "HOME" => Some(home.clone()),
                _ => None,
            }),
            input: Box::new(Cursor::new(input.to_owned())),
            output: Box::new(output.clone()),
            messages: Box::new(messages.clone()),
            terminal,
            clock: Arc::clone(self.stage.clock()),
            entropy: Arc::new(SystemEntropy),
        };
        let words = std::iter::once("stagedoorctl").chain(line.split_whitespace());
        let arguments: Vec<OsString> = words.map(OsString::from).collect();
        let exit = Box::pin(run(arguments, &mut surroundings)).await;
        Ended { exit, output: output.text(), messages: messages.text() }
    }

    /// The answer of a command of the operator's, which has to succeed.
    pub(crate) async fn json(&self, line: &str) -> Value {
        self.json_as(&self.key, line).await
    }

    /// The answer of a command of whoever has that key, which has to succeed.
    pub(crate) async fn json_as(&self, key: &str, line: &str) -> Value {
        let ended = self.ctl_as(key, &format!("{line} --output json")).await;
        assert_eq!(ended.exit, Exit::Done, "{line}: {ended:?}");
        serde_json::from_str(&ended.output).unwrap_or_else(|error| panic!("{line}: {error}: {ended:?}"))
    }

    /// A file for a command.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// A member of an answer that is text.
pub(crate) fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}: {answer}"))
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
