//! Which buckets a call is counted on, each bucket's rate in exact integers, and what refusals cost. `plans` keeps
//! what is made here.

use std::fmt::Write as _;
use std::time::Duration;

use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{LimitScope, TenantSettings};

use crate::decision::Bucket;
use crate::packed;
use crate::penalty::Step;

/// The largest product that the script may form: Lua's numbers are doubles, exact up to 2^53.
const EXACT: u64 = 1 << 52;

/// One bucket's rate. A call moves the arrival time on by `interval / denominator` microseconds, the reduced
/// fraction `window / capacity`, which is exact where a division would not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) scope: LimitScope,
    pub(crate) class: LimitClass,
    /// The quota that holds: the tenant's, or this replica's share of it.
    pub(crate) quota: Quota,
    /// The capacity as the tenant set it.
    pub(crate) whole_capacity: u32,
    pub(crate) window_us: u64,
    pub(crate) interval: u64,
    pub(crate) denominator: u64,
    /// The bucket's name within what it is kept with: `search-60`.
    pub(crate) field: Box<str>,
}

impl Rate {
    /// `quota` as a rate; `None` if it admits nothing.
    ///
    /// A capacity whose arithmetic would not be exact (above a million an hour and not round) is rounded down
    /// to the nearest thousand, million, …: never more is admitted than was set.
    pub(crate) fn new(scope: LimitScope, class: LimitClass, quota: Quota) -> Option<Self> {
        let window_us =
            u64::try_from(quota.window.as_micros()).ok().filter(|window| (1..=EXACT).contains(window))?;
        let capacity = u64::from(quota.capacity);
        if capacity == 0 {
            return None;
        }
        let rounded = [1, 1_000, 1_000_000, 1_000_000_000]
            .into_iter()
            .map(|step| capacity - capacity % step)
            .find(|capacity| {
                *capacity > 0 && capacity / greatest_common_divisor(window_us, *capacity) <= EXACT / window_us
            })
            .unwrap_or_else(|| capacity.min(EXACT / window_us));
        let divisor = greatest_common_divisor(window_us, rounded);
        Some(Self {
            scope,
            class,
            quota,
            whole_capacity: quota.capacity,
            window_us,
            interval: window_us / divisor,
            denominator: rounded / divisor,
            field: bucket_name(LimitScope::Principal, class, window_us).into(),
        })
    }

    /// Whether it is all of the quota and not a replica's share of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.quota.capacity == self.whole_capacity
    }

    /// The same bucket, for one of `replicas` processes that cannot see each other: each gets its share, at least
    /// one call per window.
    fn shared(self, replicas: u32) -> Self {
        let capacity = (self.quota.capacity / replicas.max(1)).max(1);
        let share = Self::new(self.scope, self.class, Quota { capacity, ..self.quota });
        share.map_or_else(|| self.clone(), |share| Self { whole_capacity: self.whole_capacity, ..share })
    }
}

/// `search-60`, or `tenant-search-60` for what all principals do together.
pub(crate) fn bucket_name(scope: LimitScope, class: LimitClass, window_us: u64) -> String {
    let mut name = String::with_capacity(24);
    name.push_str(match scope {
        LimitScope::Principal => "",
        LimitScope::Tenant => "tenant-",
    });
    let written = match window_us % 1_000_000 {
        0 => write!(name, "{class}-{}", window_us / 1_000_000),
        _ => write!(name, "{class}-{window_us}us"),
    };
    written.expect("a String takes all that is written");
    name
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// All that one call is decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The class that was asked for.
    pub(crate) class: LimitClass,
    /// Quotas of zero: nothing is admitted.
    pub(crate) closed: Box<[Bucket]>,
    /// The principal's buckets, then the tenant's.
    pub(crate) rates: Box<[Rate]>,
    /// How many of `rates` are the principal's own.
    pub(crate) own: usize,
    /// What refusals cost.
    pub(crate) steps: Box<[Step]>,
    /// Whether there is anything to ask: a bucket, or a penalty that a call of another class may have begun.
    pub(crate) counts: bool,
    /// The plan as the script reads it.
    pub(crate) packed: Box<[u8]>,
    /// The value of `RateLimit-Policy`.
    pub(crate) policy: Box<str>,
}

