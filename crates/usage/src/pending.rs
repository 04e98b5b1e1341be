//! Lines that wait to be written: bounded, the oldest go first when there are too many.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stagedoor_domain::TenantContext;
use stagedoor_storage::usage::MinuteLine;

/// Lines of one tenant.
pub(crate) struct Lines {
    pub(crate) ctx: TenantContext,
    pub(crate) lines: Vec<MinuteLine>,
}

impl Lines {
    /// What is lost if these are: calls and refusals.
    pub(crate) fn events(&self) -> u64 {
        self.lines.iter().map(|line| line.figures.calls + line.figures.denied.total()).sum()
    }
}

/// What waits, the oldest first.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Lines>,
    lines: usize,
}

impl Pending {
    /// Adds lines behind the others, and answers how many calls and refusals had to go for that.
    pub(crate) fn push(&self, new: Lines, most: usize) -> u64 {
        let mut queue = self.lock();
        queue.lines += new.lines.len();
        queue.waiting.push_back(new);
        let mut lost = 0;
        while queue.lines > most {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.lines -= oldest.lines.len();
            lost += oldest.events();
        }
        lost
    }

    /// Puts back what could not be written now.
    pub(crate) fn push_front(&self, lines: Lines) {
        let mut queue = self.lock();
        queue.lines += lines.lines.len();
        queue.waiting.push_front(lines);
    }

    /// The oldest lines, with those of the same tenant that follow at once, up to about `most`.
    pub(crate) fn pop(&self, most: usize) -> Option<Lines> {
        let mut queue = self.lock();
        let mut first = queue.waiting.pop_front()?;
        while let Some(next) = queue.waiting.front()
            && next.ctx.tenant_id() == first.ctx.tenant_id()
            && first.lines.len() + next.lines.len() <= most
        {
            let Some(mut next) = queue.waiting.pop_front() else { break };
            first.lines.append(&mut next.lines);
        }
        queue.lines -= first.lines.len();
        Some(first)
    }

    /// Lines that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().lines
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use stagedoor_crypto::SystemEntropy;
    use stagedoor_domain::{CallId, SystemClock, Tenant, TenantId, TenantSettings, TenantStatus};
    use stagedoor_storage::usage::Figures;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    fn context() -> TenantContext {
        let tenant = Tenant {
            id: TenantId::generate(&SystemClock::new(), &SystemEntropy),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        };
        TenantContext::for_job(
            Arc::new(tenant),
            "test",
            CallId::generate(&SystemClock::new(), &SystemEntropy),
        )
    }

    fn lines(ctx: &TenantContext, number: usize, calls: u64) -> Lines {
        let line = MinuteLine {
            starts_at: DateTime::UNIX_EPOCH,
            batch: 1,
            user: None,
            principal: "key:a".to_owned(),
            tool: "search",
            content: "none",
            figures: Figures { calls, ..Figures::default() },
            latency: Vec::new(),
        };
        Lines { ctx: ctx.clone(), lines: vec![line; number] }
    }

    #[test]
    fn lines_of_one_tenant_that_follow_each_other_go_together() {
        let (pending, ada, bob) = (Pending::default(), context(), context());
        for (ctx, number) in [(&ada, 2), (&ada, 3), (&bob, 1), (&ada, 4)] {
            assert_eq!(pending.push(lines(ctx, number, 1), 100), 0);
        }
        let mut popped = Vec::new();
        while let Some(lines) = pending.pop(5) {
            popped.push(lines.lines.len());
        }
        assert_eq!((popped, pending.len()), (vec![5, 1, 4], 0));
    }

    #[test]
    fn the_oldest_make_room_and_what_is_lost_is_known() {
        let (pending, ctx) = (Pending::default(), context());
        assert_eq!(pending.push(lines(&ctx, 2, 7), 4), 0);
        assert_eq!(pending.push(lines(&ctx, 3, 1), 4), 14);
        assert_eq!(pending.len(), 3);
        pending.push_front(lines(&ctx, 1, 1));
        assert_eq!(pending.pop(100).map(|lines| lines.lines.len()), Some(4));
    }
}
