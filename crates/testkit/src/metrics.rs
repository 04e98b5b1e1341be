//! What a gateway says of itself at `/metrics`, read into numbers.

use std::net::SocketAddr;

use crate::client;

/// The series of one moment.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    pub(crate) async fn of(ops: SocketAddr) -> Self {
        Self(client::get(ops, "/metrics").await.text())
    }

    /// A counter or gauge by its name without the prefix, such as `cache_calls`: the sum of its series that have all
    /// of these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let wanted = format!("stagedoor_{name}");
        let has = |series: &str| {
            labels.iter().all(|(label, value)| series.contains(&format!("{label}=\"{value}\"")))
        };
        let values = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let name = series.split('{').next()?;
            let fits = (name == wanted || name == format!("{wanted}_total")) && has(series);
            fits.then(|| whole(value))?
        });
        values.sum()
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Gauges are written as decimals.
fn whole(value: &str) -> Option<u64> {
    value.parse().ok().or_else(|| value.strip_suffix(".0")?.parse().ok())
}
