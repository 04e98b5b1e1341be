//! The devices that use an account: a client program on a network with a key, known by a keyed hash only. What is done
//! about a new one, or about too many at a time, is the tenant's policy; it is audited whatever is done.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use ipnet::IpNet;
use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_domain::error::Chain;
use stagedoor_domain::policy::{DevicePolicy, PolicyAction};
use stagedoor_domain::{
    Clock, ErrorCode, LinkedAccountId, PrincipalKind, PublicError, TenantContext, TenantId,
};
use stagedoor_storage::session_devices::{self, SightOf, Sighting};
use stagedoor_storage::{KeyVault, StoreError};

use crate::accounts::Account;
use crate::origin::Origin;
use crate::records::store_failure;
use crate::sessions::{CHANGES_SHOW_WITHIN, SessionsInUse};
use crate::trail::{Trail, of_account};

/// The column whose blind index a fingerprint is.
const COLUMN: &str = "session_devices.fingerprint";
/// How long a device that may use an account is not looked up again.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// How long a device counts as using an account at least, in seconds: as long as it is not looked up again.
const SHORTEST_WINDOW: u32 = 60;
/// How long the same thing about the same device is not recorded again by this process.
const TOLD_FOR: Duration = Duration::from_hours(1);
/// Entries of either memory at most; what has no place is looked up, or recorded, again.
const PLACES: usize = 50_000;

type Fingerprint = [u8; 32];
type Key = (TenantId, LinkedAccountId, Fingerprint);

/// Watches over them.
pub(crate) struct Devices {
    vault: Arc<KeyVault>,
    trail: Arc<Trail>,
    sessions: Arc<SessionsInUse>,
    clock: Arc<dyn Clock>,
    verdicts: Mutex<HashMap<Key, (Verdict, Duration)>>,
    told: Mutex<HashMap<(Key, Concern), Duration>>,
}

/// What was decided about a device.
#[derive(Debug, Clone, Default)]
struct Verdict {
    warnings: Vec<String>,
    refusal: Option<PublicError>,
}

/// What can be wrong with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Concern {
    New,
    OneTooMany,
}

impl Devices {
    pub(crate) fn new(
        vault: Arc<KeyVault>,
        trail: Arc<Trail>,
        sessions: Arc<SessionsInUse>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { vault, trail, sessions, clock, verdicts: Mutex::default(), told: Mutex::default() }
    }

    /// The device that a call comes from: a keyed hash of its program, its user agent, its network and its key.
    pub(crate) async fn fingerprint(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
    ) -> Result<Fingerprint, PublicError> {
        let key = Box::pin(self.vault.tenant_key(ctx)).await.map_err(|error| store_failure(&error))?;
        let network = client.address.map(network).unwrap_or_default();
        let principal = ctx.principal().label();
        let parts = [
            client.software.as_deref().unwrap_or_default(),
            client.user_agent.as_deref().unwrap_or_default(),
            &network,
            &principal,
        ];
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Ok(key.blind_index(COLUMN, &bytes))
    }

    /// Whether the policy of the call's tenant ever refuses a device.
    pub(crate) fn may_refuse(ctx: &TenantContext) -> bool {
        let policy = ctx.tenant().settings.devices;
        policy.new_device == PolicyAction::Refuse || policy.too_many == PolicyAction::Refuse
    }

