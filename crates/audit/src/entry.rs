//! The open record of one call. Whatever becomes of the call, the record is closed: by its outcome, or as cancelled
//! when it is dropped.

use std::fmt;
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, ErrorCode, SessionId};
use tokio::sync::mpsc;

use crate::action::AuditClass;
use crate::backlog::Message;
use crate::bundle::Batch;
use crate::counters::add;
use crate::event::{AuditOutcome, AuditResource, Ending, Event, RecordKind};
use crate::log::AuditLog;

/// The open record of one call; holds a place in the queue.
#[must_use = "a record that is dropped closes as cancelled"]
pub struct AuditEntry {
    log: AuditLog,
    place: Option<mpsc::OwnedPermit<Message>>,
    state: State,
    class: AuditClass,
    opened_at: Duration,
}

enum State {
    /// The work goes on.
    Open(Box<Event>),
    /// The outcome is known but not in the database.
    Closing(Message),
    /// In the database, or in the queue.
    Closed,
}

impl AuditEntry {
    pub(crate) fn new(
        log: AuditLog,
        place: mpsc::OwnedPermit<Message>,
        opening: Event,
        class: AuditClass,
    ) -> Self {
        let opened_at = log.elapsed();
        let kind = match class {
            AuditClass::Synchronous => RecordKind::Closed,
            AuditClass::Deferred => RecordKind::Call,
        };
        let event = Box::new(Event { kind, ..opening });
        Self { log, place: Some(place), state: State::Open(event), class, opened_at }
    }

    /// The entry of a call that nobody wants recorded.
    pub(crate) fn unrecorded(log: AuditLog) -> Self {
        let (class, opened_at) = (AuditClass::Deferred, Duration::ZERO);
        Self { log, place: None, state: State::Closed, class, opened_at }
    }

    /// Tells what the call is about, once that is known.
    pub fn set_resource(&mut self, resource: AuditResource) {
        if let State::Open(event) = &mut self.state {
            event.resource = Some(resource.bounded());
        }
    }

    /// Tells whose tokens the call uses, once that is known.
    pub fn set_session(&mut self, session: SessionId) {
        if let State::Open(event) = &mut self.state {
            event.session = Some(session);
        }
    }

    /// Does `work` and closes the record by how it ended: what operators and the keeper do has no code of its own.
    pub async fn during<T, E>(
        self,
        clock: &dyn Clock,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let started = clock.elapsed();
        let done = work.await;
        let error = done.is_err().then_some(ErrorCode::Internal);
        self.close(AuditOutcome {
            error,
            response_code: error.map_or(200, ErrorCode::http_status),
            duration: clock.elapsed().saturating_sub(started),
            cached: false,
        })
        .await;
        done
    }

    /// Closes the record. Class A waits for the database; if that fails, the effect stands and the record goes to
    /// the queue instead. Class B goes to the queue at once.
    pub async fn close(mut self, outcome: AuditOutcome) {
        let Some(event) = self.end(Ending::Done(outcome)) else { return };
        if self.class == AuditClass::Deferred {
            self.state = State::Closing(Message::Event(event));
            return;
        }
        // From here on a dropped future leaves the record to `Drop`, and thereby to the queue.
        self.state = State::Closing(Message::Event(event.clone()));
        let vault = &self.log.shared.vault;
        let outcome = match Box::pin(Batch::prepare(vault, std::slice::from_ref(&*event))).await {
            Err(error) => Err(error),
            Ok(batch) => {
                self.state = State::Closing(Message::Batch(batch));
                let State::Closing(Message::Batch(batch)) = &self.state else { return };
                Box::pin(batch.append(vault, &self.log.shared.tallies.sizes)).await
            }
        };
        match outcome {
            Ok(()) => {
                self.state = State::Closed;
                add(&self.log.shared.tallies.counters.written, 1);
            }
            Err(error) => {
                add(&self.log.shared.tallies.counters.late_closings, 1);
                tracing::error!(
                    error = %Chain(&error),
                    call = %event.context.call(),
                    "a closing audit record was not written at once; it goes to the queue"
                );
            }
        }
    }

    fn end(&mut self, ending: Ending) -> Option<Box<Event>> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(mut event) => {
                event.ending = ending;
                event.at = self.log.now();
                Some(event)
            }
            other => {
                self.state = other;
                None
            }
        }
    }
}

impl Drop for AuditEntry {
    fn drop(&mut self) {
        let duration = self.log.elapsed().saturating_sub(self.opened_at);
        if let Some(event) = self.end(Ending::Cancelled(duration)) {
            self.state = State::Closing(Message::Event(event));
        }
        if let (State::Closing(message), Some(place)) =
            (std::mem::replace(&mut self.state, State::Closed), self.place.take())
        {
            self.log.enqueue(place, message);
        }
    }
}

impl fmt::Debug for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditEntry").field("class", &self.class).finish_non_exhaustive()
    }
}
