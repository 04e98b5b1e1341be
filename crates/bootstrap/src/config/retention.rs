//! How long what is kept, where a tenant has set nothing of its own. The bounds are those of `domain::retention`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{Retained, RetentionSettings};

/// How long what is kept, in days; a tenant's own `retention` goes first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Days after which the session of an account that nobody uses is deleted; the account must be linked again then.
    #[schemars(range(min = 7, max = 365))]
    pub sessions_days: u32,
    /// Days of the audit trail that are kept.
    #[schemars(range(min = 30, max = 3650))]
    pub audit_days: u32,
    /// Days of which the figures are kept one by one; later they are sums of months.
    #[schemars(range(min = 7, max = 365))]
    pub metrics_days: u32,
    /// Days for which it is kept which calls a limit refused.
    #[schemars(range(min = 1, max = 365))]
    pub limit_violations_days: u32,
}

impl RetentionConfig {
    /// The same in the form of a tenant's settings.
    pub const fn settings(&self) -> RetentionSettings {
        RetentionSettings {
            sessions_days: Some(self.sessions_days),
            audit_days: Some(self.audit_days),
            metrics_days: Some(self.metrics_days),
            limit_violations_days: Some(self.limit_violations_days),
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let days = |what: Retained| what.rule().days;
        Self {
            sessions_days: days(Retained::Sessions),
            audit_days: days(Retained::Audit),
            metrics_days: days(Retained::Metrics),
            limit_violations_days: days(Retained::LimitViolations),
        }
    }
}
