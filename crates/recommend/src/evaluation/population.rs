//! People who do not exist: each likes some genres, tracks belong to genres and are of very different popularity, and a
//! part of what is heard is chance.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{PersonSignals, Signals, TrackFacts};

/// What a population is like.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationOptions {
    /// People.
    pub people: usize,
    /// Tracks, four of each artist.
    pub tracks: usize,
    /// Latent genres.
    pub genres: usize,
    /// Tracks that each person hears.
    pub heard: usize,
    /// The exponent of Zipf's law by which tracks are popular; 0 makes all alike.
    pub popularity: f64,
    /// The share of tracks that are heard by popularity alone, whatever the person's taste.
    pub noise: f64,
    /// Where chance begins.
    pub seed: u64,
}

impl Default for PopulationOptions {
    fn default() -> Self {
        Self { people: 400, tracks: 1_200, genres: 12, heard: 50, popularity: 0.7, noise: 0.2, seed: 10 }
    }
}

/// A seeded population.
#[derive(Debug)]
pub struct Population {
    /// What each person did.
    pub people: Vec<PersonSignals>,
}

impl Population {
    /// Makes it: the same options make the same people.
    #[expect(clippy::cast_precision_loss, reason = "places of tracks")]
    pub fn new(options: &PopulationOptions) -> Self {
        let mut random = StdRng::seed_from_u64(options.seed);
        let tracks: Vec<(f64, Vec<f64>)> = (0..options.tracks)
            .map(|place| {
                let popularity = (place as f64 + 1.0).powf(-options.popularity);
                let mut genres = vec![0.02; options.genres];
                genres[random.random_range(0..options.genres)] += 1.0;
                genres[random.random_range(0..options.genres)] += 0.3;
                (popularity, genres)
            })
            .collect();
        let people = (0..options.people).map(|_| person(&tracks, options, &mut random)).collect();
        Self { people }
    }
}

fn person(tracks: &[(f64, Vec<f64>)], options: &PopulationOptions, random: &mut StdRng) -> PersonSignals {
    let mut tastes = vec![0.0; options.genres];
    tastes[random.random_range(0..options.genres)] += 1.0;
    tastes[random.random_range(0..options.genres)] += 0.6;
    let mut liking = Vec::with_capacity(tracks.len());
    let mut chance = Vec::with_capacity(tracks.len());
    for (popularity, genres) in tracks {
        let fit: f64 = genres.iter().zip(&tastes).map(|(one, other)| one * other).sum();
        liking.push(popularity * fit * fit);
        chance.push(*popularity);
    }
    let mut heard: Vec<(TrackFacts, Signals)> = Vec::with_capacity(options.heard);
    while heard.len() < options.heard {
        let by_chance = random.random::<f64>() < options.noise;
        let weights = if by_chance { &mut chance } else { &mut liking };
        let Some(track) = draw(weights, random) else { break };
        liking[track] = 0.0;
        chance[track] = 0.0;
        let plays = if by_chance { 1 } else { 1 + random.random_range(0..12) };
        heard.push((facts(track), Signals { plays, ..Signals::default() }));
    }
    heard
}

fn draw(weights: &[f64], random: &mut StdRng) -> Option<usize> {
    let all: f64 = weights.iter().sum();
    let mut left = random.random::<f64>() * all;
    weights.iter().position(|weight| {
        left -= weight;
        left <= 0.0 && *weight > 0.0
    })
}

fn facts(track: usize) -> TrackFacts {
    TrackFacts {
        reference: format!("tidal:track:{}", 1_000_000 + track),
        title: format!("Track {track}"),
        artists: vec![format!("Artist {}", track / 4)],
        album: None,
        duration_ms: Some(200_000),
        beats_per_minute: None,
        scale: None,
    }
}
