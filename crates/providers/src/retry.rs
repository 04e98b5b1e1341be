//! The retry budget: retries are at most a fifth of requests, so that a provider that is down is not hit twice.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a retry costs; a request earns one, so a fifth of requests may be repeated.
const COST: u32 = 5;
/// Saved up at most: ten retries.
const FULL: u32 = 50;

#[derive(Debug)]
pub(crate) struct RetryBudget {
    saved: AtomicU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { saved: AtomicU32::new(FULL) }
    }
}

impl RetryBudget {
    /// Counts a request.
    pub(crate) fn earn(&self) {
        self.saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| (saved < FULL).then_some(saved + 1))
            .ok();
    }

    /// Takes one retry out of the budget, if there is one.
    pub(crate) fn spend(&self) -> bool {
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(COST)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::RetryBudget;

    #[test]
    fn at_most_a_fifth_is_repeated_once_the_reserve_is_gone() {
        let budget = RetryBudget::default();
        let reserve = (0..100).filter(|_| budget.spend()).count();
        assert_eq!(reserve, 10);
        let repeated = (0..100)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert_eq!(repeated, 20);
    }
}
