//! Which requests an edit of a Spotify playlist takes, worked out before the first is sent. Sends nothing.
//!
//! Spotify removes by URI, every occurrence at once, and can neither add nor rewrite files on a person's own device. So
//! taking out some of several equal entries means taking out all and putting the others back, or rewriting the playlist:
//! whichever takes fewer requests of those that can be done. What it has no more (`refused`) can be taken out and moved,
//! but is never put in.

use std::collections::HashSet;
use std::ops::Range;

use stagedoor_domain::{EntityKind, Provider};

use super::request::cannot;
use crate::error::ProviderError;
use crate::features::Edit;
use crate::text;

/// Most items that one request takes.
const BATCH: usize = 100;

pub(super) type Name = Box<str>;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Makes the playlist hold these.
    Put(Vec<Name>),
    /// Puts these in before a position; `None` is the end.
    Post(Option<usize>, Vec<Name>),
    /// Takes out every occurrence of these.
    Delete(Vec<Name>),
    /// Moves a range before a position, which counts in the playlist as it was.
    Move(Range<usize>, usize),
}

impl Step {
    /// What becomes of `entries`.
    pub(super) fn apply(&self, entries: &mut Vec<Name>) {
        match self {
            Self::Put(names) => names.clone_into(entries),
            Self::Post(at, names) => {
                let at = at.map_or(entries.len(), |at| at.min(entries.len()));
                entries.splice(at..at, names.iter().cloned());
            }
            Self::Delete(names) => {
                let gone: HashSet<&Name> = names.iter().collect();
                entries.retain(|entry| !gone.contains(entry));
            }
            Self::Move(range, before) => {
                let moved: Vec<_> = entries.drain(range.clone()).collect();
                let target = if *before > range.start { before - moved.len() } else { *before };
                entries.splice(target..target, moved);
            }
        }
    }
}

/// What Spotify has refused to add.
pub(super) type Refused = HashSet<Name>;

pub(super) fn borrowed(names: &[Name]) -> Vec<&str> {
    names.iter().map(AsRef::as_ref).collect()
}

/// The requests of `edit` on a playlist that holds `current`, or why there are none.
pub(super) fn plan(current: &[&str], edit: &Edit, refused: &Refused) -> Result<Vec<Step>, ProviderError> {
    match edit {
        Edit::Insert { at, names } => {
            let at = position(*at, current.len() + 1)?;
            check_writable(names.iter().map(|name| &**name))?;
            Ok(insert((at < current.len()).then_some(at), names))
        }
        Edit::Move { start, length, before } => {
            let (start, length) = (position(*start, current.len())?, *length as usize);
            let (before, end) = (position(*before, current.len() + 1)?, start + length);
            if length == 0 || end > current.len() || (start < before && before < end) {
                return Err(no_such_position());
            }
            let stays = before == start || before == end;
            Ok(if stays { Vec::new() } else { vec![Step::Move(start..end, before)] })
        }
        Edit::Remove(positions) => {
            let positions: Vec<usize> =
                positions.iter().map(|at| position(*at, current.len())).collect::<Result<_, _>>()?;
            if !positions.is_sorted_by(|left, right| left < right) {
                return Err(no_such_position());
            }
            remove(current, &positions, refused)
        }
        Edit::Replace(names) => replace(current, names, refused),
    }
}

fn remove(current: &[&str], positions: &[usize], refused: &Refused) -> Result<Vec<Step>, ProviderError> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let gone: HashSet<usize> = positions.iter().copied().collect();
    let kept: Vec<Name> = current
        .iter()
        .enumerate()
        .filter(|(at, _)| !gone.contains(at))
        .map(|(_, name)| (*name).into())
        .collect();
    let plans = [take_out_and_put_back(current, &gone, refused), rewrite(&kept, refused)];
    fewest(plans).or_else(|| around(current, &kept, refused)).ok_or_else(|| {
        cannot("take this out, because it removes by name, and the playlist holds entries that cannot be written again \
                (files on a device, or gone)")
    })
}

/// Takes out all that equals a removed entry, then puts back what was not meant.
fn take_out_and_put_back(current: &[&str], gone: &HashSet<usize>, refused: &Refused) -> Option<Vec<Step>> {
    let mut seen = HashSet::new();
    let mut sorted: Vec<usize> = gone.iter().copied().collect();
    sorted.sort_unstable();
    let names: Vec<Name> =
        sorted.iter().map(|at| current[*at]).filter(|name| seen.insert(*name)).map(Name::from).collect();
    if !names.iter().all(|name| is_writable(name)) {
        return None;
    }
    let mut steps: Vec<Step> = names.chunks(BATCH).map(|batch| Step::Delete(batch.to_vec())).collect();
    let mut run: Option<(usize, Vec<Name>)> = None;
    let kept = current.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, name)| *name);
    for (at, name) in kept.enumerate() {
        if seen.contains(name) {
            if refused.contains(name) {
                return None;
            }
            run.get_or_insert_with(|| (at, Vec::new())).1.push(name.into());
        } else if let Some((at, names)) = run.take() {
            steps.extend(insert(Some(at), &names));
        }
    }
    // What is missing after everything else belongs at the end.
    steps.extend(run.into_iter().flat_map(|(_, names)| insert(None, &names)));
    Some(steps)
}

