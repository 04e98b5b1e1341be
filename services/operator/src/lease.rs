//! Which replica acts: a Lease of `coordination.k8s.io/v1`, held as client-go's leader election holds it. Clocks of different
//! machines are never compared: a lease is over when it was seen unchanged for its whole length on this machine's own clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use stagedoor_bootstrap::health::CheckHandle;
use stagedoor_domain::Clock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::reconcile::FIELD_MANAGER;

/// A lease that replicas compete for.
pub struct Election {
    api: Api<Lease>,
    name: String,
    me: String,
    length: Duration,
    clock: Arc<dyn Clock>,
    check: CheckHandle,
    seen: Option<Seen>,
}

/// A lease as it was seen, and since when it is like that.
struct Seen {
    version: Option<String>,
    since: Instant,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// This replica has it.
    Held,
    /// Another one has it.
    Others,
}

impl Election {
    /// A part in the competition as `me`, which no other replica is called.
    pub fn new(
        client: Client,
        (namespace, name): (&str, &str),
        me: String,
        length: Duration,
        clock: Arc<dyn Clock>,
        check: CheckHandle,
    ) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), me, length, clock, check, seen: None }
    }

    /// Waits until this replica has the lease; false if `stop` came first.
    pub async fn win(&mut self, stop: &CancellationToken) -> bool {
        loop {
            let attempt = tokio::select! {
                attempt = self.attempt() => attempt,
                () = stop.cancelled() => return false,
            };
            if attempt == Ok(Attempt::Held) {
                tracing::info!(lease = self.name, me = self.me, "this replica acts from now on");
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep(self.pause()) => {}
                () = stop.cancelled() => return false,
            }
        }
    }

    /// Keeps the lease; returns when it is lost, which is as soon as another replica has it, and well before another one could.
    pub async fn keep(&mut self) {
        let patience = self.length.mul_f64(2.0 / 3.0);
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.pause()).await;
            let left = patience.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(Attempt::Held)) => renewed = Instant::now(),
                Ok(Ok(Attempt::Others)) => {
                    tracing::warn!(lease = self.name, "another replica has the lease");
                    return;
                }
                Ok(Err(())) if renewed.elapsed() < patience => {}
                Ok(Err(())) | Err(_) => {
                    tracing::warn!(lease = self.name, after = ?patience, "the lease could not be renewed");
                    return;
                }
            }
        }
    }

    /// Gives the lease back, so that another replica need not wait until it is over.
    pub async fn give_back(&mut self) {
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&self.me) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(self.now());
            self.api.replace(&self.name, &Self::by(), &lease).await.map(drop)
        };
        let released: Result<(), kube::Error> = released.await;
        match released {
            Ok(()) => tracing::info!(lease = self.name, "the lease was given back"),
            Err(error) => tracing::warn!(%error, lease = self.name, "the lease could not be given back"),
        }
    }

    async fn attempt(&mut self) -> Result<Attempt, ()> {
        match self.try_once().await {
            Ok(attempt) => {
                self.check.pass();
                Ok(attempt)
            }
            Err(error) => {
                tracing::warn!(%error, lease = self.name, "the lease could not be read or written");
                self.check.fail("the lease could not be read or written; the log says why");
                Err(())
            }
        }
    }

    async fn try_once(&mut self) -> Result<Attempt, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return self.write(None).await;
        };
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder == self.me || holder.is_empty() {
            return self.write(Some(lease)).await;
        }
        let version = lease.metadata.resource_version.clone();
        let length = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let length = u64::try_from(length).map_or(self.length, Duration::from_secs);
        match &self.seen {
            Some(seen) if seen.version == version && seen.since.elapsed() >= length => {
                self.write(Some(lease)).await
            }
            Some(seen) if seen.version == version => Ok(Attempt::Others),
            _ => {
                self.seen = Some(Seen { version, since: Instant::now() });
                Ok(Attempt::Others)
            }
        }
    }

    /// Writes the lease as this replica's; a write that comes second is refused by the API server.
    async fn write(&mut self, there: Option<Lease>) -> Result<Attempt, kube::Error> {
        let now = self.now();
        let is_new = there.is_none();
        let mut lease = there.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: None,
        });
        let before = lease.spec.take().unwrap_or_default();
        let mine = before.holder_identity.as_deref() == Some(&self.me);
        let seconds = i32::try_from(self.length.as_secs()).unwrap_or(i32::MAX);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: Some(seconds),
            acquire_time: if mine { before.acquire_time.clone() } else { Some(now.clone()) },
            lease_transitions: Some(
                before.lease_transitions.unwrap_or_default() + i32::from(!mine && !is_new),
            ),
            renew_time: Some(now),
            ..before
        });
        let written = if is_new {
            self.api.create(&Self::by(), &lease).await
        } else {
            self.api.replace(&self.name, &Self::by(), &lease).await
        };
        match written {
            Ok(_) => Ok(Attempt::Held),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Others),
            Err(error) => Err(error),
        }
    }

    fn by() -> PostParams {
        PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
    }

    fn now(&self) -> MicroTime {
        MicroTime(Timestamp::from_microsecond(self.clock.now().timestamp_micros()).unwrap_or_default())
    }

    /// Between two attempts.
    fn pause(&self) -> Duration {
        self.length.mul_f64(2.0 / 15.0)
    }
}

impl fmt::Debug for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Election").field("lease", &self.name).field("me", &self.me).finish_non_exhaustive()
    }
}
