//! One client id's calls: who has a place, who waits for one, and who of those keeps the time. The decisions are
//! `state`'s; here is the lock, the waking, and that whoever leaves early leaves nothing behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::{Clock, Entropy};
use tokio::sync::{Notify, oneshot};

use super::counters::Tally;
use super::fair_queue::Flow;
use super::shared::QuotaKey;
use super::state::{Admission, State, Told};
use crate::types::Urgency;

/// How long whoever keeps the time trusts a timer: the end of a request can make a turn come sooner, and the clock is
/// handed in while the timer is the machine's.
const LONGEST_NAP: Duration = Duration::from_millis(100);

type Wake = oneshot::Sender<Admission>;

#[derive(Debug)]
pub(crate) struct Lane {
    pub(super) key: QuotaKey,
    state: Mutex<Kept>,
    /// Tells one of those who wait that nobody keeps the time.
    unkept: Notify,
    tally: Arc<Tally>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Kept {
    state: State<Wake>,
    /// The ticket of whoever in line keeps the time for all.
    keeper: Option<u64>,
}

/// What a lane is like now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standing {
    /// Calls in line.
    pub waiting: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// How many calls a second go out, if the provider's refusals taught a pace.
    pub pace_per_second: Option<f64>,
    /// What is left of a pause that the provider asked for.
    pub paused_for: Option<Duration>,
}

impl Lane {
    pub(super) fn new(key: QuotaKey, state: State<Wake>, tally: Arc<Tally>, clock: Arc<dyn Clock>) -> Self {
        Self { key, state: Mutex::new(Kept { state, keeper: None }), unkept: Notify::new(), tally, clock }
    }

    /// A place, at once or in turn. Refused with the time that it would have taken, at once where that is known to be
    /// too long.
    pub(super) async fn place(
        self: &Arc<Self>,
        flow: impl Fn() -> Flow,
        deadline: Option<Duration>,
        urgency: Urgency,
    ) -> Result<Permit, Duration> {
        let place = {
            let now = self.clock.elapsed();
            let mut kept = self.lock();
            self.serve(&mut kept, now);
            match kept.state.admit(&flow, deadline, urgency, now) {
                Admission::Go(taken_at) => return Ok(self.permit(taken_at)),
                Admission::Refused(wait) => {
                    self.tally.refuse(urgency);
                    return Err(wait);
                }
                Admission::Wait => self.queue(&mut kept, flow(), deadline, now)?,
            }
        };
        place.turn(deadline).await
    }

    /// Another replica was asked to wait.
    pub(super) fn hear(&self, wait: Duration) {
        let now = self.clock.elapsed();
        let mut kept = self.lock();
        let (news, away) = kept.state.heard(wait, now);
        if news {
            self.tally.shared_pauses();
        }
        self.turn_away(&mut kept, away);
    }

