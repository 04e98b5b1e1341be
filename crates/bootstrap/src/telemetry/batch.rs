//! Log lines written in batches: a line for each request would otherwise be a system call for each. Warnings and
//! errors do not wait. A process that is killed loses at most what came in the last moment.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others.
const PATIENCE: Duration = Duration::from_millis(50);
/// So much is written at once without waiting; whoever fills it up writes it, which slows them down to what the
/// reader takes.
const FULL: usize = 32 * 1024;

/// Standard error, in batches. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct BatchedStderr {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Vec<u8>>,
    filled: Condvar,
    /// Held while writing, so that batches keep their order; empty otherwise.
    writing: Mutex<Vec<u8>>,
}

impl BatchedStderr {
    /// Starts the thread that writes what has waited long enough.
    pub(super) fn start() -> io::Result<Self> {
        let batched = Self::default();
        let shared = Arc::downgrade(&batched.shared);
        std::thread::Builder::new().name("log lines".to_owned()).spawn(move || write_in_time(&shared))?;
        Ok(batched)
    }

    /// Writes what waits.
    pub(super) fn flush(&self) {
        self.shared.write();
    }
}

/// One line on its way.
#[derive(Debug)]
pub(super) struct LineWriter<'a> {
    shared: &'a Shared,
    urgent: bool,
}

impl<'a> MakeWriter<'a> for BatchedStderr {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { shared: &self.shared, urgent: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { shared: &self.shared, urgent: *metadata.level() <= Level::WARN }
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = lock(&self.shared.waiting);
        let first = waiting.is_empty();
        waiting.extend_from_slice(line);
        let full = waiting.len() >= FULL;
        drop(waiting);
        if self.urgent || full {
            self.shared.write();
        } else if first {
            self.shared.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shared.write();
        Ok(())
    }
}

impl Shared {
    fn write(&self) {
        let mut batch = lock(&self.writing);
        std::mem::swap(&mut *batch, &mut *lock(&self.waiting));
        // There is nowhere to say that there is nowhere to say anything.
        let _ = io::stderr().write_all(&batch);
        batch.clear();
    }

    /// Waits for a line; false after a while without one.
    fn wait_for_a_line(&self) -> bool {
        let waiting = lock(&self.waiting);
        let waited =
            self.filled.wait_timeout_while(waiting, Duration::from_secs(1), |lines| lines.is_empty());
        let (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !waiting.is_empty()
    }
}

fn write_in_time(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        if shared.wait_for_a_line() {
            std::thread::sleep(PATIENCE);
            shared.write();
        }
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}
