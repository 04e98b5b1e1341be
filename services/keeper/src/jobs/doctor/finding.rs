//! What a check found, and all of it together: for people and for programs.

use std::fmt::{self, Display};

use serde_json::{Value, json};
use stagedoor_domain::health::Verdict;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The database, under every role that is set up.
    Storage,
    /// Whether every migration of this build was applied.
    Schema,
    /// The database's size and connections.
    Space,
    /// The disks of this machine.
    Disks,
    /// The key-encryption keys, tried.
    Keys,
    /// The Redis of the cache.
    Cache,
    /// The Redis of limits.
    Limits,
    /// The clocks of the keeper, the database, Redis and the replicas.
    Clocks,
    /// The gateway's replicas, and whether they are configured alike.
    Replicas,
    /// The age of backups.
    Backups,
    /// When backups were last restored for practice.
    Drill,
    /// Audit records that no checkpoint covers.
    AuditTail,
    /// The audit trail's partitions of the coming days.
    Partitions,
    /// Requests of people for their data.
    Privacy,
    /// The keeper's own runs.
    Runs,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// What was found, in words.
    pub told: String,
    /// The same in figures, by name.
    pub figures: Value,
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report(pub Vec<Finding>);

impl Check {
    /// Every check, in the order in which it is told.
    pub const ALL: [Self; 15] = [
        Self::Storage,
        Self::Schema,
        Self::Space,
        Self::Disks,
        Self::Keys,
        Self::Cache,
        Self::Limits,
        Self::Clocks,
        Self::Replicas,
        Self::Backups,
        Self::Drill,
        Self::AuditTail,
        Self::Partitions,
        Self::Privacy,
        Self::Runs,
    ];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Schema => "schema",
            Self::Space => "space",
            Self::Disks => "disks",
            Self::Keys => "keys",
            Self::Cache => "cache",
            Self::Limits => "limits",
            Self::Clocks => "clocks",
            Self::Replicas => "replicas",
            Self::Backups => "backups",
            Self::Drill => "drill",
            Self::AuditTail => "audit_tail",
            Self::Partitions => "partitions",
            Self::Privacy => "privacy",
            Self::Runs => "runs",
        }
    }

    /// This check with a verdict and words.
    pub fn found(self, verdict: Verdict, told: impl Into<String>) -> Finding {
        Finding { check: self, verdict, told: told.into(), figures: json!({}) }
    }

    /// This check where what is checked does not answer.
    pub fn failed(self, error: impl Display) -> Finding {
        self.found(Verdict::Failing, error.to_string())
    }
}

impl Finding {
    /// With these figures.
    #[must_use]
    pub fn with(self, figures: Value) -> Self {
        Self { figures, ..self }
    }
}

impl Report {
    /// The worst verdict.
    pub fn verdict(&self) -> Verdict {
        self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }

    /// What is not as it should be, the worst first.
    pub fn troubles(&self) -> Vec<&Finding> {
        let mut troubles: Vec<_> = self.0.iter().filter(|finding| finding.verdict > Verdict::Ok).collect();
        troubles.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        troubles
    }

    /// For programs, where there is no run that it would be the answer of; of the same form.
    pub fn alone(&self) -> Value {
        json!({"job": "doctor", "outcome": "failed", "answer": self.to_json()})
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let checks = self.0.iter().map(|finding| {
            json!({
                "check": finding.check.as_str(),
                "verdict": finding.verdict.as_str(),
                "told": finding.told,
                "figures": finding.figures,
            })
        });
        json!({"verdict": self.verdict().as_str(), "checks": checks.collect::<Vec<_>>()})
    }
}

impl Display for Report {
    /// One line for each finding: the verdict, the check, what was found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            let (verdict, check) = (finding.verdict.as_str(), finding.check.as_str());
            writeln!(f, "{verdict:<8} {check:<11} {}", finding.told)?;
        }
        Ok(())
    }
}

/// A length of time in the largest unit that says enough.
pub(super) fn spell(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..5 => format!("{} ms", time.as_millis()),
        5..300 => format!("{seconds} s"),
        300..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_report_is_as_bad_as_its_worst_finding() {
        let mut report = Report::default();
        assert_eq!(report.verdict(), Verdict::Ok);
        report.0.push(Check::Keys.found(Verdict::Ok, "2 keys open"));
        report.0.push(Check::Backups.found(Verdict::Warning, "the newest is 30 h old"));
        assert_eq!((report.verdict(), report.troubles().len()), (Verdict::Warning, 1));
        report.0.push(Check::Limits.failed("out of reach"));
        assert_eq!(report.troubles()[0].check, Check::Limits);
        let text = "ok       keys        2 keys open\n\
                    warning  backups     the newest is 30 h old\n\
                    failing  limits      out of reach\n";
        assert_eq!(report.to_string(), text);
        let told = report.to_json();
        assert_eq!((&told["verdict"], &told["checks"][2]["check"]), (&json!("failing"), &json!("limits")));
    }

    #[test]
    fn times_are_spelled_for_people() {
        let spelled = [1, 90, 3_600, 93_600, 864_000].map(|seconds| spell(Duration::from_secs(seconds)));
        assert_eq!(spelled, ["1000 ms", "90 s", "60 min", "26 h", "10 days"]);
    }
}
