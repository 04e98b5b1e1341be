//! The gateway's replicas: whether there are any, and whether they agree on what they must have in common.

use std::collections::BTreeSet;

use serde_json::json;
use stagedoor_domain::error::Chain;
use stagedoor_domain::health::Verdict;
use stagedoor_storage::replicas::{LIVE_WITHIN, Replica};

use super::{Check, Finding, Rooms};

impl Rooms<'_> {
    pub(super) async fn replicas(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        match store.live_replicas(LIVE_WITHIN).await {
            Err(error) => vec![Check::Replicas.failed(Chain(&error))],
            Ok(replicas) => vec![judged(&replicas)],
        }
    }
}

/// During a roll-out replicas differ for minutes: a warning, as it holds up no call.
fn judged(replicas: &[Replica]) -> Finding {
    let reports = || replicas.iter().map(|replica| &replica.report);
    let mut differ = Vec::new();
    let versions: BTreeSet<_> = reports().map(|report| report.version.as_str()).collect();
    if versions.len() > 1 {
        differ.push(format!("releases ({})", versions.iter().copied().collect::<Vec<_>>().join(", ")));
    }
    let configurations: BTreeSet<_> = reports().map(|report| report.configuration_digest).collect();
    if configurations.len() > 1 {
        differ.push(format!("configurations ({} of them)", configurations.len()));
    }
    let keys: BTreeSet<BTreeSet<_>> =
        reports().map(|report| report.key_encryption_keys.iter().collect()).collect();
    if keys.len() > 1 {
        differ.push("key-encryption keys".to_owned());
    }
    if reports().map(|report| report.wraps_with).collect::<BTreeSet<_>>().len() > 1 {
        differ.push("the key that wraps".to_owned());
    }
    if reports().map(|report| &report.pepper_versions).collect::<BTreeSet<_>>().len() > 1 {
        differ.push("peppers".to_owned());
    }
    let keyless = reports().filter(|report| report.wraps_with.is_none()).count();
    let hosts: Vec<_> = reports().map(|report| report.host.as_str()).collect();
    let figures = json!({
        "live": replicas.len(),
        "hosts": hosts,
        "releases": versions,
        "configurations": configurations.len(),
        "without_wrapping_key": keyless,
    });
    let (verdict, told) = if replicas.is_empty() {
        (Verdict::Failing, "no replica of the gateway is there".to_owned())
    } else if keyless > 0 {
        (Verdict::Failing, format!("{keyless} of {} replicas have no key that wraps", replicas.len()))
    } else if differ.is_empty() {
        (Verdict::Ok, format!("{} replicas, all alike", replicas.len()))
    } else {
        (Verdict::Warning, format!("{} replicas differ in {}", replicas.len(), differ.join(", ")))
    };
    Check::Replicas.found(verdict, told).with(figures)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta};
    use stagedoor_storage::replicas::ReplicaReport;
    use uuid::Uuid;

    use super::*;

    fn replica(change: impl FnOnce(&mut ReplicaReport)) -> Replica {
        let key = Uuid::from_u128(7);
        let mut report = ReplicaReport {
            id: Uuid::from_u128(1),
            host: "a".to_owned(),
            version: "1".to_owned(),
            key_encryption_keys: vec![key],
            wraps_with: Some(key),
            pepper_versions: vec![1],
            opened_key: Duration::from_mins(1),
            configuration_digest: [0; 32],
            clock_skew: TimeDelta::zero(),
        };
        change(&mut report);
        Replica { report, started_at: DateTime::UNIX_EPOCH, seen_at: DateTime::UNIX_EPOCH }
    }

    type Change = fn(&mut ReplicaReport);

    #[test]
    fn what_replicas_differ_in_is_named() {
        let same = || replica(|_| {});
        assert_eq!(judged(&[same(), same()]).verdict, Verdict::Ok);
        assert_eq!(judged(&[]).verdict, Verdict::Failing);
        let changes: [(Change, &str); 5] = [
            (|report| report.version = "2".to_owned(), "releases (1, 2)"),
            (|report| report.configuration_digest = [1; 32], "configurations (2 of them)"),
            (|report| report.key_encryption_keys.clear(), "key-encryption keys"),
            (|report| report.wraps_with = Some(Uuid::nil()), "the key that wraps"),
            (|report| report.pepper_versions.push(2), "peppers"),
        ];
        for (change, named) in changes {
            let found = judged(&[same(), replica(change)]);
            assert_eq!(found.verdict, Verdict::Warning);
            assert_eq!(found.told, format!("2 replicas differ in {named}"));
        }
        assert_eq!(judged(&[replica(|report| report.wraps_with = None)]).verdict, Verdict::Failing);
    }
}
