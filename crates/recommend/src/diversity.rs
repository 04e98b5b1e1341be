//! Choosing items that are good and unlike each other: maximal marginal relevance (Carbonell, Goldstein 1998), and a cap
//! on tracks of one artist.

/// Something to choose from.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// What the choice is worth by itself.
    pub(crate) score: f32,
    /// Its main artist, where known.
    pub(crate) artist: Option<&'a str>,
}

/// Which are chosen, in order: each time the one with the highest (1 − `diversity`) · score − `diversity` · likeness to
/// the most alike one chosen before, scores being divided by the highest. Tracks of one artist are as alike as can be, and
/// at most `for_an_artist` of them are chosen.
pub(crate) fn choose(
    choices: &[Choice<'_>],
    count: usize,
    diversity: f32,
    for_an_artist: usize,
    likeness: impl Fn(usize, usize) -> f32,
) -> Vec<usize> {
    let highest = choices.iter().map(|choice| choice.score).fold(f32::MIN_POSITIVE, f32::max);
    let mut closest = vec![0.0_f32; choices.len()];
    let mut left: Vec<usize> = (0..choices.len()).collect();
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    while chosen.len() < count {
        let worth = |&at: &usize| (1.0 - diversity) * choices[at].score / highest - diversity * closest[at];
        // Of equals the first: `max_by` would take the last.
        let Some(best) = left.iter().copied().rev().max_by(|one, other| worth(one).total_cmp(&worth(other)))
        else {
            break;
        };
        chosen.push(best);
        left.retain(|&at| at != best);
        if let Some(artist) = choices[best].artist {
            let by_them = |at: &usize| choices[*at].artist == Some(artist);
            if chosen.iter().filter(|at| by_them(at)).count() >= for_an_artist {
                left.retain(|at| !by_them(at));
            }
        }
        for &at in &left {
            let same = choices[at].artist.is_some() && choices[at].artist == choices[best].artist;
            closest[at] = closest[at].max(if same { 1.0 } else { likeness(at, best) });
        }
    }
    chosen
}
