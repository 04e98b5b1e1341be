//! The plans, carried out on a list as Tidal does.

use proptest::prelude::*;

use super::*;

fn entries(names: &[Box<str>]) -> Vec<Entry> {
    let ids = (0..).map(|at| Some(format!("item-{at}").into()));
    names.iter().zip(ids).map(|(name, item_id)| Entry { name: name.clone(), item_id }).collect()
}

fn names(text: &str) -> Vec<Box<str>> {
    text.chars().map(|name| Box::from(name.to_string())).collect()
}

/// What Tidal makes of the requests: each names only entries that are in, so many as it takes.
fn carried_out(mut held: Vec<Entry>, steps: &[Step]) -> Vec<Box<str>> {
    let place = |held: &[Entry], before: &Option<Box<str>>| match before {
        Some(before) => held.iter().position(|entry| entry.item_id.as_ref() == Some(before)).unwrap(),
        None => held.len(),
    };
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Add { names, before } => {
                assert!((1..=50).contains(&names.len()));
                let new = names.iter().enumerate().map(|(at, name)| Entry {
                    name: name.clone(),
                    item_id: Some(format!("new-{number}-{at}").into()),
                });
                let at = place(&held, before);
                held.splice(at..at, new);
            }
            Step::Remove(gone) => {
                assert!((1..=50).contains(&gone.len()));
                assert!(gone.iter().all(|entry| held.contains(entry)));
                held.retain(|entry| !gone.contains(entry));
            }
            Step::Move { entries, before } => {
                assert!((1..=20).contains(&entries.len()));
                assert!(entries.iter().all(|entry| held.contains(entry)));
                held.retain(|entry| !entries.contains(entry));
                let at = place(&held, before);
                held.splice(at..at, entries.iter().cloned());
            }
        }
    }
    held.into_iter().map(|entry| entry.name).collect()
}

fn planned(current: &[Box<str>], edit: &Edit) -> Vec<Step> {
    steps(&entries(current), edit).unwrap()
}

fn outcome(current: &[Box<str>], edit: &Edit) -> Vec<Box<str>> {
    carried_out(entries(current), &planned(current, edit))
}

#[test]
fn a_little_change_of_a_long_playlist_is_a_little_request() {
    let long: Vec<Box<str>> = (0..1_000).map(|number| Box::from(format!("{number}"))).collect();
    let mut moved = long.clone();
    let last = moved.pop().unwrap();
    moved.insert(3, last);
    let steps = planned(&long, &Edit::Replace(moved));
    assert_eq!(steps.len(), 2, "one is added, one removed: {steps:?}");
    assert!(planned(&long, &Edit::Replace(long.clone())).is_empty());
    assert_eq!(planned(&long, &Edit::Move { start: 0, length: 990, before: 1_000 }).len(), 1);
    assert_eq!(planned(&long, &Edit::Move { start: 5, length: 900, before: 0 }).len(), 1);
}

#[test]
fn a_playlist_put_upside_down_is_written_anew() {
    let long: Vec<Box<str>> = (0..200).map(|number| Box::from(format!("{number}"))).collect();
    let reversed: Vec<Box<str>> = long.iter().rev().cloned().collect();
    assert_eq!(planned(&long, &Edit::Replace(reversed)).len(), 8);
}

#[test]
fn nothing_is_lost_on_the_way_unless_the_playlist_would_overflow() {
    let steps = planned(&names("abc"), &Edit::Replace(names("xbz")));
    assert!(matches!(steps.last(), Some(Step::Remove(_))), "{steps:?}");
    let full: Vec<Box<str>> = (0..MOST_ENTRIES).map(|number| Box::from(format!("{number}"))).collect();
    let other: Vec<Box<str>> = (0..MOST_ENTRIES).map(|number| Box::from(format!("x{number}"))).collect();
    let steps = planned(&full, &Edit::Replace(other));
    assert!(matches!(steps.first(), Some(Step::Remove(_))));
}

#[test]
fn a_move_to_where_it_is_sends_nothing() {
    for before in [1, 3] {
        assert!(planned(&names("abcd"), &Edit::Move { start: 1, length: 2, before }).is_empty());
    }
}

#[test]
fn what_is_beyond_the_end_is_refused() {
    for edit in [
        Edit::Remove(vec![3]),
        Edit::Insert { at: 4, names: names("x") },
        Edit::Move { start: 2, length: 2, before: 0 },
        Edit::Move { start: 0, length: 2, before: 1 },
        Edit::Move { start: u32::MAX, length: u32::MAX, before: 0 },
    ] {
        let outcome = steps(&entries(&names("abc")), &edit);
        assert!(matches!(outcome, Err(ProviderError::UnsupportedByProvider { .. })), "{edit:?}");
    }
}

fn any_names() -> impl Strategy<Value = Vec<Box<str>>> {
    // Few names, so that many are there more than once.
    prop::collection::vec((0..40_u8).prop_map(|name| Box::from(name.to_string())), 0..160)
}

proptest! {
    #[test]
    fn replacing_leads_to_what_is_wanted(current in any_names(), wanted in any_names()) {
        let steps = planned(&current, &Edit::Replace(wanted.clone()));
        prop_assert_eq!(carried_out(entries(&current), &steps), wanted.clone());
        prop_assert!(steps.len() <= current.len().div_ceil(50) + wanted.len().div_ceil(50));
    }

    #[test]
    fn moving_is_taking_out_and_putting_in(
        (current, start, length, before) in any_names().prop_flat_map(|current| {
            let most = current.len();
            (Just(current), 0..=most, 0..=most, 0..=most)
        }),
    ) {
        let length = length.min(current.len() - start);
        prop_assume!(before <= start || before >= start + length);
        let mut wanted = current.clone();
        let block: Vec<_> = wanted.drain(start..start + length).collect();
        let at = if before > start { before - length } else { before };
        wanted.splice(at..at, block);
        let number = |value: usize| u32::try_from(value).unwrap();
        let edit =
            Edit::Move { start: number(start), length: number(length), before: number(before) };
        prop_assert_eq!(outcome(&current, &edit), wanted);
    }

    #[test]
    fn removing_and_inserting_do_only_that(
        current in any_names(),
        new in any_names(),
        chosen in prop::collection::btree_set(0..160_u32, 0..120),
        at in 0..=160_u32,
    ) {
        let length = u32::try_from(current.len()).unwrap();
        let positions: Vec<u32> = chosen.into_iter().filter(|position| *position < length).collect();
        let kept = (0..).zip(&current).filter(|(position, _)| !positions.contains(position));
        let wanted: Vec<_> = kept.map(|(_, name)| name.clone()).collect();
        prop_assert_eq!(outcome(&current, &Edit::Remove(positions)), wanted);

        let at = at.min(length);
        let mut wanted = current.clone();
        wanted.splice(at as usize..at as usize, new.iter().cloned());
        prop_assert_eq!(outcome(&current, &Edit::Insert { at, names: new }), wanted);
    }
}
