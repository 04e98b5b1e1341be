//! Events on objects, for `kubectl describe`. One that Kubernetes does not take is counted and said in the log, and stops nothing.

use std::fmt;
use std::sync::Arc;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use crate::metrics::OperatorMetrics;

/// Who reports.
pub const CONTROLLER: &str = "stagedoor.dev/operator";
/// Kubernetes takes 1 kB.
const LONGEST_NOTE: usize = 900;

/// Where events go.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    metrics: Arc<OperatorMetrics>,
}

impl Events {
    /// Events reported by the replica `instance`.
    pub fn new(client: Client, instance: String, metrics: Arc<OperatorMetrics>) -> Self {
        let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: Some(instance) };
        Self { recorder: Recorder::new(client, reporter), metrics }
    }

    /// Something was done.
    pub async fn tell<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        note: impl Into<String>,
    ) {
        self.publish(object, EventType::Normal, reason, note.into()).await;
    }

    /// Something needs to be looked at.
    pub async fn warn<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        note: impl Into<String>,
    ) {
        self.publish(object, EventType::Warning, reason, note.into()).await;
    }

    async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        let mut end = note.len().min(LONGEST_NOTE);
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note[..end].to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            self.metrics.event_lost();
            tracing::warn!(%error, reason, "an event was not taken");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
