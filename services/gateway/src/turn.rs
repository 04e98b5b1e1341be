//! Whose turn it is to look something up again that many remember: one request's, until it is done or gives up. One whose
//! client has left gives up too, so that the next looks.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody has the turn.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicBool);

/// A request's turn; given back when dropped.
#[must_use = "a turn that is dropped is given back at once"]
pub(crate) struct Turn<'a>(Option<&'a AtomicBool>);

impl Turns {
    /// The turn, unless somebody has it.
    pub(crate) fn take(&self) -> Option<Turn<'_>> {
        if self.0.swap(true, Ordering::Relaxed) { None } else { Some(Turn(Some(&self.0))) }
    }
}

impl Turn<'_> {
    /// Keeps the turn for good: what is remembered was replaced, and nobody needs to look again.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.0 {
            taken.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_requests_and_comes_back_when_that_leaves() {
        let turns = Turns::default();
        let first = turns.take();
        assert!(first.is_some() && turns.take().is_none());
        drop(first);
        let second = turns.take();
        assert!(second.is_some(), "whoever left has given it back");
        second.unwrap().keep();
        assert!(turns.take().is_none(), "what was replaced is looked up no more");
    }
}
