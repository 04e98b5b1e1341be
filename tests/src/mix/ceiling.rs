//! What no cache of these rules can exceed: the mix against a cache of boundless size that keeps every answer exactly
//! as long as it may, and why it misses what it misses.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use stagedoor_domain::Provider;

use super::call::{Agent, Call, Timed};

/// How calls of one class went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Answered from before.
    pub hits: u32,
    /// Never asked before by anyone who may share the answer.
    pub first: u32,
    /// Asked before, but too long ago.
    pub expired: u32,
    /// Asked before, but the person has written since.
    pub written: u32,
}

/// A boundless cache.
#[derive(Debug)]
pub struct Ceiling<F> {
    life: F,
    answers: HashMap<(Reader, Call), (Duration, u32)>,
    writes: HashMap<Reader, u32>,
    classes: BTreeMap<&'static str, Outcomes>,
}

/// Who shares an answer: the customers of one tenant at one service, or a person's own agents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Reader {
    Tenant(String, Provider),
    Person(String, u16),
}

impl Outcomes {
    /// All calls.
    pub fn calls(&self) -> u32 {
        self.hits + self.first + self.expired + self.written
    }

    /// The part of calls that were answered from before.
    pub fn ratio(&self) -> f64 {
        f64::from(self.hits) / f64::from(self.calls().max(1))
    }

    /// The same of those calls alone that could have been: asked before, and not changed by the person since.
    pub fn ratio_of_repeats(&self) -> f64 {
        f64::from(self.hits) / f64::from((self.hits + self.expired).max(1))
    }

    /// Two classes as one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            first: self.first + other.first,
            expired: self.expired + other.expired,
            written: self.written + other.written,
        }
    }
}

impl<F: Fn(&str) -> Duration> Ceiling<F> {
    /// How the calls go, by class, if answers of a class live as long as `life` says.
    pub fn of(calls: &[Timed], life: F) -> BTreeMap<&'static str, Outcomes> {
        let mut ceiling =
            Self { life, answers: HashMap::new(), writes: HashMap::new(), classes: BTreeMap::new() };
        for timed in calls {
            ceiling.take(timed);
        }
        ceiling.classes
    }

    fn take(&mut self, timed: &Timed) {
        let agent = timed.agent;
        let Some(class) = timed.call.class() else {
            if matches!(timed.call, Call::Create | Call::Add(..)) {
                *self.writes.entry(reader(agent, "playlist")).or_default() += 1;
            }
            return;
        };
        let (now, life) = (timed.since_start(), (self.life)(class));
        let reader = reader(agent, class);
        let writes = self.writes.get(&reader).copied().unwrap_or(0);
        let outcomes = self.classes.entry(class).or_default();
        let answer = self.answers.entry((reader, timed.call.clone()));
        let known = match &answer {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) => None,
        };
        match known {
            None => outcomes.first += 1,
            Some((_, then)) if then != writes => outcomes.written += 1,
            Some((since, _)) if now.saturating_sub(since) >= life => outcomes.expired += 1,
            Some(_) => return outcomes.hits += 1,
        }
        answer.insert_entry((now, writes));
    }
}

fn reader(agent: Agent, class: &str) -> Reader {
    match class {
        "playlist" => Reader::Person(agent.tenant(), agent.person),
        _ => Reader::Tenant(agent.tenant(), agent.provider()),
    }
}
