//! From what a call wants and what a playlist holds to what it should hold, and the edits that lead there. Pure.

use std::collections::HashSet;

use stagedoor_domain::PublicError;
use stagedoor_providers::Edit;
use stagedoor_storage::playlist_versions::{Head, Version};

use super::heads::{self, HeadChange};
use super::route::{Names, applied, applied_all, between_lists, is_writable, number, without_skipped};
use crate::arguments::invalid;

/// The most entries that a playlist may have to be edited here; both services stop at as many.
pub(crate) const MOST_ENTRIES: u32 = 10_000;

/// What a call wants of a playlist.
#[derive(Debug, Clone)]
pub(crate) enum Intent {
    /// Put in, at the end or before the entry at a position.
    Add { names: Names, position: Option<u32>, skip_duplicates: bool },
    /// Take out every entry of these.
    Remove { names: Names },
    /// Take out the entries at these positions.
    RemoveAt { positions: Vec<u32> },
    /// Move entries that stand together before the one at a position.
    Reorder { start: u32, length: u32, before: u32 },
    /// Hold this and nothing else.
    Replace { names: Names, skip_duplicates: bool },
    /// Keep the first of each recording.
    Dedupe,
    /// Be as an earlier version was.
    Restore(Box<Version>),
    /// Be called or shown otherwise.
    Head(HeadChange),
}

/// What a playlist is before a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) names: &'a [Box<str>],
    pub(super) head: &'a Head,
    /// The ISRC of each entry, where equal recordings count as one.
    pub(super) isrcs: Option<&'a [Option<Box<str>>]>,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) edits: Vec<Edit>,
    /// What the playlist holds after them.
    pub(super) target: Names,
    pub(super) head: HeadChange,
    /// What is left out on purpose.
    pub(super) left_out: Vec<LeftOut>,
}

/// Something that a call names and that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) name: Box<str>,
    pub(super) reason: &'static str,
}

impl Intent {
    /// Whether a request of it that is done once more changes nothing more, so that what is left can be done although
    /// nobody knows whether the last request was done.
    pub(super) fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Add { .. } | Self::RemoveAt { .. } | Self::Reorder { .. })
    }

    /// Whether it adds at the end, for which nobody needs to know the service's ids of entries.
    pub(super) fn appends(&self) -> bool {
        matches!(self, Self::Add { position: None, .. })
    }
}

/// What to do so that a playlist becomes what is wanted.
pub(super) fn plan(intent: &Intent, now: Now<'_>) -> Result<Plan, PublicError> {
    let mut left_out = Vec::new();
    let mut head = HeadChange::default();
    let edits = match intent {
        Intent::Add { names, position, skip_duplicates } => {
            let at = number(now.names.len());
            let at = position.map_or(Ok(at), |position| up_to("position", position, at))?;
            let names = match skip_duplicates {
                true => without_duplicates(now.names, names, &mut left_out),
                false => names.clone(),
            };
            if names.is_empty() { vec![] } else { vec![Edit::Insert { at, names }] }
        }
        Intent::Remove { names } => removal(by_name(now.names, names, &mut left_out)),
        Intent::RemoveAt { positions } => removal(at_positions(now.names, positions)?),
        Intent::Reorder { start, length, before } => reorder(now.names, (*start, *length, *before))?,
        Intent::Replace { names, skip_duplicates } => {
            let names = match skip_duplicates {
                true => without_duplicates(&[], names, &mut left_out),
                false => names.clone(),
            };
            between_lists(now.names, &names)
        }
        Intent::Dedupe => removal(duplicates(now.names, now.isrcs)),
        Intent::Restore(version) => {
            head = heads::between(now.head, &version.head);
            between_lists(now.names, &restorable(now.names, &version.entries, &mut left_out))
        }
        Intent::Head(change) => {
            head = change.unlike(now.head);
            vec![]
        }
    };
    let target = applied_all(now.names, &edits);
    if target.len() > now.names.len().max(MOST_ENTRIES as usize) {
        return Err(invalid(format!(
            "The playlist would have {} entries, but can have {MOST_ENTRIES}.",
            target.len()
        )));
    }
    Ok(Plan { edits, target, head, left_out })
}

/// What is left to do of a plan that was made for a playlist that held `before`: from what it is now to what it was to
/// be, without what the service has left out since. Where nothing stands in the way the edits are what was left of the
/// plan's own.
pub(super) fn rest(
    plan: Plan,
    before: &[Box<str>],
    (now, head): (&[Box<str>], &Head),
    skipped: &[Box<str>],
) -> Plan {
    let head = plan.head.unlike(head);
    if now == before {
        return Plan { head, ..plan };
    }
    if let Some(edits) = rest_of_insert(&plan.edits, before, now) {
        return Plan { edits, head, ..plan };
    }
    let target = without_skipped(plan.target, now, &skipped.iter().cloned().collect());
    Plan { edits: between_lists(now, &target), target, head, ..plan }
}

