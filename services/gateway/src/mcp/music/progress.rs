//! Progress of a long call as notifications on its own response stream.

use std::sync::atomic::{AtomicU64, Ordering};

use stagedoor_tools::Progress;

use crate::mcp::surface::Notifier;

/// Tells a client how far a call is, if it asked for that. A client that reads too slowly misses a step rather than
/// holding up the work.
#[derive(Debug)]
pub(super) struct Steps {
    notifier: Notifier,
    /// One more than what was told last; nothing was told at 0.
    told: AtomicU64,
}

impl Steps {
    /// `None` for a client that did not ask.
    pub(super) fn of(notifier: &Notifier) -> Option<Self> {
        notifier.takes_progress().then(|| Self { notifier: notifier.clone(), told: AtomicU64::new(0) })
    }
}

impl Progress for Steps {
    /// What does not grow is not told, as MCP wants it of progress.
    fn report(&self, done: u64, total: Option<u64>, message: &str) {
        let next = done.saturating_add(1);
        if self.told.fetch_max(next, Ordering::AcqRel) < next {
            self.notifier.try_progress(done, total, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn progress_only_grows_and_waits_for_nobody() {
        let (sender, mut receiver) = mpsc::channel::<Value>(2);
        let steps = Steps::of(&Notifier::new(Some(json!("t")), false, sender)).unwrap();
        for done in [0, 0, 3, 2, 5, 6] {
            steps.report(done, Some(6), "Matching tracks.");
        }
        let told: Vec<Value> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        let progress: Vec<&Value> = told.iter().map(|told| &told["params"]["progress"]).collect();
        assert_eq!(progress, [0, 3], "the buffer holds two");
        assert_eq!(told[1]["params"]["progressToken"], "t");
        assert_eq!(
            (&told[1]["params"]["total"], &told[1]["method"]),
            (&json!(6), &json!("notifications/progress"))
        );
        steps.report(7, None, "");
        let last = receiver.try_recv().unwrap();
        assert_eq!(last["params"], json!({ "progressToken": "t", "progress": 7 }));
    }

    #[test]
    fn who_did_not_ask_is_told_nothing() {
        let (sender, _receiver) = mpsc::channel(1);
        assert!(Steps::of(&Notifier::new(None, true, sender)).is_none());
        assert!(Steps::of(&Notifier::silent()).is_none());
    }
}