    /// Lets the call's device use the account, with warnings, or refuses it.
    pub(crate) async fn check(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        account: &Account,
    ) -> Result<(), PublicError> {
        // A job comes from no device; the call that began it did, and was let pass.
        if matches!(ctx.principal().kind, PrincipalKind::Job(_)) {
            return Ok(());
        }
        let fingerprint = self.fingerprint(ctx, origin.client()).await?;
        let key = (ctx.tenant_id(), account.id, fingerprint);
        let verdict = match self.remembered(&key) {
            Some(verdict) => verdict,
            None => match Box::pin(self.judge(ctx, origin.client(), account, key)).await {
                Ok(verdict) => {
                    let at = self.clock.elapsed();
                    let good = |(_, of): &(Verdict, Duration)| at.saturating_sub(*of) < REMEMBERED_FOR;
                    remember(&mut self.verdicts(), key, (verdict.clone(), at), good);
                    verdict
                }
                // Gone meanwhile: opening its session tells what became of it.
                Err(Failure::Store(StoreError::Missing(_))) => return Ok(()),
                Err(Failure::Store(error)) if !Self::may_refuse(ctx) => {
                    tracing::warn!(error = %Chain(&error), "a device was not looked up; the policy lets it pass");
                    return Ok(());
                }
                Err(Failure::Store(error)) => return Err(store_failure(&error)),
                Err(Failure::NotAudited(error)) => return Err(error),
            },
        };
        for warning in verdict.warnings {
            origin.warn(warning);
        }
        match verdict.refusal {
            None => Ok(()),
            Some(refusal) => {
                self.sessions.counters.devices_refused.add();
                Err(refusal)
            }
        }
    }

    /// Forgets what was decided for an account, which was linked again or unlinked.
    pub(crate) fn forget(&self, ctx: &TenantContext, account: LinkedAccountId) {
        let tenant = ctx.tenant_id();
        self.verdicts().retain(|(of, about, _), _| (*of, *about) != (tenant, account));
    }

    async fn judge(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
        key: Key,
    ) -> Result<Verdict, Failure> {
        let policy = ctx.tenant().settings.devices;
        let mut verdict = Verdict::default();
        let mut sighting = self.sight(ctx, account, &key.2, policy, false).await?;
        if sighting.any && !sighting.known {
            sighting = self.meet(ctx, client, account, key, policy, sighting).await?;
            match policy.new_device {
                PolicyAction::Allow => {}
                PolicyAction::Warn => verdict.warnings.push(format!(
                    "The {} account is used from a device that was not seen before: another program, network or key.",
                    account.provider.title()
                )),
                PolicyAction::Refuse => verdict.refusal = Some(refusal(account, Concern::New, policy)),
            }
        }
        if verdict.refusal.is_none() && sighting.concurrent > at_most(policy) {
            self.tell(ctx, client, account, key, Concern::OneTooMany, policy.too_many).await?;
            match policy.too_many {
                PolicyAction::Allow => {}
                PolicyAction::Warn => verdict.warnings.push(format!(
                    "The {} account was used from {} devices within {}; the tenant expects at most {}.",
                    account.provider.title(),
                    sighting.concurrent,
                    minutes(policy),
                    at_most(policy)
                )),
                PolicyAction::Refuse => verdict.refusal = Some(refusal(account, Concern::OneTooMany, policy)),
            }
        }
        Ok(verdict)
    }

    /// A device that is new to the account: it is recorded in the audit trail before it is remembered.
    async fn meet(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
        key: Key,
        policy: DevicePolicy,
        sighting: Sighting,
    ) -> Result<Sighting, Failure> {
        self.tell(ctx, client, account, key, Concern::New, policy.new_device).await?;
        if policy.new_device == PolicyAction::Refuse {
            return Ok(sighting);
        }
        Ok(self.sight(ctx, account, &key.2, policy, true).await?)
    }

    /// Counts and records a concern, once an hour for each device.
    async fn tell(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
        key: Key,
        concern: Concern,
        done: PolicyAction,
    ) -> Result<(), Failure> {
        let now = self.clock.elapsed();
        let told = self.told().get(&(key, concern)).is_some_and(|at| now.saturating_sub(*at) < TOLD_FOR);
        if told {
            return Ok(());
        }
        let (action, counter) = match concern {
            Concern::New => (AuditAction::DeviceNew, &self.sessions.counters.devices_new),
            Concern::OneTooMany => (AuditAction::DevicesExceeded, &self.sessions.counters.devices_exceeded),
        };
        let record = self.trail.open(ctx, action, client, of_account(account.id)).await;
        let record = record.map_err(Failure::NotAudited)?;
        record.close((done == PolicyAction::Refuse).then_some(ErrorCode::DeviceRefused)).await;
        counter.add();
        remember(&mut self.told(), (key, concern), now, |at| now.saturating_sub(*at) < TOLD_FOR);
        Ok(())
    }

