//! What the program touches outside itself, handed in: environment, standard streams, terminal, clock, randomness.

use std::fmt;
use std::io::{BufRead, Write};
use std::sync::Arc;

use stagedoor_domain::{Clock, Entropy};
use uuid::Uuid;

/// Everything outside the program but files and the network.
pub struct Surroundings {
    /// An environment variable; `None` if it is not set or empty.
    pub environment: Environment,
    /// Standard input.
    pub input: Box<dyn BufRead + Send>,
    /// Standard output: what was asked for, nothing else.
    pub output: Box<dyn Write + Send>,
    /// Standard error: everything else.
    pub messages: Box<dyn Write + Send>,
    /// Which of them a person sits at.
    pub terminal: Terminal,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids of requests come from.
    pub entropy: Arc<dyn Entropy>,
}

/// Looks an environment variable up.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Which streams a person sits at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Questions can be asked.
    pub input: bool,
    /// Standard output is read by a person: its width in columns.
    pub output_width: Option<u16>,
}

impl Surroundings {
    /// An environment variable.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// Says something beside the answer. A closed standard error is no reason to stop.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = writeln!(self.messages, "{text}");
        let _ = self.messages.flush();
    }

    /// Prints a part of the answer, with an end of line.
    pub(crate) fn print(&mut self, text: &str) -> std::io::Result<()> {
        let written = writeln!(self.output, "{text}").and_then(|()| self.output.flush());
        match written {
            // Whoever reads has seen enough: `stagedoorctl tenants list | head`.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// A random UUID.
    pub(crate) fn random_uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}
