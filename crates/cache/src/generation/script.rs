//! The script as calls with types. Which replica asks and what follows is decided elsewhere.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use redis::Script;
use stagedoor_redis_link::{RedisLink, Unavailable};

use super::leases::LEASE;
use super::messages::{Bump, EVENTS};
use super::{Change, Person, ReplicaId, forgotten};

/// How long generations that nobody reads stay in Redis. Later ones are higher all the same.
const LIFE: Duration = Duration::from_hours(720);

/// All generations of a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// What nobody has raised.
    origin: u64,
    /// Whether it may stand for something that was raised.
    doubted: bool,
    /// The server's time of the reading, in microseconds, which is what numbers are made of.
    now: u64,
    raised: Arc<[(Change, u64)]>,
}

/// The replicas that may remember what was before a bump, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Holders {
    /// Those that Redis has lost track of.
    pub(super) unknown: Duration,
    /// Those that it may have lost track of, if it was out of reach lately.
    pub(super) young: Duration,
    /// Those it knows, without the one that asked.
    pub(super) known: Vec<(ReplicaId, Duration)>,
}

#[derive(Debug)]
pub(super) struct GenerationScript(Script);

impl GenerationScript {
    pub(super) fn new() -> Self {
        Self(Script::new(include_str!("generation.lua")))
    }

    /// The person's generations; the replica is noted as a holder. `None` of a person who was forgotten.
    pub(super) async fn read(
        &self,
        link: &RedisLink,
        replica: ReplicaId,
        person: Person,
    ) -> Result<Option<Numbers>, Unavailable> {
        let mut call = self.0.key(key(person));
        call.key(forgotten::key(person))
            .arg("read")
            .arg(replica.to_string())
            .arg(millis(LEASE))
            .arg(millis(LIFE));
        let answer: Vec<(String, u64)> =
            link.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await?;
        let gone = answer.iter().any(|(field, _)| field == "gone");
        Ok((!gone).then(|| Numbers::read(&answer)))
    }

    /// Raises what changes, and tells all replicas.
    pub(super) async fn bump(
        &self,
        link: &RedisLink,
        replica: ReplicaId,
        person: Person,
        change: Change,
        nonce: u64,
    ) -> Result<Holders, Unavailable> {
        let message = Bump { nonce, writer: replica, person, change, holders: Vec::new() };
        let mut call = self.0.key(key(person));
        call.key(forgotten::key(person))
            .arg("bump")
            .arg(replica.to_string())
            .arg(millis(LEASE))
            .arg(millis(LIFE));
        call.arg(EVENTS).arg(message.to_string());
        for raised in change.raises() {
            call.arg(raised.to_string());
        }
        let answer: Vec<(String, u64)> =
            link.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await?;
        Ok(Holders::read(&answer))
    }
}

impl Numbers {
    pub(super) fn of(&self, change: Change) -> u64 {
        let raised = self.raised.iter().find(|(raised, _)| *raised == change);
        raised.map_or(self.origin, |(_, number)| *number)
    }

    /// Whether it was raised less than `time` before the reading, or may have been.
    pub(super) fn raised_within(&self, time: Duration, change: Change) -> bool {
        let raised = self.doubted || self.raised.iter().any(|(raised, _)| *raised == change);
        raised && u128::from(self.now.saturating_sub(self.of(change))) < time.as_micros()
    }

    fn read(answer: &[(String, u64)]) -> Self {
        let told =
            |name: &str| answer.iter().find(|(field, _)| field == name).map_or(0, |(_, number)| *number);
        let raised = answer.iter().filter_map(|(field, number)| Some((field.parse().ok()?, *number)));
        let raised = raised.collect();
        Self { origin: told("origin"), doubted: told("doubted") != 0, now: told("now"), raised }
    }
}

impl Holders {
    fn read(answer: &[(String, u64)]) -> Self {
        let mut holders = Self::default();
        for (name, left) in answer {
            let left = Duration::from_millis(*left);
            match (name.as_str(), ReplicaId::from_str(name)) {
                ("young", _) => holders.young = left,
                (_, Ok(replica)) => holders.known.push((replica, left)),
                // `unknown`, or a holder of another version, of which nothing can be heard.
                (_, Err(_)) => holders.unknown = holders.unknown.max(left),
            }
        }
        holders
    }
}

pub(super) fn key(person: Person) -> String {
    format!("sd:{}:generation:v2:{}", person.tenant, person.user)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataScope;
    use stagedoor_domain::Provider;

    #[test]
    fn what_nobody_has_raised_has_the_number_of_the_hash() {
        let answer = [("origin", 40), ("tidal.library", 41), ("of-another-version", 99)];
        let numbers = Numbers::read(&answer.map(|(field, number)| (field.to_owned(), number)));
        assert_eq!(numbers.of(Change::Of(Provider::Tidal, DataScope::Library)), 41);
        assert_eq!(numbers.of(Change::Of(Provider::Spotify, DataScope::Library)), 40);
        assert_eq!(numbers.of(Change::Preferences), 40);
    }

    #[test]
    fn what_may_have_been_raised_lately_counts_as_raised() {
        let lists = Change::Of(Provider::Tidal, DataScope::Library);
        let read = |answer: &[(&str, u64)]| {
            let owned: Vec<_> = answer.iter().map(|(field, number)| ((*field).to_owned(), *number)).collect();
            Numbers::read(&owned).raised_within(Duration::from_secs(30), lists)
        };
        assert!(!read(&[("now", 30_000_000), ("origin", 29_000_000)]), "a person's first");
        assert!(read(&[("now", 30_000_000), ("origin", 29_000_000), ("doubted", 1)]));
        assert!(read(&[("now", 30_000_000), ("origin", 0), ("tidal.library", 1)]));
        assert!(!read(&[("now", 30_000_001), ("origin", 0), ("tidal.library", 1)]));
        assert!(read(&[("now", 5), ("origin", 0), ("tidal.library", 9)]), "the server's clock was set back");
    }

    #[test]
    fn a_holder_that_cannot_be_named_is_waited_for_as_well() {
        let [first, odd] = [("00000000000000ff".to_owned(), 900), ("of-another-version".to_owned(), 1_500)];
        let young = ("young".to_owned(), 1_900);
        let holders = Holders::read(&[("unknown".to_owned(), 0), young, first, odd]);
        assert_eq!(holders.known, [(ReplicaId::numbered(255), Duration::from_millis(900))]);
        assert_eq!(
            (holders.unknown, holders.young),
            (Duration::from_millis(1_500), Duration::from_millis(1_900))
        );
    }
}
