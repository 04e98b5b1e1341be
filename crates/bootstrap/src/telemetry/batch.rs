//! Log lines written in batches: a line for each request would otherwise be a system call for each. Warnings and
//! errors do not wait. A process that is killed loses at most what came in the last moment.

use std::fmt;
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

/// Where lines gather. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct BatchedLines {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Vec<u8>>,
    filled: Condvar,
    /// Held while writing, so that batches keep their order.
    output: Mutex<Output>,
}

struct Output {
    /// The batch that is written; empty otherwise.
    batch: Vec<u8>,
    to: Box<dyn Write + Send>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("bytes", &self.batch.len()).finish_non_exhaustive()
    }
}

impl BatchedLines {
    /// Starts the thread that writes to `output` what has waited long enough.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::new(output);
        let shared = Arc::downgrade(&lines.shared);
        std::thread::Builder::new().name("log lines".to_owned()).spawn(move || write_in_time(&shared))?;
        Ok(lines)
    }

    fn new(output: impl Write + Send + 'static) -> Self {
        let output = Mutex::new(Output { batch: Vec::new(), to: Box::new(output) });
        Self { shared: Arc::new(Shared { waiting: Mutex::default(), filled: Condvar::new(), output }) }
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

impl<'a> MakeWriter<'a> for BatchedLines {
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
        let mut output = lock(&self.output);
        let Output { batch, to } = &mut *output;
        std::mem::swap(batch, &mut *lock(&self.waiting));
        // There is nowhere to say that there is nowhere to say anything.
        let _ = to.write_all(batch).and_then(|()| to.flush());
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Sends each batch on.
    struct Batches(mpsc::Sender<String>);

    impl Write for Batches {
        fn write(&mut self, batch: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(batch.to_vec()).unwrap()).unwrap();
            Ok(batch.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(lines: &BatchedLines, log: impl FnOnce()) {
        let layer = tracing_subscriber::fmt::layer()
            .without_time()
            .with_level(false)
            .with_target(false)
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(layer.with_writer(lines.clone()));
        tracing::subscriber::with_default(subscriber, log);
    }

    #[test]
    fn what_may_wait_waits_for_what_may_not_and_goes_before_it() {
        let (sender, batches) = mpsc::channel();
        let lines = BatchedLines::new(Batches(sender));
        log(&lines, || {
            tracing::info!("one");
            tracing::info!("two");
            assert!(batches.try_recv().is_err(), "a line did not wait");
            tracing::warn!("three");
        });
        assert_eq!(batches.try_iter().collect::<Vec<_>>(), ["one\ntwo\nthree\n"]);
        log(&lines, || tracing::info!("four"));
        lines.flush();
        assert_eq!(batches.try_iter().collect::<Vec<_>>(), ["four\n"]);
    }

    #[test]
    fn a_full_batch_leaves_at_once() {
        let (sender, batches) = mpsc::channel();
        let lines = BatchedLines::new(Batches(sender));
        log(&lines, || tracing::info!("{}", "x".repeat(FULL)));
        assert_eq!(batches.try_iter().map(|batch| batch.len()).sum::<usize>(), FULL + 1);
    }

    #[test]
    fn a_lonely_line_leaves_by_itself() {
        let (sender, batches) = mpsc::channel();
        let lines = BatchedLines::start(Batches(sender)).unwrap();
        log(&lines, || tracing::info!("alone"));
        assert_eq!(batches.recv().unwrap(), "alone\n");
    }
}