    async fn sight(
        &self,
        ctx: &TenantContext,
        account: &Account,
        fingerprint: &Fingerprint,
        policy: DevicePolicy,
        record_new: bool,
    ) -> Result<Sighting, StoreError> {
        let principal = ctx.principal().label();
        let sight = SightOf {
            fingerprint,
            principal: &principal,
            at: self.clock.now(),
            window: TimeDelta::seconds(window_seconds(policy).into()),
            record_new,
            at_most: (policy.too_many == PolicyAction::Refuse).then_some(at_most(policy)),
        };
        let store = self.vault.store();
        store.with_tenant(ctx, async |tx| session_devices::sight(tx, account.id, &sight).await).await
    }

    /// A refusal is remembered no longer than a change of the account may go unseen: linking again ends it.
    fn remembered(&self, key: &Key) -> Option<Verdict> {
        let now = self.clock.elapsed();
        let verdicts = self.verdicts();
        let (verdict, at) = verdicts.get(key)?;
        let life = if verdict.refusal.is_some() { CHANGES_SHOW_WITHIN } else { REMEMBERED_FOR };
        (now.saturating_sub(*at) < life).then(|| verdict.clone())
    }

    fn verdicts(&self) -> MutexGuard<'_, HashMap<Key, (Verdict, Duration)>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, HashMap<(Key, Concern), Duration>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Failure {
    Store(StoreError),
    NotAudited(PublicError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Keeps an entry, if there is a place for it once those that are too old are gone.
fn remember<K: Eq + Hash, V>(memory: &mut HashMap<K, V>, key: K, value: V, good: impl Fn(&V) -> bool) {
    if memory.len() >= PLACES {
        memory.retain(|_, value| good(value));
    }
    if memory.len() < PLACES {
        memory.insert(key, value);
    }
}

/// The network that an address counts as: /24, or /48 of IPv6, so that a device may change its address there.
fn network(address: IpAddr) -> String {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).map_or_else(|_| address.to_string(), |network| network.trunc().to_string())
}

/// No policy keeps everyone out.
fn at_most(policy: DevicePolicy) -> u32 {
    policy.concurrent.max(1)
}

/// A device that was let in is not looked at for a minute, so a shorter window would miss some that are in use.
fn window_seconds(policy: DevicePolicy) -> u32 {
    policy.window_seconds.max(SHORTEST_WINDOW)
}

fn minutes(policy: DevicePolicy) -> String {
    match window_seconds(policy).div_ceil(60) {
        1 => "a minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

fn refusal(account: &Account, concern: Concern, policy: DevicePolicy) -> PublicError {
    let (provider, id) = (account.provider, account.id);
    let name = provider.title();
    let again = format!("account_link {{\"provider\":\"{provider}\",\"account\":\"{id}\"}}");
    match concern {
        Concern::New => PublicError::new(
            ErrorCode::DeviceRefused,
            format!("This device is new to the {name} account, and the tenant refuses new devices."),
        )
        .hint(format!(
            "The person can admit it by linking the account again from here with {again}; or the tenant's operator \
             changes the policy."
        )),
        Concern::OneTooMany => PublicError::new(
            ErrorCode::DeviceRefused,
            format!(
                "The {name} account is used from {} devices already, and the tenant refuses more at a time.",
                at_most(policy)
            ),
        )
        .hint(format!(
            "Try again when one of them has been quiet for {}, or from one of them; or the tenant's operator changes \
             the policy.",
            minutes(policy)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn a_device_may_move_within_its_network() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("192.0.2.7"), of("192.0.2.250"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.250"));
        assert_ne!(of("192.0.2.7"), of("192.0.3.7"));
        assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::7"), of("2001:db8:2::7"));
    }
}
