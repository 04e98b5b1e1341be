//! How long an answer lives: the next life from what was observed, what an answer of some age is still good for, and
//! when it is fetched again early. Pure functions.

use std::time::Duration;

use stagedoor_domain::policy::TtlBounds;
use stagedoor_domain::{CacheClass, Entropy};

use crate::answer::Ask;
use crate::entry::Entry;
use crate::key::CacheKey;

/// No answer lives longer, whatever a tenant sets.
const MAX_LIFE: Duration = Duration::from_hours(720);
/// How long beyond its life a search is kept in memory.
const SEARCH_KEPT: Duration = Duration::from_hours(1);
const NEGATIVE_SHORTEST: Duration = Duration::from_secs(10);
const NEGATIVE_SPREAD: Duration = Duration::from_secs(20);

/// How long answers count beyond their lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) revalidate: Duration,
    pub(crate) error: Duration,
}

/// What an entry is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// An answer, with this much of its life left.
    Fresh(Duration),
    /// An answer while it is fetched again; its life has been over for so long.
    Stale(Duration),
    /// No answer to this question.
    Over,
}

impl Windows {
    /// For entries of this class in memory. Searches come back within the hour or not at all, and are most of what there
    /// is: kept for a day they would crowd out the rest.
    pub(crate) fn in_memory(self, class: CacheClass) -> Self {
        match class {
            CacheClass::Search => Self { error: self.error.min(SEARCH_KEPT), ..self },
            _ => self,
        }
    }

    /// What an entry of this age is good for where this is asked.
    pub(crate) fn standing(self, entry: &Entry, age: Duration, ask: &Ask<'_>) -> Standing {
        if ask.oldest.is_some_and(|oldest| age >= oldest) {
            return Standing::Over;
        }
        let life = entry.life.min(ask.ttl.longest);
        match age.checked_sub(life) {
            None => Standing::Fresh(life.saturating_sub(age)),
            Some(over) if entry.outlives() && over < self.revalidate.min(life) => Standing::Stale(over),
            Some(_) => Standing::Over,
        }
    }

    /// For how long its life is over, if an entry of this age may stand in for an error.
    pub(crate) fn in_place_of_an_error(self, entry: &Entry, age: Duration) -> Option<Duration> {
        let over = age.saturating_sub(entry.life);
        (entry.outlives() && over < self.error).then_some(over)
    }

    /// How long an entry is worth keeping from when it was stored.
    pub(crate) fn kept(self, entry: &Entry) -> Duration {
        let beyond = self.revalidate.min(entry.life).max(self.error);
        if entry.outlives() { entry.life + beyond } else { entry.life }
    }
}

/// The life of an answer: half as long as the one before if that was found changed, half as long again if it was
/// found unchanged, within the bounds. A change that took much longer than the life is no reason for a shorter one, nor
/// is an unchanged answer of which little life was over one for a longer.
pub(crate) fn next_life(
    bounds: TtlBounds,
    before: Option<(&Entry, Duration)>,
    fingerprint: &[u8; 32],
) -> Duration {
    let life = match before {
        Some((entry, age)) if entry.outlives() => match entry.fingerprint == *fingerprint {
            true if age >= entry.life / 2 => entry.life + entry.life / 2,
            false if age <= entry.life.saturating_mul(4) => entry.life / 2,
            _ => entry.life,
        },
        _ => bounds.first,
    };
    life.max(bounds.shortest).min(bounds.longest).min(MAX_LIFE)
}

/// The life of the answer that there is no such thing: 10 to 30 seconds, by the key, so that not all end together.
pub(crate) fn negative_life(bounds: TtlBounds, key: &CacheKey) -> Duration {
    let jitter = NEGATIVE_SPREAD * u32::from(key.jitter()) / u32::from(u16::MAX);
    (NEGATIVE_SHORTEST + jitter).min(bounds.longest)
}

/// Whether to fetch again before the life is over: the likelier the less of it is left in proportion to what a fetch
/// takes (Vattani et al., "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015, with β = 1).
pub(crate) fn due_early(left: Duration, took: Duration, entropy: &dyn Entropy) -> bool {
    // ln(2³²) < 23: beyond that no draw decides for it, and most calls need none.
    if left > took * 23 {
        return false;
    }
    let mut draw = [0; 4];
    entropy.fill(&mut draw);
    let uniform = (f64::from(u32::from_be_bytes(draw)) + 1.0) / 4_294_967_296.0;
    left.as_secs_f64() < took.as_secs_f64() * -uniform.ln()
}
