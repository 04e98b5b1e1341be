//! Mixing rankings whose scores have nothing to do with each other: reciprocal rank fusion (Cormack, Clarke, Büttcher
//! 2009).

use std::collections::HashMap;

/// Evens out how much the very first places are worth; 60 in the paper.
const FLATNESS: f32 = 60.0;
/// Places of a ranking that count.
const PLACES: usize = 400;

/// One ranking: what it is worth, and who is in it, best first.
#[derive(Debug)]
pub(crate) struct Ranking<K, S> {
    pub(crate) source: S,
    pub(crate) worth: f32,
    pub(crate) places: Vec<K>,
}

/// Who is in any of the rankings, with the sum of worth ÷ (60 + place) and the ranking that gave most of it; best first.
#[expect(clippy::cast_precision_loss, reason = "at most 400 places")]
pub(crate) fn fuse<K, S>(rankings: &[Ranking<K, S>]) -> Vec<(K, f32, S)>
where
    K: Copy + Eq + Ord + std::hash::Hash,
    S: Copy,
{
    let mut sums: HashMap<K, (f32, f32, S)> = HashMap::new();
    for ranking in rankings {
        for (place, &who) in ranking.places.iter().take(PLACES).enumerate() {
            let gain = ranking.worth / (FLATNESS + 1.0 + place as f32);
            let entry = sums.entry(who).or_insert((0.0, 0.0, ranking.source));
            entry.0 += gain;
            if gain > entry.1 {
                entry.1 = gain;
                entry.2 = ranking.source;
            }
        }
    }
    let mut fused: Vec<(K, f32, S)> =
        sums.into_iter().map(|(who, (sum, _, source))| (who, sum, source)).collect();
    fused.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    fused
}
