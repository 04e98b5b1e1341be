//! Prints recall and nDCG of every part of the mixture: of seeded populations, or of ratings in a file.
//!
//! `just recommendation-quality [FILE]`, where FILE has a line `person<TAB>track<TAB>rating` for each rating from 1 to 5.
#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};

use stagedoor_recommend::evaluation::{Population, PopulationOptions, measure};
use stagedoor_recommend::{PersonSignals, Signals, TrackFacts, TrainingOptions};

fn main() -> Result<(), Box<dyn Error>> {
    println!("population        part           recall@10  nDCG@10  recall@20  nDCG@20  people");
    if let Some(file) = std::env::args().nth(1) {
        return print("file", &ratings(&file)?);
    }
    for (name, options) in [
        ("plain", PopulationOptions::default()),
        ("no popularity", PopulationOptions { popularity: 0.0, ..PopulationOptions::default() }),
        ("much noise", PopulationOptions { noise: 0.5, ..PopulationOptions::default() }),
        ("few people", PopulationOptions { people: 40, ..PopulationOptions::default() }),
    ] {
        print(name, &Population::new(&options).people)?;
    }
    Ok(())
}

fn print(name: &str, people: &[PersonSignals]) -> Result<(), Box<dyn Error>> {
    let options = TrainingOptions::default();
    let [ten, twenty] = [measure(people, &options, 10, 1)?, measure(people, &options, 20, 1)?];
    for (ten, twenty) in ten.iter().zip(twenty) {
        println!(
            "{name:<17} {:<14} {:>9.3} {:>8.3} {:>10.3} {:>8.3} {:>7}",
            ten.part.as_str(),
            ten.recall,
            ten.ndcg,
            twenty.recall,
            twenty.ndcg,
            ten.people
        );
    }
    Ok(())
}

fn ratings(file: &str) -> Result<Vec<PersonSignals>, Box<dyn Error>> {
    let mut people: BTreeMap<String, PersonSignals> = BTreeMap::new();
    for line in BufReader::new(std::fs::File::open(file)?).lines() {
        let line = line?;
        let mut columns = line.split('\t');
        let (Some(person), Some(track), Some(rating)) = (columns.next(), columns.next(), columns.next())
        else {
            return Err(format!("not three columns: {line}").into());
        };
        let facts = TrackFacts {
            reference: track.to_owned(),
            title: track.to_owned(),
            artists: Vec::new(),
            album: None,
            duration_ms: None,
            beats_per_minute: None,
            scale: None,
        };
        let signals = Signals { rating: Some(rating.trim().parse()?), ..Signals::default() };
        people.entry(person.to_owned()).or_default().push((facts, signals));
    }
    Ok(people.into_values().collect())
}
