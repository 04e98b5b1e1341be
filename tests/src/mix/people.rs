//! Who is in the mix: people with a taste, playlists, agents, and how busy they are.

use super::call::Population;
use super::chance::{Chance, Zipf};

/// Tracks by popularity rank, at either service.
pub const CATALOGUE: u16 = 3_000;

/// How many people there are; not all call on the day.
const PEOPLE: [(Population, u16); 3] =
    [(Population::Consumer, 400), (Population::Company, 72), (Population::Home, 30)];

/// Music is more concentrated than web pages, whose exponents are 0.64 to 0.83 (Breslau et al., INFOCOM 1999).
const EVERYONE: f64 = 1.0;
const OWN: f64 = 0.8;

/// A person of the mix.
#[derive(Debug, Clone)]
pub struct Person {
    /// Whom the person belongs to.
    pub population: Population,
    /// The number within it.
    pub number: u16,
    /// The lengths of the playlists that exist before the day.
    pub playlists: Vec<u16>,
    /// Tracks that the person comes back to, the dearest first.
    pub(super) taste: Vec<u16>,
    /// Sessions begun in an hour of ordinary business, in thousandths.
    pub(super) sessions_per_hour: u64,
    /// Minutes between the runs of the agent that works on a schedule, if there is one.
    pub(super) schedule: Option<u64>,
}

/// How people choose music.
#[derive(Debug)]
pub(super) struct Popularity {
    everyone: Zipf,
    own: Zipf,
}

/// Everyone in the mix of `seed`.
pub fn people(seed: u64) -> Vec<Person> {
    let popularity = Popularity::new();
    let mut people = Vec::new();
    for (population, count) in PEOPLE {
        for number in 0..count {
            let mut chance = Chance::new(seed, stream(population, number));
            people.push(person(&mut chance, &popularity, population, number));
        }
    }
    people
}

pub(super) fn stream(population: Population, number: u16) -> u64 {
    let population = Population::ALL.iter().position(|known| *known == population).unwrap_or_default();
    (population as u64) << 32 | u64::from(number) << 8
}

fn person(chance: &mut Chance, popularity: &Popularity, population: Population, number: u16) -> Person {
    let tracks = chance.quantile(&[(0, 20), (500, 35), (1_000, 60)]);
    let playlists = chance.quantile(&[(0, 1), (500, 4), (900, 8), (1_000, 14)]);
    let length = |chance: &mut Chance| {
        chance.quantile(&[(0, 3), (250, 12), (500, 28), (750, 50), (950, 110), (1_000, 140)])
    };
    Person {
        population,
        number,
        playlists: (0..playlists).map(|_| u16::try_from(length(chance)).unwrap_or(u16::MAX)).collect(),
        taste: (0..tracks).map(|_| popularity.anything(chance, 300)).collect(),
        // Most people use it now and then, a few all day.
        sessions_per_hour: chance.quantile(&[(0, 100), (500, 350), (800, 700), (950, 1_700), (1_000, 3_500)]),
        schedule: chance.happens(50).then(|| chance.weighted(&[(40, 15), (30, 30), (30, 60)])),
    }
}

impl Popularity {
    pub(super) fn new() -> Self {
        Self { everyone: Zipf::new(CATALOGUE, EVERYONE), own: Zipf::new(60, OWN) }
    }

    /// What everyone likes, or, so often of a thousand times, anything at all.
    pub(super) fn anything(&self, chance: &mut Chance, rare: u32) -> u16 {
        if chance.happens(rare) {
            u16::try_from(chance.below(CATALOGUE.into())).unwrap_or_default()
        } else {
            self.everyone.draw(chance)
        }
    }

    /// What a person turns to next: half of the time something dear.
    pub(super) fn interest(&self, chance: &mut Chance, person: &Person) -> u16 {
        if chance.happens(500) {
            loop {
                let at = usize::from(self.own.draw(chance));
                if let Some(rank) = person.taste.get(at) {
                    return *rank;
                }
            }
        }
        self.anything(chance, 300)
    }
}
