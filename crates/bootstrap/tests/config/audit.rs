//! Where checkpoints go, and how often.

use std::time::Duration;

use super::{VALID, setting};

#[test]
fn checkpoints_go_to_a_folder_or_a_bucket() {
    for place in [
        "file:///var/lib/stagedoor/checkpoints",
        "s3://evidence",
        "s3://evidence/stagedoor/audit",
        "gs://evidence/audit",
        "az://container/audit",
    ] {
        let yaml = format!("{VALID}audit:\n  checkpoint_url: '{place}'\n");
        let config = setting(&yaml, &[]).load();
        assert_eq!(config.audit.checkpoint_url.unwrap().as_str(), place);
    }
    for place in [
        "file:///",
        "file://elsewhere/folder",
        "s3:///no-bucket",
        "https://bucket.s3.example.com/audit",
        "s3://key:pa55@bucket/audit",
        "s3://bucket/audit?region=eu",
    ] {
        let yaml = format!("{VALID}audit:\n  checkpoint_url: '{place}'\n");
        let refusal = setting(&yaml, &[]).refusal();
        assert!(
            refusal.contains("audit.checkpoint_url: it is no place for checkpoints"),
            "{place}: {refusal}"
        );
    }
}

#[test]
fn an_interval_of_nothing_and_one_of_hours_are_refused() {
    let minute = setting(VALID, &[]).load().audit;
    assert_eq!(minute.checkpoint_interval(), Duration::from_mins(1));
    assert_eq!(minute.max_log_size_bytes, 1 << 30);
    for seconds in [0, 3_601] {
        let yaml = format!("{VALID}audit:\n  checkpoint_interval_seconds: {seconds}\n");
        let refusal = setting(&yaml, &[]).refusal();
        assert!(refusal.contains("audit.checkpoint_interval_seconds"), "{refusal}");
    }
}
