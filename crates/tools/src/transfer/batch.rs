//! Which tracks are written next, and which of a batch are in the target by now. No I/O.

use std::collections::HashSet;

use stagedoor_domain::ItemRef;

use super::document::{Entry, Fate, Intent};

/// Tracks of a batch.
pub(super) const BATCH: usize = 100;

/// Which tracks of a batch are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Those before this index of the batch were done with, and of them these were left out by the service.
    Settled { until: usize, left_out: Vec<usize> },
    /// Someone else has changed the playlist meanwhile, so that it cannot be told.
    Unclear,
}

/// What is written next, and what is not written although it was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Next {
    /// Where the entries end that the batch settles.
    pub(super) until: u32,
    pub(super) tracks: Vec<(u32, ItemRef)>,
    /// Positions of tracks that the target has already.
    pub(super) duplicates: Vec<u32>,
}

/// The next batch of at most `most` tracks of `entries`, the first of which has the position `from`. `taken` is what must
/// not be written again.
pub(super) fn next(entries: &[Entry], from: u32, most: usize, taken: Option<&HashSet<&str>>) -> Next {
    let mut next = Next { until: from, ..Next::default() };
    let mut begun: HashSet<&ItemRef> = HashSet::new();
    for (entry, position) in entries.iter().zip(from..) {
        if let Fate::Matched { to, written: false, .. } = &entry.fate {
            let repeated = taken.is_some_and(|taken| taken.contains(&*to.to_string()) || begun.contains(to));
            if repeated {
                next.duplicates.push(position);
            } else if next.tracks.len() == most {
                break;
            } else {
                begun.insert(to);
                next.tracks.push((position, to.clone()));
            }
        }
        next.until = position + 1;
    }
    next
}

/// Which tracks of a batch a playlist that holds `entries` has.
pub(super) fn found(intent: &Intent, entries: &[impl AsRef<str>]) -> Found {
    let names: Vec<String> = intent.tracks.iter().map(|(_, track)| track.to_string()).collect();
    let Some(added) = entries.get(intent.before as usize..) else { return Found::Unclear };
    let mut settled = 0;
    let mut left_out = Vec::new();
    for entry in added {
        // What the service has left out stands between; what someone else added after all of them does not matter.
        let Some(ahead) = names[settled..].iter().position(|name| name == entry.as_ref()) else {
            if settled == names.len() {
                break;
            }
            return Found::Unclear;
        };
        left_out.extend(settled..settled + ahead);
        settled += ahead + 1;
    }
    Found::Settled { until: settled, left_out }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::matching::Confidence;
    use super::*;

    fn track(number: u32) -> ItemRef {
        format!("tidal:track:{number}").parse().unwrap()
    }

    fn matched(number: u32) -> Entry {
        let fate = Fate::Matched {
            to: track(number),
            confidence: Confidence::FULL,
            reason: String::new(),
            written: false,
        };
        Entry { name: None, track: None, album: None, fate }
    }

    fn intent(before: u32, numbers: &[u32]) -> Intent {
        let tracks = numbers.iter().zip(0..).map(|(number, position)| (position, track(*number))).collect();
        Intent { until: u32::try_from(numbers.len()).unwrap(), before, tracks }
    }

    fn holding(numbers: &[u32]) -> Vec<String> {
        numbers.iter().map(|number| track(*number).to_string()).collect()
    }

    fn settled(until: usize, left_out: &[usize]) -> Found {
        Found::Settled { until, left_out: left_out.to_vec() }
    }

    #[test]
    fn what_is_in_is_told_by_the_end_of_the_playlist() {
        let batch = intent(2, &[7, 8, 9]);
        assert_eq!(found(&batch, &holding(&[1, 2])), settled(0, &[]), "nothing was done");
        assert_eq!(found(&batch, &holding(&[1, 2, 7])), settled(1, &[]));
        assert_eq!(found(&batch, &holding(&[1, 2, 7, 8, 9])), settled(3, &[]));
        assert_eq!(found(&batch, &holding(&[1, 2, 7, 9])), settled(3, &[1]), "the service left one out");
        assert_eq!(found(&batch, &holding(&[1, 2, 7, 8, 9, 4])), settled(3, &[]), "someone added another");
        assert_eq!(found(&batch, &holding(&[1, 2, 4])), Found::Unclear);
        assert_eq!(found(&batch, &holding(&[1])), Found::Unclear, "someone took one out");
    }

    #[test]
    fn what_the_target_has_is_written_only_if_that_is_wanted() {
        let entries = [matched(1), matched(2), matched(1), matched(3)];
        let all = next(&entries, 10, BATCH, None);
        assert_eq!((all.tracks.len(), all.until), (4, 14));
        let holds = HashSet::from(["tidal:track:2"]);
        let some = next(&entries, 10, BATCH, Some(&holds));
        assert_eq!(some.tracks, [(10, track(1)), (13, track(3))]);
        assert_eq!((some.duplicates, some.until), (vec![11, 12], 14));
    }

    proptest! {
        #[test]
        fn batches_settle_every_entry_once(
            found in prop::collection::vec(prop::option::of(0_u32..50), 0..250),
            most in 1_usize..40,
        ) {
            let missing = Entry { fate: Fate::Missing { reason: String::new() }, ..matched(0) };
            let entries: Vec<Entry> =
                found.iter().map(|number| number.map_or_else(|| missing.clone(), matched)).collect();
            let (mut at, mut written) = (0, Vec::new());
            while (at as usize) < entries.len() {
                let batch = next(&entries[at as usize..], at, most, None);
                prop_assert!(batch.until > at && batch.tracks.len() <= most);
                written.extend(batch.tracks.into_iter().map(|(_, to)| to));
                at = batch.until;
            }
            let wanted: Vec<ItemRef> = found.into_iter().flatten().map(track).collect();
            prop_assert_eq!(written, wanted);
        }

        #[test]
        fn any_beginning_of_a_batch_is_recognised(
            before in prop::collection::vec(0_u32..20, 0..10),
            batch in prop::collection::vec(0_u32..20, 1..20),
            done in 0_usize..20,
        ) {
            let done = done.min(batch.len());
            let holds: Vec<u32> = before.iter().chain(&batch[..done]).copied().collect();
            let intent = intent(u32::try_from(before.len()).unwrap(), &batch);
            let Found::Settled { until, .. } = super::found(&intent, &holding(&holds)) else {
                return Err(TestCaseError::fail("nobody else wrote"));
            };
            prop_assert_eq!(until, done);
        }
    }
}
