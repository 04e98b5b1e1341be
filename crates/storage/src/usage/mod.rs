//! What agents' calls came to, by time, person, key, tool and kind of item: counts, and sketches of how long they took.
//! Minutes come from replicas (`append`), hours and days from minutes (`rolling`); `query` reads all of them. What is
//! counted is not decided here.

mod append;
mod period;
mod principal;
mod query;
mod retention;
mod rolling;
mod sketch;
mod tenants;

use stagedoor_domain::UserId;
use uuid::Uuid;

pub use append::{MinuteLine, append, ensure_partitions};
pub use period::Period;
pub use principal::{PrincipalUsage, Sums, of_principal};
pub use query::{GroupBy, Latency, UsageAnswer, UsageFilter, UsageLine, UsageQuery, query};
pub use retention::{UsageTable, count_old, delete_old, drop_days, partition_days};
pub use rolling::{Rolled, days_to_roll, hours_to_roll, roll_day, roll_hour};
pub use sketch::LatencySketch;
pub use tenants::{TenantFigures, of_tenants};

/// What stands for a principal that is not named, because the person that it acts for does not let that be counted.
pub const WITHHELD: &str = "withheld";
/// What stands for principal and tool of what was one series too many for a replica.
pub const OTHER: &str = "other";
/// What stands for a principal whose credentials were refused.
pub const UNAUTHENTICATED: &str = "unauthenticated";
/// What stands for no tool, and for no kind of item.
pub const NONE: &str = "none";

/// Counts of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Calls that were let in.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// What was refused.
    pub denied: Denials,
    /// Calls that the cache answered.
    pub cache_hits: u64,
    /// Calls that it was asked for and could not.
    pub cache_misses: u64,
    /// Requests that calls sent to music services; those for tokens are not among them.
    pub provider_calls: u64,
    /// Words in all search queries.
    pub search_words: u64,
}

/// What was refused before it began, by the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Denials {
    /// Calls over a limit, or for which there was no place.
    pub limit: u64,
    /// Calls for which the principal lacks a scope, or that its key is not shown.
    pub scope: u64,
    /// Calls that the tenant's settings or the person's consents do not allow.
    pub policy: u64,
    /// Refused credentials; of these nobody knows which calls they would have made.
    pub credentials: u64,
}

impl Denials {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.limit + self.scope + self.policy + self.credentials
    }
}

impl Figures {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds others to them.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.denied.limit += other.denied.limit;
        self.denied.scope += other.denied.scope;
        self.denied.policy += other.denied.policy;
        self.denied.credentials += other.denied.credentials;
        self.cache_hits += other.cache_hits;
        self.cache_misses += other.cache_misses;
        self.provider_calls += other.provider_calls;
        self.search_words += other.search_words;
    }

    /// In the order of the columns.
    fn columns(&self) -> [i64; 10] {
        [
            self.calls,
            self.errors,
            self.denied.limit,
            self.denied.scope,
            self.denied.policy,
            self.denied.credentials,
            self.cache_hits,
            self.cache_misses,
            self.provider_calls,
            self.search_words,
        ]
        .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// One row of either table, as far as reading and rolling up need it.
struct Row {
    starts_at: chrono::DateTime<chrono::Utc>,
    user_id: Uuid,
    principal: String,
    tool: String,
    content: String,
    calls: i64,
    errors: i64,
    denied_limit: i64,
    denied_scope: i64,
    denied_policy: i64,
    denied_credentials: i64,
    cache_hits: i64,
    cache_misses: i64,
    provider_calls: i64,
    search_words: i64,
    latency: Vec<u8>,
}

impl Row {
    fn figures(&self) -> Figures {
        // The table holds no negative number.
        Figures {
            calls: self.calls.unsigned_abs(),
            errors: self.errors.unsigned_abs(),
            denied: Denials {
                limit: self.denied_limit.unsigned_abs(),
                scope: self.denied_scope.unsigned_abs(),
                policy: self.denied_policy.unsigned_abs(),
                credentials: self.denied_credentials.unsigned_abs(),
            },
            cache_hits: self.cache_hits.unsigned_abs(),
            cache_misses: self.cache_misses.unsigned_abs(),
            provider_calls: self.provider_calls.unsigned_abs(),
            search_words: self.search_words.unsigned_abs(),
        }
    }
}

/// The person as the key of a row has it.
fn column_of(user: Option<UserId>) -> Uuid {
    user.map_or(Uuid::nil(), |user| user.0)
}

/// The other way round.
fn user_of(column: Uuid) -> Option<UserId> {
    (!column.is_nil()).then(|| column.into())
}
