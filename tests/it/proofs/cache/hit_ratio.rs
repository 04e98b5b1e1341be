//! How often an answer is there already: the mix of `tests/mix` played against two gateways, for each of its
//! populations, with and without what a gateway does ahead of calls; and what a boundless cache without any of it would
//! have made of the same calls.

use std::collections::BTreeMap;
use std::time::Duration;

use stagedoor_bootstrap::config::Config;
use stagedoor_domain::TenantSettings;
use stagedoor_domain::policy::CacheClass;
use stagedoor_testkit::proof::{ProofSize, prove};
use stagedoor_testkit::{FrozenClock, Metrics, Stage, TestGateway};
use stagedoor_tests::mix::{Ceiling, Outcomes, Population, Timed, kept};

use super::mix::{Player, stage};

/// Outcomes in which the caller waited for the service.
const FETCHED: [&str; 2] = ["fetched", "rescued"];
/// Outcomes in which it did not.
const REUSED: [&str; 5] = ["hit_l1", "hit_l2", "stale", "negative", "coalesced"];

/// What a class's answers came from, and what the same calls would have found in a boundless cache.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    reused: u64,
    fetched: u64,
    ceiling: Outcomes,
}

impl Row {
    fn ratio(self) -> f64 {
        part(self.reused, self.reused + self.fetched)
    }

    fn and(self, other: Self) -> Self {
        Self {
            reused: self.reused + other.reused,
            fetched: self.fetched + other.fetched,
            ceiling: self.ceiling.and(other.ceiling),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mix_is_answered_at_least_as_often_from_before_as_a_boundless_cache_would() {
    let calls = kept().unwrap();
    let mut everyone = Row::default();
    for population in Population::ALL {
        let calls = part_of(&calls, population);
        let rows = Box::pin(play(&calls, |_| {})).await;
        say(population.as_str(), &rows);
        // After a write a person's answers live 10 s for half a minute of Redis's own clock, which the simulated hours do
        // not move: what is said of playlists is lower than it would be, and is not judged.
        let judged = rows.iter().filter(|(class, _)| **class != CacheClass::Playlist.as_str());
        everyone = judged.fold(everyone, |all, (_, row)| all.and(*row));
        if ProofSize::wanted() == ProofSize::Full {
            let without = Box::pin(play(&calls, without_foresight)).await;
            say(&format!("{}.without_foresight", population.as_str()), &without);
        }
    }
    // A handful of people in one hour: one call more or less is a twentieth.
    let (ratio, bound) = (everyone.ratio(), everyone.ceiling.ratio() - ProofSize::wanted().of(0.1, 0.0));
    prove("cache.hit_ratio", format_args!("{ratio:.3}"), format_args!(">={bound:.3}"), ratio >= bound);
}

/// A population's calls; in the suite those of a few people and the first hour alone.
fn part_of(calls: &[Timed], population: Population) -> Vec<Timed> {
    let (people, tenths) = ProofSize::wanted().of((4, 36_000), (u16::MAX, u32::MAX));
    let wanted = |timed: &&Timed| {
        timed.agent.population == population && timed.agent.person < people && timed.at < tenths
    };
    calls.iter().filter(wanted).cloned().collect()
}

/// Without anything that is done ahead of a call or beside it.
fn without_foresight(config: &mut Config) {
    config.cache.stale_while_revalidate_seconds = 0;
    config.cache.prefetch = false;
}

async fn play(calls: &[Timed], change: impl Fn(&mut Config)) -> BTreeMap<&'static str, Row> {
    let (stage, clock) = stage().await;
    let gateways =
        [TestGateway::start_with(&stage, &change).await, TestGateway::start_with(&stage, &change).await];
    let made = made(&stage, &clock, &gateways, calls).await;
    let ceilings = Ceiling::of(&made, first_life);
    let metrics = [gateways[0].metrics().await, gateways[1].metrics().await];
    let row = |(class, ceiling): (&&'static str, &Outcomes)| {
        let count =
            |outcomes: &[&str]| outcomes.iter().map(|outcome| answers(&metrics, class, outcome)).sum();
        (*class, Row { reused: count(&REUSED), fetched: count(&FETCHED), ceiling: *ceiling })
    };
    let rows: BTreeMap<&'static str, Row> = ceilings.iter().map(row).collect();
    for (class, row) in &rows {
        assert_eq!(row.reused + row.fetched, u64::from(row.ceiling.calls()), "calls of {class} are missing");
    }
    rows
}

async fn made(stage: &Stage, clock: &FrozenClock, gateways: &[TestGateway], calls: &[Timed]) -> Vec<Timed> {
    let mut player = Player::cast(stage, clock, gateways, calls).await;
    player.play(calls).await;
    player.made
}

fn answers(metrics: &[Metrics], class: &str, outcome: &str) -> u64 {
    let labels = [("class", class), ("outcome", outcome)];
    metrics.iter().map(|metrics| metrics.sum("cache_calls", &labels)).sum()
}

fn first_life(class: &str) -> Duration {
    let class = CacheClass::ALL.iter().find(|known| known.as_str() == class);
    let bounds = class.and_then(|class| TenantSettings::default().cache_ttl(*class));
    bounds.map_or(Duration::ZERO, |bounds| bounds.first)
}

/// Says the ratios of a population beside what a boundless cache has and how many calls ask again what was asked before
/// and not changed since.
fn say(population: &str, rows: &BTreeMap<&'static str, Row>) {
    let all = rows.values().fold(Row::default(), |all, row| all.and(*row));
    for (class, row) in rows.iter().chain([(&"all", &all)]) {
        let Outcomes { hits, first, expired, written } = row.ceiling;
        let repeats = part(u64::from(hits + expired), u64::from(row.ceiling.calls()));
        let compared = format!(
            "calls={},boundless={:.3},repeats={repeats:.3},first={first},written={written}",
            row.ceiling.calls(),
            row.ceiling.ratio(),
        );
        prove(
            &format!("cache.hit_ratio.{population}.{class}"),
            format_args!("{:.3}", row.ratio()),
            compared,
            true,
        );
    }
}

fn part(some: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of calls stay far below 2^52")]
    let ratio = |some: u64, all: u64| some as f64 / all as f64;
    if all == 0 { 0.0 } else { ratio(some, all) }
}
