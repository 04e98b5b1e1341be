//! From one list of entries to another: what an edit makes of a list, and which edits lead to a given one. Pure.

use stagedoor_providers::Edit;

use super::difference::{Difference, between};

/// Names of entries, in order.
pub(crate) type Names = Vec<Box<str>>;

/// Runs of entries that are put in one by one; more of them are cheaper as one replacement.
const FEW: usize = 8;
/// Entries that services take in one request, or thereabouts.
const BATCH: usize = 100;

/// What a playlist holds after an edit; positions past its end count as its end.
pub(crate) fn applied(current: &[Box<str>], edit: &Edit) -> Names {
    match edit {
        Edit::Remove(positions) => {
            let gone = |position: usize| {
                u32::try_from(position).is_ok_and(|position| positions.binary_search(&position).is_ok())
            };
            let left = current.iter().enumerate().filter(|(position, _)| !gone(*position));
            left.map(|(_, name)| name.clone()).collect()
        }
        Edit::Insert { at, names } => {
            let at = within(*at, current);
            [&current[..at], names, &current[at..]].concat()
        }
        Edit::Move { start, length, before } => {
            let (start, end) = (within(*start, current), within(start.saturating_add(*length), current));
            let before = within(*before, current);
            let block = &current[start..end];
            if before <= start {
                [&current[..before], block, &current[before..start], &current[end..]].concat()
            } else {
                let before = before.max(end);
                [&current[..start], &current[end..before], block, &current[before..]].concat()
            }
        }
        Edit::Replace(names) => names.clone(),
    }
}

/// What a playlist holds after one edit after the other.
pub(crate) fn applied_all(current: &[Box<str>], edits: &[Edit]) -> Names {
    edits.iter().fold(current.to_vec(), |names, edit| applied(&names, edit))
}

/// Edits that lead from `current` to `target`, few where they can be: what stays is left alone, so that it keeps when it
/// was added, unless so much differs that replacing everything takes fewer requests. What cannot be written again is
/// never replaced.
pub(crate) fn between_lists(current: &[Box<str>], target: &[Box<str>]) -> Vec<Edit> {
    let difference = between(current, target);
    if difference.is_empty() {
        return Vec::new();
    }
    if let Some(block) = one_block(&difference, current, target) {
        return vec![block];
    }
    let mut out: Vec<u32> = difference
        .removed
        .iter()
        .copied()
        .chain(difference.moved.iter().map(|(from, _)| *from))
        .map(number)
        .collect();
    out.sort_unstable();
    let mut arriving: Vec<usize> =
        difference.added.iter().copied().chain(difference.moved.iter().map(|(_, to)| *to)).collect();
    arriving.sort_unstable();
    let runs = runs(&arriving);
    if is_replaced(&out, &runs, target) {
        return vec![Edit::Replace(target.to_vec())];
    }
    let remove = (!out.is_empty()).then_some(Edit::Remove(out));
    // Everything before a run is in place by the time it is put in.
    let insert =
        |(start, end): (usize, usize)| Edit::Insert { at: number(start), names: target[start..end].to_vec() };
    remove.into_iter().chain(runs.into_iter().map(insert)).collect()
}

/// Whether a replacement takes fewer requests and little stays that could be left alone, or far too many requests are
/// saved.
fn is_replaced(out: &[u32], runs: &[(usize, usize)], target: &[Box<str>]) -> bool {
    let requests = |entries: usize| entries.div_ceil(BATCH);
    let arriving: usize = runs.iter().map(|(start, end)| end - start).sum();
    let one_by_one =
        requests(out.len()) + runs.iter().map(|(start, end)| requests(end - start)).sum::<usize>();
    let little_stays = arriving > target.len() / 2 && requests(target.len()).max(1) < one_by_one;
    (little_stays || runs.len() > FEW) && target.iter().all(|name| is_writable(name))
}

/// Whether an entry can be put into a playlist: local files and what the service tells nothing of cannot.
pub(crate) fn is_writable(name: &str) -> bool {
    ["spotify:track:", "spotify:episode:", "tidal:track:", "tidal:video:"]
        .iter()
        .any(|form| name.starts_with(form))
}

