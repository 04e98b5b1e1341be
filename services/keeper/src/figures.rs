//! What a run leaves in the metrics: pushed at its end, because nobody could come and read it after.

use chrono::{DateTime, Utc};
use stagedoor_bootstrap::config::TelemetryConfig;
use stagedoor_bootstrap::telemetry::{Figure, push};
use stagedoor_domain::error::Chain;

use crate::run::{Ended, Ending};

const ENDINGS: [Ending; 5] =
    [Ending::Succeeded, Ending::Partly, Ending::Failed, Ending::Refused, Ending::Interrupted];

/// Pushes the figures of a run, where an endpoint is configured. A collector that is down fails no job.
pub(crate) async fn tell(config: &TelemetryConfig, ended: &Ended, now: DateTime<Utc>) {
    if let Err(error) = push(config, "stagedoor-keeper", &figures(ended, now)).await {
        tracing::warn!(target: "keeper", error = %Chain(&error), "the run's figures were not pushed");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are known to more digits than matter")]
fn figures(ended: &Ended, now: DateTime<Utc>) -> Vec<Figure> {
    let figure = |name, label: Option<(&'static str, String)>, value| {
        // Not `job`, which Prometheus has for itself.
        let job = ("keeper_job", ended.job.to_owned());
        Figure { name, labels: std::iter::once(job).chain(label).collect(), value }
    };
    let mut figures =
        vec![figure("stagedoor_keeper_run_duration_seconds", None, ended.duration.as_secs_f64())];
    for ending in ENDINGS {
        let is = if ended.ending == ending { 1.0 } else { 0.0 };
        let label = ("outcome", ending.as_str().to_owned());
        figures.push(figure("stagedoor_keeper_run_outcome", Some(label), is));
    }
    if !ended.dry_run {
        let at = now.timestamp() as f64;
        figures.push(figure("stagedoor_keeper_last_run_timestamp_seconds", None, at));
        if ended.ending == Ending::Succeeded {
            figures.push(figure("stagedoor_keeper_last_success_timestamp_seconds", None, at));
        }
    }
    for (name, count) in &ended.counts {
        figures.push(figure("stagedoor_keeper_run_count", Some(("of", name.clone())), *count as f64));
    }
    figures
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ended(ending: Ending, dry_run: bool) -> Ended {
        let counts = [("rows_deleted".to_owned(), 7)].into();
        let duration = Duration::from_millis(1500);
        Ended { job: "retention", ending, dry_run, counts, remarks: vec![], answer: None, duration }
    }

    #[test]
    fn only_a_run_that_did_its_work_is_a_success() {
        let at = DateTime::from_timestamp(1_000, 0).unwrap();
        let successes = |ending, dry_run| {
            let figures = figures(&ended(ending, dry_run), at);
            figures.into_iter().filter(|figure| figure.name.contains("last_success")).count()
        };
        assert_eq!(successes(Ending::Succeeded, false), 1);
        for (ending, dry_run) in [(Ending::Succeeded, true), (Ending::Partly, false), (Ending::Failed, false)]
        {
            assert_eq!(successes(ending, dry_run), 0);
        }
    }
}
