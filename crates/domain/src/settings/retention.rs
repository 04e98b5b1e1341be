//! How a tenant's times of retention are read.

use serde_json::Value;

use super::{Reader, member};
use crate::retention::{Retained, RetentionSettings};

impl Reader {
    /// Days within the policy's bounds; what is out of them is as if it were not set.
    pub(super) fn retention(&mut self, path: &str, value: &Value) -> RetentionSettings {
        const MEMBERS: [&str; 4] = ["sessions_days", "audit_days", "metrics_days", "limit_violations_days"];
        let mut settings = RetentionSettings::default();
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let path = &member(path, name);
            match name.as_str() {
                "sessions_days" => settings.sessions_days = self.days(path, value, Retained::Sessions),
                "audit_days" => settings.audit_days = self.days(path, value, Retained::Audit),
                "metrics_days" => settings.metrics_days = self.days(path, value, Retained::Metrics),
                "limit_violations_days" => {
                    settings.limit_violations_days = self.days(path, value, Retained::LimitViolations);
                }
                _ => {}
            }
        }
        settings
    }

    fn days(&mut self, path: &str, value: &Value, what: Retained) -> Option<u32> {
        let bounds = what.rule().bounds.clone()?;
        let days =
            value.as_u64().and_then(|days| u32::try_from(days).ok()).filter(|days| bounds.contains(days));
        if days.is_none() {
            let wanted = format!("a whole number of days from {} to {}", bounds.start(), bounds.end());
            self.wrong(path, value, &wanted);
        }
        days
    }
}
