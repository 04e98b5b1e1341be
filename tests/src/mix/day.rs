//! One afternoon and evening: who begins what when, and who comes back to it.

use super::call::{Agent, Timed};
use super::chance::Chance;
use super::people::{Person, Popularity, people, stream};
use super::session::{Session, Wish};

/// How busy the hours are, in hundredths: rising through the afternoon to a peak in the early evening (Zhang et al.,
/// INFOCOM 2013).
const HOURS: [u64; 6] = [80, 90, 100, 120, 130, 115];
/// Tenths of a second.
const MINUTE: u64 = 600;
const SLOT: u64 = 5 * MINUTE;
const SLOTS_PER_HOUR: u64 = 12;

const WISHES: [(u32, Wish); 6] = [
    (26, Wish::LookUp),
    (15, Wish::Artist),
    (20, Wish::Upkeep),
    (18, Wish::Review),
    (9, Wish::Build),
    (12, Wish::Link),
];

/// The mix of `seed`, in the order of time.
pub fn generate(seed: u64) -> Vec<Timed> {
    let popularity = Popularity::new();
    let mut calls: Vec<Timed> =
        people(seed).iter().flat_map(|person| Day::of(seed, person, &popularity)).collect();
    calls.sort_by_key(|timed| (timed.at, timed.agent));
    calls
}

/// A person's day as it is made.
struct Day<'a> {
    person: &'a Person,
    popularity: &'a Popularity,
    seed: u64,
    sessions: u64,
    playlists: usize,
    calls: Vec<Timed>,
}

impl<'a> Day<'a> {
    fn of(seed: u64, person: &'a Person, popularity: &'a Popularity) -> Vec<Timed> {
        let playlists = person.playlists.len();
        let mut day = Self { person, popularity, seed, sessions: 0, playlists, calls: Vec::new() };
        day.converse();
        day.watch();
        day.calls
    }

    fn converse(&mut self) {
        let mut chance = Chance::new(self.seed, stream(self.person.population, self.person.number) | 1);
        let slots = HOURS.len() as u64 * SLOTS_PER_HOUR;
        // A person has one conversation at a time.
        let mut free_from = 0;
        for slot in 0..slots {
            let hour = HOURS[usize::try_from(slot / SLOTS_PER_HOUR).unwrap_or_default()];
            let per_slot = self.person.sessions_per_hour * hour / (100 * SLOTS_PER_HOUR);
            let at = slot * SLOT + chance.below(SLOT);
            if !chance.happens(u32::try_from(per_slot).unwrap_or(u32::MAX)) || at < free_from {
                continue;
            }
            let agent = u8::from(chance.happens(300));
            let wish = chance.weighted(&WISHES);
            let mut topics = Vec::new();
            free_from = self.session(at, agent, wish, &mut topics);
            while chance.happens(400) {
                // Back at it after a while: seconds to hours, half of the time within 25 minutes.
                let away = chance.quantile(&[(0, 1), (250, 8), (500, 25), (750, 70), (1_000, 240)]);
                let at = free_from + away * MINUTE + chance.below(MINUTE);
                if at >= slots * SLOT {
                    break;
                }
                let agent = if chance.happens(800) { agent } else { 1 - agent };
                let wish = if chance.happens(500) { wish } else { chance.weighted(&WISHES) };
                free_from = self.session(at, agent, wish, &mut topics);
            }
        }
    }

    fn watch(&mut self) {
        let Some(minutes) = self.person.schedule else { return };
        let mut chance = Chance::new(self.seed, stream(self.person.population, self.person.number) | 2);
        let mut at = chance.below(minutes * MINUTE);
        while at < HOURS.len() as u64 * SLOTS_PER_HOUR * SLOT {
            self.session(at, 2, Wish::Watch, &mut Vec::new());
            // Schedulers are punctual to some seconds.
            at += minutes * MINUTE + chance.below(100);
        }
    }

    /// Runs a conversation; answers with when it ended.
    fn session(&mut self, at: u64, agent: u8, wish: Wish, topics: &mut Vec<u16>) -> u64 {
        self.sessions += 1;
        let number = stream(self.person.population, self.person.number) | 3;
        let mut session = Session {
            agent: Agent { population: self.person.population, person: self.person.number, number: agent },
            person: self.person,
            popularity: self.popularity,
            chance: Chance::new(self.seed ^ self.sessions, number),
            at,
            topics: Vec::new(),
            playlists: self.playlists,
            calls: Vec::new(),
        };
        session.run(wish, topics);
        topics.append(&mut session.topics);
        self.playlists = session.playlists;
        self.calls.append(&mut session.calls);
        session.at
    }
}