/// What is left of an insertion whose first names are in. Equal entries beside it do not mislead it.
fn rest_of_insert(edits: &[Edit], before: &[Box<str>], now: &[Box<str>]) -> Option<Vec<Edit>> {
    let [Edit::Insert { at, names }] = edits else { return None };
    let done = now.len().checked_sub(before.len()).filter(|done| (1..=names.len()).contains(done))?;
    let so_far = Edit::Insert { at: *at, names: names[..done].to_vec() };
    if applied(before, &so_far) != now {
        return None;
    }
    let rest = Edit::Insert { at: at + number(done), names: names[done..].to_vec() };
    Some(if done == names.len() { vec![] } else { vec![rest] })
}

/// The positions of entries that were there before in the list; what the service tells nothing of is never one.
pub(super) fn duplicates(names: &[Box<str>], isrcs: Option<&[Option<Box<str>>]>) -> Vec<u32> {
    let mut seen = HashSet::new();
    let mut recordings = HashSet::new();
    let mut found = Vec::new();
    for (position, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let isrc = isrcs.and_then(|isrcs| isrcs.get(position)?.as_deref());
        let again = !seen.insert(&**name);
        let recorded = isrc.is_some_and(|isrc| !recordings.insert(isrc));
        if again || recorded {
            found.push(number(position));
        }
    }
    found
}

fn removal(positions: Vec<u32>) -> Vec<Edit> {
    if positions.is_empty() { vec![] } else { vec![Edit::Remove(positions)] }
}

fn without_duplicates(there: &[Box<str>], names: &[Box<str>], left_out: &mut Vec<LeftOut>) -> Names {
    let mut seen: HashSet<&str> = there.iter().map(AsRef::as_ref).collect();
    let mut fresh = Names::new();
    for name in names {
        if seen.insert(name) {
            fresh.push(name.clone());
        } else {
            left_out.push(LeftOut { name: name.clone(), reason: "duplicate" });
        }
    }
    fresh
}

fn by_name(there: &[Box<str>], names: &[Box<str>], left_out: &mut Vec<LeftOut>) -> Vec<u32> {
    let wanted: HashSet<&str> = names.iter().map(AsRef::as_ref).collect();
    let is_there: HashSet<&str> = there.iter().map(AsRef::as_ref).collect();
    let missing = names.iter().filter(|name| !is_there.contains(&***name));
    left_out.extend(missing.map(|name| LeftOut { name: name.clone(), reason: "not_in_playlist" }));
    let found = there.iter().enumerate().filter(|(_, name)| wanted.contains(&***name));
    found.map(|(position, _)| number(position)).collect()
}

fn at_positions(there: &[Box<str>], positions: &[u32]) -> Result<Vec<u32>, PublicError> {
    let mut positions = positions.to_vec();
    positions.sort_unstable();
    positions.dedup();
    match positions.last() {
        Some(last) if *last >= number(there.len()) => Err(past_the_end("positions", *last, there.len())),
        _ => Ok(positions),
    }
}

fn reorder(there: &[Box<str>], (start, length, before): (u32, u32, u32)) -> Result<Vec<Edit>, PublicError> {
    let entries = number(there.len());
    if start >= entries || length > entries - start {
        return Err(past_the_end("start", start.saturating_add(length.max(1)) - 1, there.len()));
    }
    let before = up_to("before", before, entries)?;
    // Before itself or before what follows it: nothing moves.
    if (start..=start + length).contains(&before) {
        return Ok(vec![]);
    }
    Ok(vec![Edit::Move { start, length, before }])
}

/// The entries of an earlier version that the playlist can have: what cannot be written stays only as often as it is
/// there now.
fn restorable(there: &[Box<str>], wanted: &[Box<str>], left_out: &mut Vec<LeftOut>) -> Names {
    let mut unwritable: Vec<&str> =
        there.iter().map(AsRef::as_ref).filter(|name| !is_writable(name)).collect();
    let mut names = Names::new();
    for name in wanted {
        if is_writable(name) {
            names.push(name.clone());
        } else if let Some(found) = unwritable.iter().position(|kept| **kept == **name) {
            unwritable.swap_remove(found);
            names.push(name.clone());
        } else {
            left_out.push(LeftOut { name: name.clone(), reason: "cannot_be_written" });
        }
    }
    names
}

fn up_to(field: &str, position: u32, most: u32) -> Result<u32, PublicError> {
    if position <= most {
        return Ok(position);
    }
    Err(invalid(format!("`{field}` is {position}, but the playlist has {most} entries, so at most {most}.")))
}

fn past_the_end(field: &str, position: u32, entries: usize) -> PublicError {
    invalid(format!("`{field}` reaches position {position}, but the playlist has {entries} entries, from 0."))
}