/// The shortest way to make a playlist hold `names`: all anew, or only what lies between the parts that stay.
fn replace(current: &[&str], names: &[Name], refused: &Refused) -> Result<Vec<Step>, ProviderError> {
    let same = |(left, right): &(&&str, &Name)| **left == &***right;
    let before = current.iter().zip(names).take_while(same).count();
    let after = current[before..].iter().rev().zip(names[before..].iter().rev()).take_while(same).count();
    let (old, new) = (before..current.len() - after, &names[before..names.len() - after]);
    if old.is_empty() && new.is_empty() {
        return Ok(Vec::new());
    }
    fewest([between(current, old, new, refused), rewrite(names, refused)])
        .or_else(|| around(current, names, refused))
        .ok_or_else(|| refusal(names.iter().map(|name| &**name).find(|name| is_fixed(name, refused))))
}

fn between(current: &[&str], old: Range<usize>, new: &[Name], refused: &Refused) -> Option<Vec<Step>> {
    if new.iter().any(|name| is_fixed(name, refused)) {
        return None;
    }
    let left = current.len() - old.len();
    let at = (old.start < left).then_some(old.start);
    let mut steps =
        if old.is_empty() { Vec::new() } else { take_out_and_put_back(current, &old.collect(), refused)? };
    steps.extend(insert(at, new));
    Some(steps)
}

/// Everything anew. An empty list empties the playlist.
fn rewrite(names: &[Name], refused: &Refused) -> Option<Vec<Step>> {
    let (first, rest) = names.split_at(names.len().min(BATCH));
    (!names.iter().any(|name| is_fixed(name, refused))).then(|| {
        let mut steps = vec![Step::Put(first.to_vec())];
        steps.extend(insert(None, rest));
        steps
    })
}

/// Around what cannot be put in again: everything else goes, what stays is moved into its order, the rest is put between.
fn around(current: &[&str], names: &[Name], refused: &Refused) -> Option<Vec<Step>> {
    let wanted: Vec<&Name> = names.iter().filter(|name| is_fixed(name, refused)).collect();
    // Removals are by name, so of what is refused either all stays or nothing does.
    let kept: HashSet<&str> = wanted.iter().map(|name| &***name).collect();
    let stays = |name: &str| !is_writable(name) || kept.contains(name);
    let mut left: Vec<Name> =
        current.iter().filter(|name| stays(name)).map(|name| Name::from(*name)).collect();
    let (mut had, mut has): (Vec<&Name>, Vec<&Name>) = (left.iter().collect(), wanted.clone());
    had.sort_unstable();
    has.sort_unstable();
    if had != has {
        return None;
    }
    let mut seen = HashSet::new();
    let gone: Vec<Name> = current
        .iter()
        .filter(|name| !stays(name) && seen.insert(**name))
        .map(|name| Name::from(*name))
        .collect();
    let mut steps: Vec<Step> = gone.chunks(BATCH).map(|batch| Step::Delete(batch.to_vec())).collect();
    for (at, name) in wanted.into_iter().enumerate() {
        let found = at + left[at..].iter().position(|held| held == name)?;
        if found > at {
            let step = Step::Move(found..found + 1, at);
            step.apply(&mut left);
            steps.push(step);
        }
    }
    let mut run: Option<(usize, Vec<Name>)> = None;
    for (at, name) in names.iter().enumerate() {
        if !is_fixed(name, refused) {
            run.get_or_insert_with(|| (at, Vec::new())).1.push(name.clone());
        } else if let Some((at, names)) = run.take() {
            steps.extend(insert(Some(at), &names));
        }
    }
    steps.extend(run.into_iter().flat_map(|(_, names)| insert(None, &names)));
    Some(steps)
}

fn insert(at: Option<usize>, names: &[Name]) -> Vec<Step> {
    let starts = (0..).step_by(BATCH);
    names
        .chunks(BATCH)
        .zip(starts)
        .map(|(batch, start)| Step::Post(at.map(|at| at + start), batch.to_vec()))
        .collect()
}

/// Of equally many requests the first way, which loses less if it is cut off.
fn fewest(plans: [Option<Vec<Step>>; 2]) -> Option<Vec<Step>> {
    plans.into_iter().flatten().min_by_key(Vec::len)
}

fn check_writable<'a>(mut names: impl Iterator<Item = &'a str>) -> Result<(), ProviderError> {
    names.find(|name| !is_writable(name)).map_or(Ok(()), |name| Err(refusal(Some(name))))
}

/// Whether it cannot be put in, only left where it is, moved, or taken out.
fn is_fixed(name: &str, refused: &Refused) -> bool {
    !is_writable(name) || refused.contains(name)
}

/// Whether Spotify lets an app add it.
fn is_writable(name: &str) -> bool {
    ["spotify:track:", "spotify:episode:"]
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix))
        .any(|id| text::reference(Provider::Spotify, EntityKind::Track, id).is_some())
}

fn refusal(name: Option<&str>) -> ProviderError {
    match name.filter(|name| !name.is_empty()).and_then(text::name) {
        Some(name) => cannot(format!("add {name} to a playlist; it takes tracks and episodes")),
        None => cannot("add an entry that it tells nothing of"),
    }
}

fn position(at: u32, end: usize) -> Result<usize, ProviderError> {
    let at = at as usize;
    if at < end { Ok(at) } else { Err(no_such_position()) }
}

fn no_such_position() -> ProviderError {
    cannot("edit at positions that the playlist does not have")
}

#[cfg(test)]
mod tests;
