//! How far a run is, for whoever looks on: a bar on a terminal, a plain line every few seconds elsewhere.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Between two plain lines.
const LINES_APART: Duration = Duration::from_secs(5);

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// Nowhere.
    #[default]
    Nothing,
    /// As a bar on standard error.
    Bar,
    /// As lines on standard error.
    Lines,
}

/// The progress of one run.
#[derive(Debug)]
pub(crate) struct Progress {
    job: &'static str,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    /// Made when there is something to show: a run of other runs shows theirs only.
    Bar(OnceLock<ProgressBar>),
    Lines(Mutex<Option<Duration>>),
}

impl Progress {
    pub(crate) fn new(job: &'static str, show: Show) -> Self {
        let shown = match show {
            Show::Nothing => Shown::Nothing,
            Show::Bar => Shown::Bar(OnceLock::new()),
            Show::Lines => Shown::Lines(Mutex::default()),
        };
        Self { job, shown }
    }

    /// `at` is time since any start.
    pub(crate) fn tell(&self, at: Duration, done: u64, total: Option<u64>, what: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(shown) => {
                let bar = shown.get_or_init(|| bar(self.job));
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_message(what.to_owned());
                bar.set_position(done);
            }
            Shown::Lines(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.is_none_or(|last| at.saturating_sub(last) >= LINES_APART) {
                    *last = Some(at);
                    line(&sentence(self.job, done, total, what));
                }
            }
        }
    }

    pub(crate) fn end(&self) {
        if let Shown::Bar(shown) = &self.shown
            && let Some(bar) = shown.get()
        {
            bar.finish_and_clear();
        }
    }
}

fn bar(job: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_prefix(job);
    bar
}

fn sentence(job: &str, done: u64, total: Option<u64>, what: &str) -> String {
    match total {
        Some(total) => format!("{job}: {done} of {total} {what}"),
        None => format!("{job}: {done} {what}"),
    }
}

#[expect(clippy::print_stderr, reason = "progress is for whoever looks on, not for the log")]
fn line(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_line_says_how_many_of_how_many() {
        assert_eq!(sentence("backup", 3, Some(7), "tenants"), "backup: 3 of 7 tenants");
        assert_eq!(sentence("verify", 12, None, "chunks"), "verify: 12 chunks");
    }
}
