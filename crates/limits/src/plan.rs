//! Which buckets a call is counted on, and each bucket's rate in exact integers.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{TenantContext, TenantSettings};

/// The largest product that the script may form: Lua's numbers are doubles, exact up to 2^53.
const EXACT: u64 = 1 << 52;

/// One bucket's rate. A call moves the arrival time on by `interval / denominator` microseconds, the reduced
/// fraction `window / capacity`, which is exact where a division would not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) class: LimitClass,
    /// The quota as the tenant set it.
    pub(crate) quota: Quota,
    pub(crate) window_us: u64,
    pub(crate) interval: u64,
    pub(crate) denominator: u64,
}

impl Rate {
    /// `quota` as a rate; `None` if it admits nothing.
    ///
    /// A capacity whose arithmetic would not be exact (above a million an hour and not round) is rounded down
    /// to the nearest thousand, million, …: never more is admitted than was set.
    pub(crate) fn new(class: LimitClass, quota: Quota) -> Option<Self> {
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
        Some(Self { class, quota, window_us, interval: window_us / divisor, denominator: rounded / divisor })
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// All buckets of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Count on these; there may be none.
    Count(Arc<[Rate]>),
    /// A quota of zero: nothing is admitted.
    Closed(LimitClass, Quota),
}

impl Plan {
    /// The buckets for a call of `class`: those of `api`, and those of `class` if it is another.
    pub(crate) fn of(ctx: &TenantContext, class: LimitClass) -> Self {
        Self::from_settings(&ctx.tenant().settings, class, 1)
    }

    /// The same, for one of `replicas` processes that cannot see each other: each gets its share, at least one
    /// call per window.
    pub(crate) fn share_of(ctx: &TenantContext, class: LimitClass, replicas: u32) -> Self {
        Self::from_settings(&ctx.tenant().settings, class, replicas)
    }

    fn from_settings(settings: &TenantSettings, class: LimitClass, replicas: u32) -> Self {
        let mut rates: Vec<Rate> = Vec::with_capacity(4);
        let classes = if class == LimitClass::Api { &[class][..] } else { &[LimitClass::Api, class][..] };
        for class in classes.iter().copied() {
            for quota in settings.quotas(class) {
                let Some(rate) = Rate::new(class, share(quota, replicas)) else {
                    return Self::Closed(class, quota);
                };
                add_tightest(&mut rates, rate);
            }
        }
        Self::Count(rates.into())
    }
}

fn share(quota: Quota, replicas: u32) -> Quota {
    match quota.capacity {
        0 => quota,
        capacity => Quota { capacity: (capacity / replicas.max(1)).max(1), ..quota },
    }
}

/// Two quotas of one class over one window would be one key: the smaller one holds.
fn add_tightest(rates: &mut Vec<Rate>, rate: Rate) {
    match rates.iter_mut().find(|known| known.class == rate.class && known.window_us == rate.window_us) {
        Some(known) if known.quota.capacity > rate.quota.capacity => *known = rate,
        Some(_) => {}
        None => rates.push(rate),
    }
}

/// Microseconds as a duration.
pub(crate) fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(class: LimitClass, quotas: &[Quota]) -> TenantSettings {
        TenantSettings { limits: [(class, quotas.to_vec())].into(), ..TenantSettings::default() }
    }

    #[test]
    fn a_search_counts_on_four_buckets_and_a_plain_call_on_two() {
        let settings = TenantSettings::default();
        let count = |class| match Plan::from_settings(&settings, class, 1) {
            Plan::Count(rates) => rates.len(),
            Plan::Closed(..) => 0,
        };
        assert_eq!((count(LimitClass::Search), count(LimitClass::Api)), (4, 2));
    }

    #[test]
    fn a_quota_of_zero_closes_and_equal_windows_merge() {
        let zero = Quota::per_minute(0);
        let closed = Plan::from_settings(&settings(LimitClass::Api, &[zero]), LimitClass::Search, 1);
        assert_eq!(closed, Plan::Closed(LimitClass::Api, zero));
        let twice = settings(LimitClass::Api, &[Quota::per_minute(9), Quota::per_minute(3)]);
        let Plan::Count(rates) = Plan::from_settings(&twice, LimitClass::Api, 1) else { panic!("closed") };
        assert_eq!(rates.iter().map(|rate| rate.quota.capacity).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_share_is_never_nothing() {
        let settings = settings(LimitClass::Api, &[Quota::per_minute(2)]);
        let Plan::Count(rates) = Plan::from_settings(&settings, LimitClass::Api, 3) else { panic!("closed") };
        assert_eq!(rates[0].quota.capacity, 1);
    }

    proptest! {
        #[test]
        fn rates_stay_exact_and_never_exceed_the_quota(capacity in 1_u32.., seconds in 1_u64..40_000_000) {
            let quota = Quota { capacity, window: Duration::from_secs(seconds) };
            let rate = Rate::new(LimitClass::Api, quota).expect("capacity and window are not zero");
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