impl Plan {
    /// The plan of a call of `class` where `replicas` processes each keep their share: the buckets of `api`, and those
    /// of `class` if it is another.
    pub(crate) fn new(settings: &TenantSettings, class: LimitClass, replicas: u32) -> Self {
        let classes = if class == LimitClass::Api { &[class][..] } else { &[LimitClass::Api, class][..] };
        Self::of_classes(settings, class, classes, replicas)
    }

    /// The buckets of all classes, to look at.
    pub(crate) fn of_all(settings: &TenantSettings, replicas: u32) -> Self {
        Self::of_classes(settings, LimitClass::Api, LimitClass::ALL, replicas)
    }

    /// The same with other steps, which settings know in whole seconds only.
    #[cfg(test)]
    pub(crate) fn with_steps(mut self, steps: &[Step]) -> Self {
        self.packed = pack(&self.rates, self.own, steps);
        Self { steps: steps.into(), counts: true, ..self }
    }

    /// How long calls taken ahead may be spent. They are charged as if they were made at the end of it, which costs a
    /// bucket that was full so much of its window, once.
    pub(crate) fn lease_life(&self) -> Duration {
        const PART: u64 = 200;
        let shortest = self.rates.iter().map(|rate| rate.window_us).min();
        shortest.map_or(Duration::MAX, |window| Duration::from_micros(window / PART))
    }

    fn of_classes(
        settings: &TenantSettings,
        class: LimitClass,
        classes: &[LimitClass],
        replicas: u32,
    ) -> Self {
        let (mut rates, mut closed) = (Vec::with_capacity(classes.len() * 4), Vec::new());
        let mut own = 0;
        for scope in [LimitScope::Principal, LimitScope::Tenant] {
            own = if scope == LimitScope::Tenant { rates.len() } else { own };
            for class in classes.iter().copied() {
                for quota in quotas(settings, scope, class) {
                    match Rate::new(scope, class, quota) {
                        Some(rate) => add_tightest(&mut rates, rate.shared(replicas)),
                        None => closed.push(Bucket::closed(scope, class, quota)),
                    }
                }
            }
        }
        let steps = Step::all(settings.penalty_steps());
        let any_quota = LimitClass::ALL.iter().any(|class| !settings.quotas(*class).is_empty());
        Self {
            class,
            counts: !rates.is_empty() || (any_quota && !steps.is_empty()),
            packed: pack(&rates, own, &steps),
            policy: policy(&rates, &closed),
            closed: closed.into(),
            rates: rates.into(),
            own,
            steps,
        }
    }
}

fn quotas(settings: &TenantSettings, scope: LimitScope, class: LimitClass) -> Vec<Quota> {
    match scope {
        LimitScope::Principal => settings.quotas(class),
        LimitScope::Tenant => settings.tenant_quotas(class),
    }
}

/// Two quotas of one class over one window would be one bucket: the smaller one holds.
fn add_tightest(rates: &mut Vec<Rate>, rate: Rate) {
    let same = |known: &&mut Rate| known.scope == rate.scope && known.field == rate.field;
    match rates.iter_mut().find(same) {
        Some(known) if known.whole_capacity > rate.whole_capacity => *known = rate,
        Some(_) => {}
        None => rates.push(rate),
    }
}

/// Steps, fields of the principal, fields of the tenant, rates: the order in which the script unpacks them. The
/// principal's first field is its penalty.
fn pack(rates: &[Rate], own: usize, steps: &[Step]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(64 + rates.len() * 48);
    packed::array(&mut out, 4);
    let flat: Vec<u64> = steps.iter().flat_map(|step| [step.refusals, step.within, step.block]).collect();
    packed::numbers(&mut out, &flat);
    packed::array(&mut out, own + 1);
    packed::text(&mut out, "penalty");
    rates[..own].iter().for_each(|rate| packed::text(&mut out, &rate.field));
    packed::array(&mut out, rates.len() - own);
    rates[own..].iter().for_each(|rate| packed::text(&mut out, &rate.field));
    let flat: Vec<u64> =
        rates.iter().flat_map(|rate| [rate.window_us, rate.interval, rate.denominator]).collect();
    packed::numbers(&mut out, &flat);
    out.into()
}

