//! From one list of entries to another: what an edit makes of a list, and which edits lead to a given one. Pure.

use std::collections::HashSet;

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
    edit.applied(current)
}

/// What is left to do when a service has left something out: what a playlist holds is not what the `rest` of the edits
/// was planned for.
pub(super) fn rebased(
    planned: &[Box<str>],
    now: &[Box<str>],
    rest: &[Edit],
    skipped: &HashSet<Box<str>>,
) -> Vec<Edit> {
    between_lists(now, &without_skipped(applied_all(planned, rest), now, skipped))
}

/// Of what a service has left out, only as much as is there.
pub(super) fn without_skipped(target: Names, now: &[Box<str>], skipped: &HashSet<Box<str>>) -> Names {
    let mut there: Vec<&str> = now.iter().filter(|name| skipped.contains(*name)).map(AsRef::as_ref).collect();
    let mut has = |name: &str| {
        let found = there.iter().position(|held| *held == name);
        found.map(|found| there.swap_remove(found)).is_some()
    };
    target.into_iter().filter(|name| !skipped.contains(name) || has(name)).collect()
}

/// What a playlist holds after one edit after the other.
pub(crate) fn applied_all(current: &[Box<str>], edits: &[Edit]) -> Names {
    edits.iter().fold(current.to_vec(), |names, edit| applied(&names, edit))
}

/// Edits that lead from `current` to `target`, few where they can be: what stays is left alone, so that it keeps when it
/// was added, unless so much differs that replacing everything takes fewer requests. What is in both and cannot be
/// written again is moved, never taken out and put back.
pub(crate) fn between_lists(current: &[Box<str>], target: &[Box<str>]) -> Vec<Edit> {
    let difference = between(current, target);
    if difference.is_empty() {
        return Vec::new();
    }
    if let Some(block) = one_block(&difference, current, target) {
        return vec![block];
    }
    let blocks = blocks(&difference.moved);
    let all = |of: &[usize], moved: &mut dyn Iterator<Item = usize>| {
        let mut all: Vec<usize> = of.iter().copied().chain(moved).collect();
        all.sort_unstable();
        all
    };
    let out = all(&difference.removed, &mut difference.moved.iter().map(|(from, _)| *from));
    let arriving = all(&difference.added, &mut difference.moved.iter().map(|(_, to)| *to));
    if is_replaced(out.len(), &runs(&arriving), target) {
        return vec![Edit::Replace(target.to_vec())];
    }
    // A move of its own for each block, or if those are many only for what cannot be written again.
    let moves = |from: &usize| blocks.len() <= FEW || !is_writable(&current[*from]);
    let rewritten: Vec<(usize, usize)> =
        difference.moved.iter().copied().filter(|(from, _)| !moves(from)).collect();
    let out = all(&difference.removed, &mut rewritten.iter().map(|(from, _)| *from));
    let arriving = all(&difference.added, &mut rewritten.iter().map(|(_, to)| *to));
    let mut edits = Vec::new();
    // The place in the target of each entry that stays.
    let mut places: Vec<Option<usize>> = vec![None; current.len()];
    for (from, to) in difference.kept.iter().chain(&difference.moved) {
        places[*from] = Some(*to);
    }
    let mut places: Vec<usize> = (0..current.len())
        .filter(|position| out.binary_search(position).is_err())
        .filter_map(|position| places[position])
        .collect();
    if !out.is_empty() {
        edits.push(Edit::Remove(out.into_iter().map(number).collect()));
    }
    let moved: Vec<(usize, usize)> = difference.moved.into_iter().filter(|(from, _)| moves(from)).collect();
    edits.extend(sorted_by_moves(&mut places, &moved));
    // Everything before a run is in place by the time it is put in.
    edits.extend(
        runs(&arriving)
            .into_iter()
            .map(|(start, end)| Edit::Insert { at: number(start), names: target[start..end].to_vec() }),
    );
    edits
}

