//! The alert rules: their limits are the doctor's, and each is explained. Whether what they name is there is `dashboards`'.

use std::time::Duration;

use stagedoor_domain::health::{
    CLOCK_SKEW, DAILY_BACKUP_AGE, DISK_USED_PERCENT, DRILL_AGE, LATE_REQUESTS, LEAST_CACHE_HITS_PERCENT,
    UNSEALED_AUDIT,
};

const RULES: &str = include_str!("../../../docs/alerts.yaml");
const HELP: &str = include_str!("../../../docs/health.md");

/// The alert's own lines.
fn alert(name: &str) -> &'static str {
    let mut alerts = RULES.split("- alert: ").skip(1);
    alerts.find(|alert| alert.lines().next() == Some(name)).unwrap_or_else(|| panic!("there is no {name}"))
}

#[test]
fn the_rules_have_the_doctors_limits() {
    let seconds = |time: Duration| time.as_secs().to_string();
    let limits = [
        ("StagedoorStorageFilling", DISK_USED_PERCENT.warning.to_string()),
        ("StagedoorStorageFull", DISK_USED_PERCENT.failing.to_string()),
        ("StagedoorClockSkewed", seconds(CLOCK_SKEW.warning)),
        ("StagedoorClockWrong", seconds(CLOCK_SKEW.failing)),
        ("StagedoorAuditUnsealed", seconds(UNSEALED_AUDIT.warning)),
        ("StagedoorAuditNotSealed", seconds(UNSEALED_AUDIT.failing)),
        ("StagedoorPrivacyRequestsLate", LATE_REQUESTS.failing.to_string()),
        ("StagedoorBackupLate", seconds(DAILY_BACKUP_AGE.warning)),
        ("StagedoorBackupMissing", seconds(DAILY_BACKUP_AGE.failing)),
        ("StagedoorDrillLate", seconds(DRILL_AGE.warning)),
    ];
    for (name, limit) in limits {
        let rule = alert(name);
        assert!(rule.contains(&format!(" > {limit}\n")), "{name} is not about {limit}: {rule}");
    }
    let hits = alert("StagedoorCacheHitsLow");
    assert!(hits.contains(&format!(" < {LEAST_CACHE_HITS_PERCENT}\n")), "{hits}");
}

#[test]
fn every_alert_says_what_to_do() {
    for alert in RULES.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        assert!(HELP.contains(&format!("`{name}`")), "docs/health.md does not say what to do about {name}");
    }
}