/// `"name";q=capacity;w=window` for every quota (draft-ietf-httpapi-ratelimit-headers-10 §3).
fn policy(rates: &[Rate], closed: &[Bucket]) -> Box<str> {
    let open = rates.iter().map(|rate| (rate.scope, rate.class, rate.quota));
    let closed = closed.iter().map(|bucket| (bucket.scope, bucket.class, bucket.quota));
    let mut text = String::new();
    for (scope, class, quota) in open.chain(closed) {
        let separator = if text.is_empty() { "" } else { ", " };
        let name = bucket_name(scope, class, u64::try_from(quota.window.as_micros()).unwrap_or(u64::MAX));
        write!(text, "{separator}\"{name}\";q={};w={}", quota.capacity, quota.window.as_secs())
            .expect("a String takes all that is written");
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(class: LimitClass, quotas: &[Quota]) -> TenantSettings {
        TenantSettings { limits: [(class, quotas.to_vec())].into(), ..TenantSettings::default() }
    }

    #[test]
    fn a_search_counts_on_eight_buckets_and_a_plain_call_on_four() {
        let settings = TenantSettings::default();
        let count = |class| {
            let plan = Plan::new(&settings, class, 1);
            (plan.own, plan.rates.len())
        };
        assert_eq!((count(LimitClass::Search), count(LimitClass::Api)), ((4, 8), (2, 4)));
        assert_eq!(Plan::of_all(&settings, 1).rates.len(), 14);
    }

    #[test]
    fn a_quota_of_zero_closes_and_equal_windows_merge() {
        let zero = Quota::per_minute(0);
        let closed = Plan::new(&settings(LimitClass::Api, &[zero]), LimitClass::Search, 1).closed;
        assert_eq!(closed.iter().map(|bucket| bucket.quota).collect::<Vec<_>>(), [zero]);
        let twice = settings(LimitClass::Api, &[Quota::per_minute(9), Quota::per_minute(3)]);
        let plan = Plan::new(&twice, LimitClass::Api, 1);
        assert_eq!(plan.rates[..plan.own].iter().map(|rate| rate.quota.capacity).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_share_is_never_nothing_and_knows_the_whole() {
        let settings = settings(LimitClass::Api, &[Quota::per_minute(2)]);
        let plan = Plan::new(&settings, LimitClass::Api, 3);
        assert_eq!((plan.rates[0].quota.capacity, plan.rates[0].whole_capacity), (1, 2));
        assert_eq!((plan.rates[1].quota.capacity, plan.rates[1].whole_capacity), (3_333, 10_000));
    }

    #[test]
    fn without_any_quota_there_is_nothing_to_ask() {
        let mut settings = TenantSettings::default();
        settings.limits.extend(LimitClass::ALL.iter().map(|class| (*class, Vec::new())));
        settings.tenant_limits = settings.limits.clone();
        assert!(!Plan::new(&settings, LimitClass::Api, 1).counts);
        settings.limits.insert(LimitClass::Search, vec![Quota::per_minute(1)]);
        assert!(
            Plan::new(&settings, LimitClass::Api, 1).counts,
            "a penalty of a search shuts out everything"
        );
    }

    proptest! {
        #[test]
        fn rates_stay_exact_and_never_exceed_the_quota(capacity in 1_u32.., seconds in 1_u64..40_000_000) {
            let quota = Quota { capacity, window: Duration::from_secs(seconds) };
            let rate = Rate::new(LimitScope::Tenant, LimitClass::Api, quota).expect("neither is zero");
            prop_assert!(u128::from(rate.denominator) * u128::from(rate.window_us) <= u128::from(EXACT));
            // interval / denominator >= window / capacity
            prop_assert!(u128::from(rate.interval) * u128::from(capacity)
                >= u128::from(rate.window_us) * u128::from(rate.denominator));
            if capacity <= 1_000_000 && seconds <= 3_600 {
                prop_assert_eq!(u128::from(rate.interval) * u128::from(capacity),
                    u128::from(rate.window_us) * u128::from(rate.denominator));
            }
        }
    }
}