/// Moves that bring what is in the wrong order among the entries that stay to its place, a block at a time; `moved` are its
/// places before and after, ascending after. Without it `places` rises.
fn sorted_by_moves(places: &mut Vec<usize>, moved: &[(usize, usize)]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut waiting: HashSet<usize> = moved.iter().map(|(_, to)| *to).collect();
    for (first, length) in blocks(moved) {
        let place = moved[first].1;
        for (_, to) in &moved[first..first + length] {
            waiting.remove(to);
        }
        let Some(start) = places.iter().position(|held| *held == place) else { continue };
        let before = places
            .iter()
            .position(|held| *held > place + length - 1 && !waiting.contains(held))
            .unwrap_or(places.len());
        if before == start || before == start + length {
            continue;
        }
        edits.push(Edit::Move { start: number(start), length: number(length), before: number(before) });
        let block: Vec<usize> = places.drain(start..start + length).collect();
        let at = if before > start { before - length } else { before };
        places.splice(at..at, block);
    }
    edits
}

/// Which of the moved entries stand together before and after: where each block begins in the list, and its length.
fn blocks(moved: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut blocks: Vec<(usize, usize)> = Vec::new();
    for (index, (from, to)) in moved.iter().enumerate() {
        let follows = index > 0 && moved[index - 1] == (from.wrapping_sub(1), to.wrapping_sub(1));
        match blocks.last_mut() {
            Some((_, length)) if follows => *length += 1,
            _ => blocks.push((index, 1)),
        }
    }
    blocks
}

/// Whether a replacement takes fewer requests and little stays that could be left alone, or far too many requests are
/// saved.
fn is_replaced(out: usize, runs: &[(usize, usize)], target: &[Box<str>]) -> bool {
    let requests = |entries: usize| entries.div_ceil(BATCH);
    let arriving: usize = runs.iter().map(|(start, end)| end - start).sum();
    let one_by_one = requests(out) + runs.iter().map(|(start, end)| requests(end - start)).sum::<usize>();
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

    #[test]
    fn what_moves_is_moved() {
        let name = |letter: char| match letter {
            'L' => "spotify:local:x".into(),
            letter => format!("spotify:track:{letter}").into(),
        };
        let list = |text: &str| text.chars().map(name).collect::<Names>();
        // As after a file was moved to the end and an entry added before everything.
        let edits = between_lists(&list("dabcL"), &list("aLbc"));
        assert_eq!(edits, [Edit::Remove(vec![0]), Edit::Move { start: 3, length: 1, before: 1 }]);
    }

    proptest! {
        #[test]
        fn what_cannot_be_written_again_stays_through_every_edit(
            current in prop::collection::vec("[a-fLMN]", 0..40),
            seed in prop::collection::vec((any::<u16>(), any::<bool>()), 40),
            new in prop::collection::vec("[a-h]", 0..12),
        ) {
            let name = |letter: &String| -> Box<str> {
                match letter.as_str() {
                    "L" => "spotify:local:x".into(),
                    "M" => "spotify:local:y".into(),
                    "N" => "".into(),
                    letter => format!("spotify:track:{letter}").into(),
                }
            };
            let current: Names = current.iter().map(name).collect();
            // Some of it in another order, and something new.
            let mut target: Vec<(u16, Box<str>)> = current.iter().cloned().zip(&seed)
                .filter(|(_, (_, stays))| *stays).map(|(name, (order, _))| (order % 12, name)).collect();
            target.extend(new.iter().map(name).zip(&seed).map(|(name, (order, _))| (order % 7, name)));
            target.sort_by_key(|(order, _)| *order);
            let target: Names = target.into_iter().map(|(_, name)| name).collect();
            let count = |list: &[Box<str>], name: &str| list.iter().filter(|held| &***held == name).count();
            let mut list = current;
            for edit in between_lists(&list, &target) {
                list = applied(&list, &edit);
                for name in ["spotify:local:x", "spotify:local:y", ""] {
                    prop_assert!(count(&list, name) >= count(&target, name), "{:?} is lost by {:?}", name, edit);
                }
            }
            prop_assert_eq!(list, target);
        }

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
