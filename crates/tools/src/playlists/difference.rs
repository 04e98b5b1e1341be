//! What differs between two lists of a playlist's entries: what came in, what went out, what moved. Pure.

use std::collections::HashMap;

/// How the entries of two lists belong together; positions count from 0. Every position of either list is in exactly
/// one of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// In both, and in the same order as the others of these: positions before and after, ascending in both.
    pub(super) kept: Vec<(usize, usize)>,
    /// In both, but elsewhere among the others: positions before and after, ascending after.
    pub(crate) moved: Vec<(usize, usize)>,
    /// Only before, ascending.
    pub(crate) removed: Vec<usize>,
    /// Only after, ascending.
    pub(crate) added: Vec<usize>,
}

impl Difference {
    /// Whether both lists are the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.removed.is_empty() && self.added.is_empty()
    }
}

/// What differs. As many as possible of what is in both count as kept; of equal entries, the first belongs to the first.
/// Takes O(n log n).
pub(crate) fn between<T: AsRef<str>, U: AsRef<str>>(before: &[T], after: &[U]) -> Difference {
    let equal = |(left, right): &(&T, &U)| left.as_ref() == right.as_ref();
    let head = before.iter().zip(after).take_while(equal).count();
    let rest = before.len().min(after.len()) - head;
    let tail = before.iter().rev().zip(after.iter().rev()).take(rest).take_while(equal).count();
    let (before_end, after_end) = (before.len() - tail, after.len() - tail);

    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for position in (head..after_end).rev() {
        places.entry(after[position].as_ref()).or_default().push(position);
    }
    let mut difference = Difference::default();
    let mut pairs = Vec::new();
    for (position, name) in before.iter().enumerate().take(before_end).skip(head) {
        match places.get_mut(name.as_ref()).and_then(Vec::pop) {
            Some(place) => pairs.push((position, place)),
            None => difference.removed.push(position),
        }
    }
    difference.added = places.into_values().flatten().collect();
    difference.added.sort_unstable();
    let stays = longest_rising(&pairs);
    difference.kept.extend((0..head).map(|position| (position, position)));
    for (pair, stays) in pairs.into_iter().zip(stays) {
        if stays { difference.kept.push(pair) } else { difference.moved.push(pair) }
    }
    difference.kept.extend((0..tail).map(|step| (before_end + step, after_end + step)));
    difference.moved.sort_unstable_by_key(|(_, after)| *after);
    difference
}

/// For each pair, whether it is in the longest run of pairs whose second numbers rise (patience sorting).
fn longest_rising(pairs: &[(usize, usize)]) -> Vec<bool> {
    // The index of the pair that ends the best run of each length, and what comes before each pair in its run.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, place)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *place);
        previous.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() { ends.push(index) } else { ends[length] = index }
    }
    let mut stays = vec![false; pairs.len()];
    let mut at = ends.last().copied();
    while let Some(index) = at {
        stays[index] = true;
        at = previous[index];
    }
    stays
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(before: &str, after: &str) -> Difference {
        let list = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        between(&list(before), &list(after))
    }

    #[test]
    fn what_came_and_went_is_told_by_position() {
        let difference = of("abcd", "xabd");
        assert_eq!((difference.added, difference.removed, difference.moved), (vec![0], vec![2], vec![]));
        assert!(of("abcd", "abcd").is_empty() && of("", "").is_empty());
    }

    #[test]
    fn as_little_as_possible_moves() {
        let difference = of("abcdefg", "bcdefga");
        assert_eq!(difference.moved, [(0, 6)]);
        assert_eq!((difference.added.len(), difference.removed.len()), (0, 0));
    }

    #[test]
    fn of_equal_entries_the_rest_of_the_list_tells_which_is_gone() {
        assert_eq!(of("abab", "bab").removed, [0]);
        assert_eq!(of("abac", "abc").removed, [2]);
    }

    proptest! {
        #[test]
        fn every_position_is_told_once_and_what_is_kept_is_in_order(
            before in prop::collection::vec("[a-e]", 0..24),
            after in prop::collection::vec("[a-e]", 0..24),
        ) {
            let difference = between(&before, &after);
            let pairs: Vec<_> = difference.kept.iter().chain(&difference.moved).copied().collect();
            prop_assert!(pairs.iter().all(|(from, to)| before[*from] == after[*to]));
            let mut left: Vec<_> = pairs.iter().map(|(from, _)| *from).chain(difference.removed.clone()).collect();
            let mut right: Vec<_> = pairs.iter().map(|(_, to)| *to).chain(difference.added.clone()).collect();
            left.sort_unstable();
            right.sort_unstable();
            prop_assert_eq!(left, (0..before.len()).collect::<Vec<_>>());
            prop_assert_eq!(right, (0..after.len()).collect::<Vec<_>>());
            prop_assert!(difference.kept.is_sorted_by(|one, two| one.0 < two.0 && one.1 < two.1));
            prop_assert_eq!(difference.is_empty(), before == after);
        }
    }
}