    pub(super) fn standing(&self) -> Standing {
        let now = self.clock.elapsed();
        let mut kept = self.lock();
        kept.state.pace.tend(now);
        Standing {
            waiting: kept.state.line.len(),
            in_flight: kept.state.in_flight,
            pace_per_second: kept.state.pace.per_second(),
            paused_for: kept.state.pause.remaining(now),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        let now = self.clock.elapsed();
        let mut kept = self.lock();
        kept.state.pace.tend(now);
        kept.state.is_idle(now)
    }

    /// The ticket of whoever keeps the time.
    #[cfg(test)]
    pub(super) fn keeper(&self) -> Option<u64> {
        self.lock().keeper
    }

    fn queue(
        self: &Arc<Self>,
        kept: &mut Kept,
        flow: Flow,
        deadline: Option<Duration>,
        now: Duration,
    ) -> Result<Place, Duration> {
        let (wake, told) = oneshot::channel();
        match kept.state.queue(flow.clone(), deadline, wake, now) {
            Ok((ticket, gave_way)) => {
                self.tally.queued();
                self.turn_away(kept, gave_way);
                Ok(Place { lane: Arc::clone(self), ticket, flow, told: Some(told) })
            }
            Err(wait) => {
                self.tally.refuse(Urgency::Call);
                Err(wait)
            }
        }
    }

    /// Gives places to those whose turn has come, and sends away those who would come too late.
    fn serve(&self, kept: &mut Kept, now: Duration) {
        let late = kept.state.late(now);
        self.turn_away(kept, late);
        while let Some(waiter) = kept.state.next(now) {
            self.relieve(kept, waiter.ticket);
            // Whoever left has taken its ticket out of the line before, so there is someone to tell.
            if waiter.wake.send(Admission::Go(now)).is_err() {
                kept.state.give_back(now, now);
            }
        }
    }

    fn turn_away(&self, kept: &mut Kept, away: impl IntoIterator<Item = Told<Wake>>) {
        for (waiter, refusal) in away {
            self.relieve(kept, waiter.ticket);
            self.tally.given_way();
            waiter.wake.send(refusal).ok();
        }
    }

    /// Someone left the line: if it kept the time, another has to.
    fn relieve(&self, kept: &mut Kept, ticket: u64) {
        if kept.keeper == Some(ticket) {
            kept.keeper = None;
            self.unkept.notify_one();
        }
    }

    /// How long `ticket` is to sleep before it looks again; `None` if another keeps the time.
    fn nap(&self, ticket: u64) -> Option<Duration> {
        let now = self.clock.elapsed();
        let mut kept = self.lock();
        // Before serving: if it is served itself, it must not keep the time any more.
        kept.keeper.get_or_insert(ticket);
        self.serve(&mut kept, now);
        if kept.keeper != Some(ticket) {
            return None;
        }
        let due = kept.state.until_next(now).unwrap_or(LONGEST_NAP);
        Some(due.clamp(Duration::from_millis(1), LONGEST_NAP))
    }

    fn permit(self: &Arc<Self>, taken_at: Duration) -> Permit {
        Permit { lane: Arc::clone(self), taken_at, end: End::Unused }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in line. Leaves it when dropped.
#[derive(Debug)]
struct Place {
    lane: Arc<Lane>,
    ticket: u64,
    flow: Flow,
    /// `None` once it was told.
    told: Option<oneshot::Receiver<Admission>>,
}

impl Place {
    async fn turn(mut self, deadline: Option<Duration>) -> Result<Permit, Duration> {
        let patience = deadline.map(|deadline| deadline.saturating_sub(self.lane.clock.elapsed()));
        let too_late = async {
            match patience {
                Some(patience) => tokio::time::sleep(patience).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(too_late);
        loop {
            let nap = self.lane.nap(self.ticket);
            let Some(told) = &mut self.told else { return Err(self.give_up()) };
            let wake = async {
                match nap {
                    Some(nap) => tokio::time::sleep(nap).await,
                    None => self.lane.unkept.notified().await,
                }
            };
            tokio::select! {
                biased;
                told = told => {
                    self.told = None;
                    return match told {
                        Ok(Admission::Go(taken_at)) => Ok(self.lane.permit(taken_at)),
                        Ok(Admission::Refused(wait)) => Err(wait),
                        Ok(Admission::Wait) | Err(_) => Err(self.give_up()),
                    };
                }
                () = &mut too_late => return Err(self.give_up()),
                () = wake => {}
            }
        }
    }

    /// The deadline came before the turn. Returns how long another call like it would wait now.
    fn give_up(&self) -> Duration {
        let now = self.lane.clock.elapsed();
        let kept = self.lane.lock();
        self.lane.tally.refuse(Urgency::Call);
        kept.state.wait_of(&self.flow, now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.lane.clock.elapsed();
        let mut kept = self.lane.lock();
        // It may have begun to keep the time after it was served, which nobody but itself can know.
        self.lane.relieve(&mut kept, self.ticket);
        let Some(mut told) = self.told.take() else { return };
        if kept.state.leave(self.ticket).is_none()
            && let Ok(Admission::Go(taken_at)) = told.try_recv()
        {
            kept.state.give_back(taken_at, now);
        }
        self.lane.serve(&mut kept, now);
    }
}

/// A place at the provider, for one request. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Permit {
    lane: Arc<Lane>,
    taken_at: Duration,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Unused,
    Sent,
    Answered,
}

impl Permit {
    /// The request goes out now.
    pub(crate) fn send(&mut self) {
        self.end = End::Sent;
    }

    /// It was answered with something else than a 429.
    pub(crate) fn answered(mut self) {
        self.end = End::Answered;
    }

    /// It was answered with a 429. Returns how long this client id is left alone.
    pub(crate) fn refused(self, retry_after: Option<Duration>, entropy: &dyn Entropy) -> Duration {
        let now = self.lane.clock.elapsed();
        let mut kept = self.lane.lock();
        self.lane.tally.pauses();
        let away = kept.state.refused(self.taken_at, retry_after, now, entropy);
        self.lane.turn_away(&mut kept, away);
        let wait = kept.state.pause.remaining(now).unwrap_or_default();
        drop(kept);
        wait
    }

    /// Another replica was asked to wait before this request went out.
    pub(crate) fn hear(self, wait: Duration) {
        self.lane.hear(wait);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.lane.clock.elapsed();
        let mut kept = self.lane.lock();
        match self.end {
            End::Unused => kept.state.give_back(self.taken_at, now),
            End::Sent => kept.state.finish(now.saturating_sub(self.taken_at)),
            End::Answered => {
                kept.state.finish(now.saturating_sub(self.taken_at));
                kept.state.pause.answered(self.taken_at);
            }
        }
        self.lane.serve(&mut kept, now);
    }
}
