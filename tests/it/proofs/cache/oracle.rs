//! What every read must have seen: the contents of a playlist are a version, each write makes the next, and whoever
//! begins to read after a write was answered sees that version or a later one. Judges a log; makes none.

use std::time::Duration;

/// One call of the trial: by whom, from its sending to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) person: usize,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    pub(crate) what: What,
}

/// What was done or seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The person's next version, counted from 1; the log has a person's writes in their order.
    Wrote,
    /// A version of one's own, known up to multiples of the number of tokens.
    Saw(u64),
    /// Something that only another person can have written.
    SawForeign,
}

/// What the log tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    /// Reads that began after a write was answered and saw what was before it.
    pub(crate) stale: u64,
    /// Reads of what was not yet being written.
    pub(crate) impossible: u64,
    /// Reads of another person's.
    pub(crate) foreign: u64,
    /// The longest time after which an old version was still seen by a call that began when someone had already been
    /// shown the new one.
    pub(crate) longest_behind: Duration,
}

/// Judges the log of `people`, each of whom writes `tokens` different contents by turns.
pub(crate) fn judge(log: &[Operation], people: usize, tokens: u64) -> Verdict {
    let mut verdict = Verdict::default();
    for person in 0..people {
        let own: Vec<&Operation> = log.iter().filter(|operation| operation.person == person).collect();
        judge_person(&own, tokens, &mut verdict);
    }
    verdict
}

fn judge_person(log: &[&Operation], tokens: u64, verdict: &mut Verdict) {
    let writes: Vec<&Operation> =
        log.iter().copied().filter(|operation| operation.what == What::Wrote).collect();
    assert!(writes.is_sorted_by(|one, next| one.ended <= next.began), "a person's writes overlap");
    verdict.writes += writes.len() as u64;
    // When each version was first known to be there: answered to its writer, or shown to anyone.
    let mut known: Vec<Duration> = writes.iter().map(|write| write.ended).collect();
    let mut seen = Vec::new();
    for read in log {
        let residue = match read.what {
            What::Wrote => continue,
            What::SawForeign => {
                verdict.reads += 1;
                verdict.foreign += 1;
                continue;
            }
            What::Saw(residue) => residue,
        };
        verdict.reads += 1;
        let answered = writes.partition_point(|write| write.ended < read.began) as u64;
        let begun = writes.partition_point(|write| write.began < read.ended) as u64;
        match latest(residue, begun, tokens) {
            None => verdict.impossible += 1,
            Some(version) => {
                verdict.stale += u64::from(version < answered);
                seen.push((read.began, version));
                let shown = usize::try_from(version).unwrap_or(usize::MAX).min(known.len());
                for first in known[..shown].iter_mut().rev().take_while(|first| **first > read.ended) {
                    *first = read.ended;
                }
            }
        }
    }
    for (began, version) in seen {
        let next = usize::try_from(version).ok().and_then(|version| known.get(version));
        let behind = next.map_or(Duration::ZERO, |known| began.saturating_sub(*known));
        verdict.longest_behind = verdict.longest_behind.max(behind);
    }
}

/// The latest version up to `most` with that remainder.
fn latest(residue: u64, most: u64, tokens: u64) -> Option<u64> {
    let newest = most % tokens;
    let back = if residue <= newest { newest - residue } else { newest + tokens - residue };
    most.checked_sub(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(what: What, began: u64, ended: u64) -> Operation {
        let millis = Duration::from_millis;
        Operation { person: 0, began: millis(began), ended: millis(ended), what }
    }

    fn verdict(reads: &[Operation]) -> Verdict {
        let writes = [operation(What::Wrote, 10, 20), operation(What::Wrote, 30, 40)];
        judge(&[writes.as_slice(), reads].concat(), 1, 100)
    }

    #[test]
    fn a_read_that_is_right_is_not_blamed() {
        let right = [
            operation(What::Saw(0), 0, 5),
            // While a write is under way both are right.
            operation(What::Saw(0), 12, 14),
            operation(What::Saw(1), 12, 18),
            operation(What::Saw(1), 21, 29),
            operation(What::Saw(2), 21, 35),
            operation(What::Saw(2), 41, 42),
        ];
        let verdict = verdict(&right);
        assert_eq!((verdict.stale, verdict.impossible, verdict.foreign), (0, 0, 0), "{verdict:?}");
        assert_eq!((verdict.reads, verdict.writes), (6, 2));
    }

    #[test]
    fn a_read_that_is_wrong_is_found() {
        assert_eq!(verdict(&[operation(What::Saw(1), 41, 42)]).stale, 1, "an old one after the answer");
        assert_eq!(verdict(&[operation(What::Saw(0), 21, 22)]).stale, 1, "the one before any write");
        assert_eq!(verdict(&[operation(What::Saw(2), 21, 29)]).impossible, 1, "one that is not yet written");
        assert_eq!(verdict(&[operation(What::SawForeign, 0, 1)]).foreign, 1);
    }

    #[test]
    fn how_long_an_old_version_lives_on_is_measured() {
        let reads = [operation(What::Saw(1), 12, 13), operation(What::Saw(0), 18, 19)];
        let verdict = verdict(&reads);
        assert_eq!(verdict.longest_behind, Duration::from_millis(5));
        assert_eq!(verdict.stale, 0, "the write was not answered yet");
    }

    #[test]
    fn versions_are_told_by_their_remainder() {
        assert_eq!(latest(0, 0, 7), Some(0));
        assert_eq!(latest(1, 0, 7), None);
        assert_eq!(latest(3, 17, 7), Some(17));
        assert_eq!(latest(4, 17, 7), Some(11));
    }
}
