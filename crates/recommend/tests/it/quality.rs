//! The mixture and its parts against popularity, on seeded people: the same figures on every run.

use stagedoor_recommend::TrainingOptions;
use stagedoor_recommend::evaluation::{
    Part, Population, PopulationOptions, Quality, measure, ndcg_of, recall_of,
};

fn ndcg(measured: &[Quality], part: Part) -> f64 {
    measured.iter().find(|quality| quality.part == part).expect("every part is measured").ndcg
}

#[test]
fn factors_beat_popularity_by_half() {
    let population =
        Population::new(&PopulationOptions { people: 200, tracks: 600, ..PopulationOptions::default() });
    let measured = measure(&population.people, &TrainingOptions::default(), 10, 1).expect("measures");
    let popularity = ndcg(&measured, Part::Popularity);
    assert!(measured[0].people == 200 && popularity > 0.05);
    assert!(ndcg(&measured, Part::Factors) > 1.5 * popularity, "{measured:?}");
    assert!(ndcg(&measured, Part::Mixture) > 1.5 * popularity, "{measured:?}");
}

#[test]
fn where_everything_is_chance_nothing_is_learnt() {
    let options = PopulationOptions { people: 200, tracks: 600, noise: 1.0, ..PopulationOptions::default() };
    let measured =
        measure(&Population::new(&options).people, &TrainingOptions::default(), 10, 1).expect("measures");
    assert!(ndcg(&measured, Part::Mixture) < 1.1 * ndcg(&measured, Part::Popularity), "{measured:?}");
}

#[test]
fn figures_are_as_defined() {
    let hits = [true, false, true, false];
    assert!((recall_of(&hits, 4, 4) - 0.5).abs() < 1e-12);
    assert!((recall_of(&hits, 8, 2) - 0.5).abs() < 1e-12);
    // 1/log2(2) + 1/log2(4) of 1/log2(2) + 1/log2(3) + 1/log2(4).
    let best = 1.0 + 1.0 / 3.0_f64.log2() + 0.5;
    assert!((ndcg_of(&hits, 3, 4) - 1.5 / best).abs() < 1e-12);
    assert!((ndcg_of(&[true, true], 2, 10) - 1.0).abs() < 1e-12);
    assert!(ndcg_of(&[false, false], 2, 10).abs() < 1e-12);
}
