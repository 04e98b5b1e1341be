//! Which plays that two sources tell of are one play. Pure: times and hashes only.

use chrono::{DateTime, TimeDelta, Utc};

/// How far apart two sources may put the end of one play.
///
/// Both tell when a play ended: the service's list to the millisecond, the data download cut to the second or the minute,
/// and by different machines of the service. The list has only what was listened to for 30 s or more, so that two plays
/// of one track end at least 30 s apart; within half of that around any time, it lists at most one.
pub const TOLERANCE: TimeDelta = TimeDelta::seconds(15);

/// When a play ended, as far as is known: not before `from`, not after `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Ended {
    /// At `at`, cut to `grain` seconds; 0 if it is exact.
    pub(super) fn new(at: DateTime<Utc>, grain: i16) -> Self {
        Self { from: at, to: at + TimeDelta::milliseconds((i64::from(grain) * 1_000 - 1).max(0)) }
    }

    /// Milliseconds between the two at least.
    fn apart(self, other: Self) -> i64 {
        let after = self.from.signed_duration_since(other.to);
        let before = other.from.signed_duration_since(self.to);
        after.max(before).num_milliseconds().max(0)
    }
}

/// What is compared of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) ended: Ended,
    pub(super) track: [u8; 32],
    pub(super) names: [u8; 32],
}

impl Candidate {
    fn is_of_same_track(&self, other: &Self) -> bool {
        self.track == other.track || self.names == other.names
    }
}

/// For each of `new` the one of `known` that is the same play, each of these at most once: the nearest pairs first, of
/// equally near ones the earlier. `tolerance` is how far apart they may be.
pub(super) fn pair(new: &[Candidate], known: &[Candidate], tolerance: TimeDelta) -> Vec<Option<usize>> {
    let mut pairs = Vec::new();
    for (at, candidate) in new.iter().enumerate() {
        for (of, other) in known.iter().enumerate().filter(|(_, other)| candidate.is_of_same_track(other)) {
            let apart = candidate.ended.apart(other.ended);
            if apart <= tolerance.num_milliseconds() {
                pairs.push((apart, at, of));
            }
        }
    }
    pairs.sort_unstable();
    let (mut found, mut taken) = (vec![None; new.len()], vec![false; known.len()]);
    for (_, at, of) in pairs {
        if found[at].is_none() && !taken[of] {
            (found[at], taken[of]) = (Some(of), true);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(ms: i64, grain: i16, track: u8, names: u8) -> Candidate {
        let at = DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap();
        Candidate { ended: Ended::new(at, grain), track: [track; 32], names: [names; 32] }
    }

    #[test]
    fn the_nearest_are_paired_and_each_once() {
        // A play and a second try of it that was left after 8 s: the list has the first alone.
        let polled = [play(400, 0, 1, 1)];
        let imported = [play(8_000, 1, 1, 1), play(0, 1, 1, 1)];
        assert_eq!(pair(&imported, &polled, TOLERANCE), [None, Some(0)]);
        assert_eq!(pair(&polled, &imported, TOLERANCE), [Some(1)]);
    }

    #[test]
    fn the_tolerance_is_from_edge_to_edge() {
        let polled = [play(15_999, 0, 1, 1)];
        assert_eq!(pair(&[play(0, 1, 1, 1)], &polled, TOLERANCE), [Some(0)]);
        assert_eq!(pair(&[play(0, 1, 1, 1)], &[play(16_000, 0, 1, 1)], TOLERANCE), [None]);
        assert_eq!(pair(&[play(0, 60, 1, 1)], &[play(74_999, 0, 1, 1)], TOLERANCE), [Some(0)]);
        assert_eq!(pair(&[play(0, 60, 1, 1)], &[play(75_000, 0, 1, 1)], TOLERANCE), [None]);
        assert_eq!(pair(&[play(0, 60, 1, 1)], &[play(-15_001, 0, 1, 1)], TOLERANCE), [None]);
    }

    #[test]
    fn another_reference_of_the_same_names_is_the_same_track() {
        assert_eq!(pair(&[play(0, 1, 1, 7)], &[play(0, 0, 2, 7)], TOLERANCE), [Some(0)]);
        assert_eq!(pair(&[play(0, 1, 1, 7)], &[play(0, 0, 1, 8)], TOLERANCE), [Some(0)]);
        assert_eq!(pair(&[play(0, 1, 1, 7)], &[play(0, 0, 2, 8)], TOLERANCE), [None]);
    }

    #[test]
    fn the_same_track_on_repeat_is_paired_in_order() {
        let polled: Vec<_> = (0..5).map(|n| play(n * 30_000, 0, 1, 1)).collect();
        let imported: Vec<_> = (0..5).map(|n| play(n * 30_000 + 9_000, 1, 1, 1)).collect();
        let expected: Vec<_> = (0..5).map(Some).collect();
        assert_eq!(pair(&imported, &polled, TOLERANCE), expected);
    }
}
