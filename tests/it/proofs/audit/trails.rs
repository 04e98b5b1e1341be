//! Trails of two tenants over three days, made by the real writer and sealed by the real checkpointer, with an archive of
//! checkpoints in a folder; and what they are checked with.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use stagedoor_audit::{
    AuditAction, AuditClient, AuditLog, AuditOpening, AuditOptions, AuditOutcome, AuditResource,
    CheckpointArchive, Checkpointer, DayRange, VerificationReport, verify_stored,
};
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::{CallId, Clock, ErrorCode, Principal, SystemClock, TenantContext, ToolName, UserId};
use stagedoor_storage::signing_keys;
use stagedoor_testkit::{FrozenClock, Stage, StageOptions, TestTenant, generous};
use tokio_util::sync::CancellationToken;
use url::Url;

const DAYS: u64 = 3;
const PEOPLE: usize = 3;
/// Chosen so that a day has records before, between and behind its checkpoints.
const ROUNDS: u64 = 6;

/// A stage whose clock is moved by hand, two days ago at first: partitions reach back a week.
pub(super) struct Past {
    pub(super) stage: Stage,
    pub(super) clock: Arc<FrozenClock>,
}

/// One tenant's trail.
pub(super) struct Trail<'a> {
    pub(super) tenant: TestTenant<'a>,
    pub(super) people: Vec<UserId>,
}

impl Past {
    pub(super) async fn start() -> Self {
        let ago = TimeDelta::days(DAYS.cast_signed() - 1);
        let morning = (SystemClock::new().now() - ago).date_naive().and_hms_opt(8, 0, 0).unwrap();
        let clock = Arc::new(FrozenClock::at(morning.and_utc()));
        let options = StageOptions {
            redis: false,
            clock: Arc::<FrozenClock>::clone(&clock),
            ..StageOptions::default()
        };
        Self { stage: Stage::start_with(options).await, clock }
    }

    /// Two trails side by side, of about `per_day` records a day each. The last records of each day are under a
    /// checkpoint too, as they are a minute later.
    pub(super) async fn trails(&self, per_day: u64, seed: u64) -> [Trail<'_>; 2] {
        let mut trails = Vec::new();
        for slug in ["ada", "bob"] {
            let tenant = self.stage.tenant(slug, generous()).await;
            let people = join_all((0..PEOPLE).map(|_| tenant.person("Robin"))).await;
            trails.push(Trail { tenant, people });
        }
        let options = AuditOptions { flush_interval: Duration::from_millis(1), ..AuditOptions::default() };
        let (log, worker) = AuditLog::new(Arc::clone(self.stage.reader()), options);
        let stop = CancellationToken::new();
        let writer = tasks::spawn("audit", worker.run(stop.clone()));
        let mut random = StdRng::seed_from_u64(seed);
        let checkpointer = self.checkpointer();
        for day in 0..DAYS {
            for _ in 0..ROUNDS {
                for trail in &trails {
                    self.calls(&log, trail, per_day / ROUNDS, &mut random).await;
                }
                log.flush().await.unwrap();
                for trail in &trails {
                    checkpointer.seal(trail.tenant.context(), self.days().iter()).await.unwrap();
                }
                self.clock.advance(Duration::from_mins(61));
            }
            if day + 1 < DAYS {
                self.clock.advance(Duration::from_hours(24).saturating_sub(Duration::from_mins(61 * ROUNDS)));
            }
        }
        stop.cancel();
        writer.await.unwrap();
        trails.try_into().unwrap_or_else(|_| panic!("two trails were laid"))
    }

    pub(super) fn checkpointer(&self) -> Checkpointer {
        let archive = Some(self.archive());
        Checkpointer::new(Arc::clone(self.stage.reader()), archive, Duration::from_mins(1))
    }

    pub(super) fn archive(&self) -> CheckpointArchive {
        let folder = self.stage.folder().join("checkpoints");
        std::fs::create_dir_all(&folder).unwrap();
        CheckpointArchive::open(&Url::from_directory_path(folder).unwrap(), []).unwrap()
    }

    pub(super) fn days(&self) -> DayRange {
        let last = self.clock.now().date_naive();
        DayRange::new(last - TimeDelta::days(DAYS.cast_signed() - 1), last).unwrap()
    }

    pub(super) async fn keys(&self, trail: &Trail<'_>) -> Vec<VerifyingKey> {
        let read = async |tx: &mut _| signing_keys::public_keys(tx).await;
        let keys = self.stage.reader().store().with_tenant(trail.tenant.context(), read).await.unwrap();
        keys.iter().map(|key| key.key).collect()
    }

    pub(super) async fn export(&self, trail: &Trail<'_>) -> Vec<u8> {
        let mut file = Vec::new();
        let context = trail.tenant.context();
        stagedoor_audit::export(self.stage.reader(), context, self.days(), &mut file).await.unwrap();
        file
    }

    pub(super) async fn verify(&self, trail: &Trail<'_>) -> VerificationReport {
        let (vault, context) = (self.stage.reader(), trail.tenant.context());
        verify_stored(vault, context, self.days(), Some(&self.archive())).await.unwrap()
    }

    /// Turns a person's payloads into what is left of them after an erasure.
    pub(super) async fn erase(&self, user: UserId) {
        let erase =
            format!("UPDATE audit_payloads SET user_id = NULL, sealed = '\\x' WHERE user_id = '{user}'");
        self.stage.sql(&erase).await;
    }

    async fn calls(&self, log: &AuditLog, trail: &Trail<'_>, calls: u64, random: &mut StdRng) {
        for _ in 0..calls {
            let tool = *ToolName::ALL.choose(random).unwrap();
            let user = trail.people.choose(random).copied().filter(|_| random.random_bool(0.9));
            let context = self.as_agent(trail.tenant.context(), user);
            let mut opening = AuditOpening::new(AuditAction::Tool(tool), client(random));
            let id = random.random_range(1..1_000_000).to_string();
            opening.resource = Some(AuditResource { kind: "track", id: id.into() });
            let entry = log.open(&context, opening).await.unwrap();
            self.clock.advance(Duration::from_micros(random.random_range(1..5_000_000)));
            if random.random_bool(0.95) {
                entry.close(outcome(random)).await;
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    fn as_agent(&self, context: &TenantContext, user: Option<UserId>) -> TenantContext {
        let call = CallId::generate(&*self.clock, self.stage.reader().entropy());
        let principal = Principal { user, ..context.principal().clone() };
        TenantContext::for_request(context.tenant().clone().into(), principal.into(), call)
    }
}

fn client(random: &mut StdRng) -> AuditClient {
    let address = [203, 0, 113, random.random_range(1..255)];
    AuditClient { address: Some(address.into()), user_agent: Some("agent/1.0".into()), software: None }
}

fn outcome(random: &mut StdRng) -> AuditOutcome {
    let error = random.random_bool(0.1).then_some(ErrorCode::ProviderRejected);
    let duration = Duration::from_micros(random.random_range(100..900_000));
    AuditOutcome { error, response_code: 200, duration, cached: random.random_bool(0.5) }
}
