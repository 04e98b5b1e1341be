//! How an edit becomes Tidal's requests: entries are removed and moved by their ids, new ones go before an entry, each
//! so many at a time. Pure; `edits` sends them.

use std::collections::{HashMap, VecDeque};

use super::contents::MOST_ENTRIES;
use super::request::unsupported;
use crate::error::ProviderError;
use crate::features::{Edit, Entry};

/// Most entries that one request adds.
const MOST_ADDED: usize = 50;
/// Most entries that one request removes.
const MOST_REMOVED: usize = 50;
/// Most entries that one request moves.
const MOST_MOVED: usize = 20;

/// One request. `before` is the id of the entry to go before, `None` for the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Add { names: Vec<Box<str>>, before: Option<Box<str>> },
    Remove(Vec<Entry>),
    Move { entries: Vec<Entry>, before: Option<Box<str>> },
}

/// Whether the requests name entries that are in already.
pub(super) fn needs_ids(current: &[Entry], edit: &Edit) -> bool {
    match edit {
        Edit::Insert { at, .. } => (*at as usize) < current.len(),
        Edit::Remove(_) | Edit::Move { .. } | Edit::Replace(_) => true,
    }
}

/// The requests that turn `current`, whose entries have ids where `needs_ids` says so, into what `edit` wants.
pub(super) fn steps(current: &[Entry], edit: &Edit) -> Result<Vec<Step>, ProviderError> {
    let outside = || unsupported("edit beyond the end of the playlist");
    match edit {
        Edit::Remove(positions) => {
            let gone: Option<Vec<Entry>> =
                positions.iter().map(|position| current.get(*position as usize).cloned()).collect();
            Ok(remove(&gone.ok_or_else(outside)?))
        }
        Edit::Insert { at, names } => {
            if *at as usize > current.len() {
                return Err(outside());
            }
            Ok(add(names, id_at(current, *at as usize)))
        }
        Edit::Move { start, length, before } => {
            let (start, length, before) = (*start as usize, *length as usize, *before as usize);
            let end = start + length;
            if end > current.len() || before > current.len() || (start < before && before < end) {
                return Err(outside());
            }
            Ok(shift(current, start, end, before))
        }
        Edit::Replace(names) => Ok(replace(current, names)),
    }
}

fn add(names: &[Box<str>], before: Option<&str>) -> Vec<Step> {
    let batches = names.chunks(MOST_ADDED);
    batches.map(|batch| Step::Add { names: batch.to_vec(), before: before.map(Box::from) }).collect()
}

fn remove(gone: &[Entry]) -> Vec<Step> {
    gone.chunks(MOST_REMOVED).map(|batch| Step::Remove(batch.to_vec())).collect()
}

/// Moves `start..end` before `before`, or what lies between to the other side of it if that is less.
fn shift(current: &[Entry], start: usize, end: usize, before: usize) -> Vec<Step> {
    let (between, other_side) =
        if before >= end { (&current[end..before], start) } else { (&current[before..start], end) };
    let block = &current[start..end];
    let (entries, target) = if between.len() < block.len() { (between, other_side) } else { (block, before) };
    if between.is_empty() {
        return Vec::new();
    }
    let before = id_at(current, target);
    let batches = entries.chunks(MOST_MOVED);
    batches.map(|batch| Step::Move { entries: batch.to_vec(), before: before.map(Box::from) }).collect()
}

/// What both have at the start and at the end stays. Of what lies between, as much stays as can, unless taking out
/// everything needs fewer requests.
fn replace(current: &[Entry], names: &[Box<str>]) -> Vec<Step> {
    let prefix = current.iter().zip(names).take_while(|(entry, name)| entry.name == **name).count();
    let (old, new) = (&current[prefix..], &names[prefix..]);
    let from_end = old.iter().rev().zip(new.iter().rev());
    let suffix = from_end.take_while(|(entry, name)| entry.name == **name).count();
    let (old, new) = (&old[..old.len() - suffix], &new[..new.len() - suffix]);
    let after = id_at(current, prefix + old.len());
    let whole = exchange(current.len(), old, new, &[], after);
    let fine = exchange(current.len(), old, new, &kept(old, new), after);
    if fine.len() <= whole.len() { fine } else { whole }
}

/// Puts `new` in the place of `old` but for the `kept` pairs of positions, which ascend in both. New entries come first,
/// so that a failure in between loses nothing, unless they do not fit beside the old ones.
fn exchange(
    length: usize,
    old: &[Entry],
    new: &[Box<str>],
    kept: &[(usize, usize)],
    after: Option<&str>,
) -> Vec<Step> {
    let mut added = Vec::new();
    let mut from = 0;
    for (at, here) in kept {
        added.extend(add(&new[from..*here], id_at(old, *at)));
        from = here + 1;
    }
    added.extend(add(&new[from..], after));
    let mut stays = kept.iter().map(|(at, _)| *at).peekable();
    let gone = old.iter().enumerate().filter(|(at, _)| stays.next_if_eq(at).is_none());
    let removed = remove(&gone.map(|(_, entry)| entry.clone()).collect::<Vec<_>>());
    let fits = length + new.len() - kept.len() <= MOST_ENTRIES;
    if fits { [added, removed].concat() } else { [removed, added].concat() }
}

/// Pairs of positions in `old` and `new` that hold the same, ascending in both, as many as there are if each name is
/// there once; of a name that is there more often, the first ones belong together, the second ones, and so on.
fn kept(old: &[Entry], new: &[Box<str>]) -> Vec<(usize, usize)> {
    let mut places: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (at, entry) in old.iter().enumerate() {
        places.entry(&entry.name).or_default().push_back(at);
    }
    let mut place = |name: &str| places.get_mut(name).and_then(VecDeque::pop_front);
    let pairs: Vec<(usize, usize)> =
        new.iter().enumerate().filter_map(|(at, name)| Some((place(name)?, at))).collect();
    longest_ascent(&pairs)
}

/// The longest subsequence of `pairs` whose first parts ascend (patience sorting, M. L. Fredman 1975).
fn longest_ascent(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The index of the pair that ends the best subsequence of each length, and before each pair the one to come from.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous = vec![None; pairs.len()];
    for (index, (value, _)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].0 < *value);
        previous[index] = length.checked_sub(1).map(|shorter| ends[shorter]);
        if length == ends.len() {
            ends.push(index);
        } else {
            ends[length] = index;
        }
    }
    let mut found: Vec<_> = std::iter::successors(ends.last().copied(), |index| previous[*index])
        .map(|index| pairs[index])
        .collect();
    found.reverse();
    found
}

fn id_at(entries: &[Entry], position: usize) -> Option<&str> {
    entries.get(position)?.item_id.as_deref()
}

#[cfg(test)]
mod tests;