/// The ranges of numbers that follow each other; `numbers` rise.
pub(super) fn runs(numbers: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end == *number => *end += 1,
            _ => runs.push((*number, *number + 1)),
        }
    }
    runs
}

/// The move of one block that is all that differs.
fn one_block(difference: &Difference, current: &[Box<str>], target: &[Box<str>]) -> Option<Edit> {
    let (first, place) = *difference.moved.first()?;
    if !difference.removed.is_empty() || !difference.added.is_empty() {
        return None;
    }
    let length = difference.moved.len();
    let before = if place <= first { place } else { place + length };
    let block = Edit::Move { start: number(first), length: number(length), before: number(before) };
    (applied(current, &block) == target).then_some(block)
}

fn within(position: u32, list: &[Box<str>]) -> usize {
    usize::try_from(position).map_or(list.len(), |position| position.min(list.len()))
}

/// Playlists are far shorter than this could overflow.
pub(super) fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Names {
        text.chars().map(|letter| format!("tidal:track:{letter}").into()).collect()
    }

    fn lists() -> impl Strategy<Value = Names> {
        let name = prop_oneof![9 => "[a-h]".prop_map(|letter| format!("spotify:track:{letter}")), 1 => Just(String::new())];
        prop::collection::vec(name.prop_map(Box::from), 0..40)
    }

    #[test]
    fn each_kind_of_edit_does_what_it_says() {
        let list = names("abcde");
        assert_eq!(applied(&list, &Edit::Remove(vec![0, 3])), names("bce"));
        assert_eq!(applied(&list, &Edit::Insert { at: 1, names: names("xy") }), names("axybcde"));
        assert_eq!(applied(&list, &Edit::Move { start: 1, length: 2, before: 5 }), names("adebc"));
        assert_eq!(applied(&list, &Edit::Move { start: 3, length: 2, before: 0 }), names("deabc"));
        assert_eq!(applied(&list, &Edit::Replace(names("z"))), names("z"));
    }

    #[test]
    fn small_changes_are_small_edits() {
        let edits = |from: &str, to: &str| between_lists(&names(from), &names(to));
        assert_eq!(edits("abc", "abcx"), [Edit::Insert { at: 3, names: names("x") }]);
        assert_eq!(edits("abcx", "abc"), [Edit::Remove(vec![3])]);
        assert_eq!(edits("abcdef", "efabcd"), [Edit::Move { start: 4, length: 2, before: 0 }]);
        assert_eq!(edits("abc", "abc"), []);
    }

    #[test]
    fn what_cannot_be_written_again_is_never_replaced() {
        let name = |index: usize| Box::<str>::from(format!("spotify:track:{index}"));
        let current: Names = std::iter::once(Box::from("spotify:local:x")).chain((0..40).map(name)).collect();
        let mut target = current.clone();
        target[1..].reverse();
        let edits = between_lists(&current, &target);
        assert!(!edits.iter().any(|edit| matches!(edit, Edit::Replace(_))), "{edits:?}");
        assert_eq!(applied_all(&current, &edits), target);
        let edits = between_lists(&current[1..], &target[1..]);
        assert!(matches!(edits.as_slice(), [Edit::Replace(_)]), "{edits:?}");
    }

    proptest! {
        #[test]
        fn the_edits_lead_to_the_target(current in lists(), target in lists()) {
            let edits = between_lists(&current, &target);
            prop_assert_eq!(applied_all(&current, &edits), target);
        }

        #[test]
        fn positions_are_always_within_the_list(current in lists(), target in lists()) {
            let mut list = current;
            for edit in between_lists(&list, &target) {
                let length = number(list.len());
                match &edit {
                    Edit::Remove(positions) => prop_assert!(positions.iter().all(|position| *position < length)),
                    Edit::Insert { at, .. } => prop_assert!(*at <= length),
                    Edit::Move { start, length: of, before } => {
                        prop_assert!(start + of <= length && *before <= length);
                        prop_assert!(*before <= *start || *before >= start + of);
                    }
                    Edit::Replace(_) => {}
                }
                list = applied(&list, &edit);
            }
        }
    }
}
