//! The alert rules: every metric that they name is there, and their limits are the doctor's.

use std::collections::BTreeSet;
use std::time::Duration;

use stagedoor_domain::health::{
    CLOCK_SKEW, DAILY_BACKUP_AGE, DISK_USED_PERCENT, DRILL_AGE, LATE_REQUESTS, LEAST_CACHE_HITS_PERCENT,
    UNSEALED_AUDIT,
};
use stagedoor_testkit::{Stage, TestGateway};

const RULES: &str = include_str!("../../../docs/alerts.yaml");
const HELP: &str = include_str!("../../../docs/health.md");
/// What the keeper pushes.
const PUSHED: &str = include_str!("../../../services/keeper/src/figures.rs");

/// The names of metrics in the rules' expressions.
fn named() -> BTreeSet<&'static str> {
    let words = RULES.split(|mark: char| !(mark.is_ascii_alphanumeric() || mark == '_'));
    words.filter(|word| word.starts_with("stagedoor_")).collect()
}

/// The alert's own lines.
fn alert(name: &str) -> &'static str {
    let mut alerts = RULES.split("- alert: ").skip(1);
    alerts.find(|alert| alert.lines().next() == Some(name)).unwrap_or_else(|| panic!("there is no {name}"))
}

#[tokio::test]
async fn every_metric_of_the_rules_is_there() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let shown = gateway.metrics().await;
    let there: BTreeSet<_> =
        shown.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let names = named();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let family = name.strip_suffix("_total").unwrap_or(name);
        let pushed = PUSHED.contains(&format!("\"{name}\""));
        assert!(there.contains(family) || pushed, "no metric is called {name}");
    }
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
