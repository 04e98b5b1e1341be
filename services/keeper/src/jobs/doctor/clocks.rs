//! How far the clocks are apart that must agree: tokens, session lives, audit days and limits go by them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use stagedoor_domain::error::Chain;
use stagedoor_domain::health::{CLOCK_SKEW, Verdict};
use stagedoor_storage::replicas::LIVE_WITHIN;

use super::finding::spell;
use super::{Check, Finding, Rooms};

impl Rooms<'_> {
    pub(super) async fn clocks(&self) -> Vec<Finding> {
        let (cache, limits) = (&self.config.cache, &self.config.rate_limiting);
        let mut skews = Vec::new();
        if let Some(store) = self.store() {
            let asked = self.clock.now();
            match store.database_facts().await {
                Ok(facts) => {
                    skews.push(("the database".to_owned(), apart(asked, facts.now, self.clock.now())));
                }
                Err(error) => return vec![Check::Clocks.failed(Chain(&error))],
            }
            match store.live_replicas(LIVE_WITHIN).await {
                Ok(replicas) => skews.extend(replicas.iter().map(|replica| {
                    let name = format!("replica {} ({})", replica.report.host, replica.report.id);
                    (name, replica.report.clock_skew)
                })),
                Err(error) => return vec![Check::Clocks.failed(Chain(&error))],
            }
        }
        for (check, url, cluster) in [
            (Check::Cache, cache.redis_url.as_ref(), cache.redis_cluster),
            (Check::Limits, limits.redis_url.as_ref(), limits.redis_cluster),
        ] {
            let asked = self.clock.now();
            // One that does not answer is told by the check of its own.
            if let Some(Ok(facts)) = self.server(check, url, cluster).await {
                let name = format!("the Redis of {}", check.as_str());
                skews.push((name, apart(asked, facts.now, self.clock.now())));
            }
        }
        vec![judged(skews)]
    }
}

/// How far `theirs` is from our clock, which showed `asked` before and `answered` after: nothing while it is between.
fn apart(asked: DateTime<Utc>, theirs: DateTime<Utc>, answered: DateTime<Utc>) -> TimeDelta {
    if theirs > answered {
        theirs - answered
    } else if theirs < asked {
        theirs - asked
    } else {
        TimeDelta::zero()
    }
}

fn judged(skews: Vec<(String, TimeDelta)>) -> Finding {
    let mut figures = Map::new();
    let mut worst = (Duration::ZERO, String::new());
    for (name, skew) in skews {
        let length = skew.abs().to_std().unwrap_or_default();
        figures.insert(format!("{name} ms"), Value::from(skew.num_milliseconds()));
        if length >= worst.0 {
            worst = (length, name);
        }
    }
    let verdict = CLOCK_SKEW.judge(worst.0);
    let told = match (verdict, worst.1.is_empty()) {
        (_, true) => "there is no other clock to compare with".to_owned(),
        (Verdict::Ok, _) => format!("{} clocks agree, to within {}", figures.len() + 1, spell(worst.0)),
        _ => format!("the clock of {} is {} off", worst.1, spell(worst.0)),
    };
    Check::Clocks.found(verdict, told).with(json!(figures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_there_and_back_is_no_skew() {
        let at = |milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap();
        assert_eq!(apart(at(100), at(150), at(200)), TimeDelta::zero());
        assert_eq!(apart(at(100), at(250), at(200)), TimeDelta::milliseconds(50));
        assert_eq!(apart(at(100), at(40), at(200)), TimeDelta::milliseconds(-60));
    }

    #[test]
    fn the_worst_clock_is_named() {
        let skew = |name: &str, seconds| (name.to_owned(), TimeDelta::seconds(seconds));
        let found = judged(vec![skew("a", 0), skew("b", -90), skew("c", 2)]);
        assert_eq!(found.verdict, Verdict::Failing);
        assert_eq!(found.told, "the clock of b is 90 s off");
    }
}
