//! Plans against a model of what Spotify does with each request, over every small playlist.

use super::*;

fn plan(current: &[&str], edit: &Edit) -> Result<Vec<Step>, ProviderError> {
    super::plan(current, edit, &Refused::new())
}

const NAMES: [&str; 3] = ["spotify:track:a", "spotify:episode:b", "spotify:local:Ada::Demo:61"];

fn names(list: &[&str]) -> Vec<Name> {
    list.iter().map(|name| Name::from(*name)).collect()
}

fn numbered(range: Range<usize>) -> Vec<String> {
    range.map(|number| format!("spotify:track:t{number}")).collect()
}

fn borrowed(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// What the playlist holds after `steps`, each of which Spotify would take.
fn outcome(current: &[&str], steps: &[Step]) -> Vec<Name> {
    let mut entries = names(current);
    for step in steps {
        match step {
            Step::Put(put) => assert!(put.len() <= 100 && put.iter().all(|name| is_writable(name))),
            Step::Post(at, put) => {
                assert!((1..=100).contains(&put.len()) && put.iter().all(|name| is_writable(name)));
                assert!(at.is_none_or(|at| at < entries.len()), "{at:?} in {entries:?}");
            }
            Step::Delete(gone) => {
                assert!((1..=100).contains(&gone.len()) && gone.iter().all(|name| is_writable(name)));
                assert!(gone.iter().all(|name| entries.contains(name)));
            }
            Step::Move(range, before) => assert!(range.end <= entries.len() && *before <= entries.len()),
        }
        step.apply(&mut entries);
    }
    entries
}

/// Every list of at most `length` of the three names.
fn lists(length: usize) -> Vec<Vec<&'static str>> {
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..length {
        last = last
            .iter()
            .flat_map(|list| NAMES.map(|name| list.iter().copied().chain([name]).collect::<Vec<_>>()))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn any_entries_can_be_taken_out_where_what_stays_or_goes_can_be_written() {
    for list in lists(5) {
        for mask in 0_u32..1 << list.len() {
            let gone: Vec<u32> = (0..).take(list.len()).filter(|at| mask & (1 << at) != 0).collect();
            let left: Vec<&str> =
                (0..).zip(&list).filter(|(at, _)| !gone.contains(at)).map(|(_, name)| *name).collect();
            match plan(&list, &Edit::Remove(gone.clone())) {
                Ok(steps) => assert_eq!(outcome(&list, &steps), names(&left), "{list:?} without {gone:?}"),
                Err(error) => {
                    assert!(matches!(error, ProviderError::UnsupportedByProvider { .. }));
                    assert!(gone.iter().any(|at| list[*at as usize] == NAMES[2]) && left.contains(&NAMES[2]));
                }
            }
        }
    }
}

#[test]
fn any_playlist_can_be_made_any_other_that_can_be_written() {
    let lists = lists(4);
    for from in &lists {
        for to in &lists {
            match plan(from, &Edit::Replace(names(to))) {
                Ok(steps) => assert_eq!(outcome(from, &steps), names(to), "{from:?} to {to:?}"),
                Err(error) => {
                    assert!(matches!(error, ProviderError::UnsupportedByProvider { .. }));
                    assert!(to.contains(&NAMES[2]), "{from:?} to {to:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_refused_is_neither_lost_nor_put_in() {
    let (lists, refused) = (lists(4), Refused::from([Name::from(NAMES[0])]));
    let count = |list: &[Name], name: &str| list.iter().filter(|held| &***held == name).count();
    let mut planned = 0;
    for from in &lists {
        for to in &lists {
            let Ok(steps) = super::plan(from, &Edit::Replace(names(to)), &refused) else { continue };
            planned += 1;
            assert_eq!(outcome(from, &steps), names(to), "{from:?} to {to:?}");
            let mut held = names(from);
            for step in &steps {
                if let Step::Put(put) | Step::Post(_, put) = step {
                    assert!(put.iter().all(|name| !refused.contains(name)), "{from:?} to {to:?}");
                }
                step.apply(&mut held);
                for kept in [NAMES[0], NAMES[2]] {
                    assert!(count(&held, kept) >= count(&names(to), kept), "{from:?} to {to:?}");
                }
            }
        }
    }
    assert!(planned > 1_000, "{planned}");
}

#[test]
fn any_range_can_be_moved_anywhere() {
    let owned = numbered(0..6);
    let list = borrowed(&owned);
    for start in 0..6 {
        for length in 1..=6 - start {
            for before in (0..=start).chain(start + length..=6) {
                let moved: Vec<_> = list[start..start + length].to_vec();
                let mut expected: Vec<_> =
                    list[..before].iter().filter(|name| !moved.contains(name)).collect();
                expected.extend(&moved);
                expected.extend(list[before..].iter().filter(|name| !moved.contains(name)));
                let expected: Vec<Name> = expected.into_iter().map(|name| Name::from(*name)).collect();
                let number = |number: usize| u32::try_from(number).unwrap();
                let edit =
                    Edit::Move { start: number(start), length: number(length), before: number(before) };
                let steps = plan(&list, &edit).unwrap();
                assert_eq!(outcome(&list, &steps), expected, "{edit:?}");
                assert_eq!(
                    steps.is_empty(),
                    expected == names(&list),
                    "a move to where it is takes no request"
                );
            }
        }
    }
}

#[test]
fn a_file_on_a_device_is_neither_lost_nor_in_the_way() {
    let [track, episode, local] = NAMES;
    let list = [track, local, track, episode];
    let steps = plan(&list, &Edit::Remove(vec![2])).unwrap();
    assert_eq!(steps, [Step::Delete(names(&[track])), Step::Post(Some(0), names(&[track]))]);
    let error = plan(&[local, local], &Edit::Remove(vec![0])).unwrap_err();
    assert!(error.public().message.contains("cannot be written again"), "{:?}", error.public());
    let error = plan(&[track], &Edit::Insert { at: 1, names: names(&[local]) }).unwrap_err();
    assert!(error.public().message.contains("spotify:local:Ada::Demo:61"), "{:?}", error.public());
}

#[test]
fn long_edits_go_by_the_hundred_and_short_ones_by_one_request() {
    let owned = numbered(0..250);
    let list = borrowed(&owned);
    let lengths = |edit: &Edit, current: &[&str]| -> Vec<usize> {
        let steps = plan(current, edit).unwrap();
        outcome(current, &steps);
        let length = |step: &Step| match step {
            Step::Put(names) | Step::Post(_, names) | Step::Delete(names) => names.len(),
            Step::Move(range, _) => range.len(),
        };
        steps.iter().map(length).collect()
    };
    assert_eq!(lengths(&Edit::Insert { at: 0, names: names(&list) }, &[]), [100, 100, 50]);
    assert_eq!(lengths(&Edit::Insert { at: 1, names: names(&list) }, &NAMES), [100, 100, 50]);
    assert_eq!(lengths(&Edit::Replace(names(&list)), &[]), [100, 100, 50]);
    assert_eq!(lengths(&Edit::Replace(Vec::new()), &list), [0]);
    assert_eq!(lengths(&Edit::Replace(names(&list)), &list), [0; 0]);
    assert_eq!(lengths(&Edit::Replace(names(&list[..249])), &list), [1], "only what differs is sent");
    assert_eq!(lengths(&Edit::Remove((0..150).collect()), &list), [100], "what is left is written anew");
    assert_eq!(lengths(&Edit::Remove((0..150).collect()), &borrowed(&numbered(0..400))), [100, 50]);
    assert_eq!(lengths(&Edit::Move { start: 0, length: 200, before: 250 }, &list), [200]);
}

#[test]
fn positions_that_are_not_there_are_refused() {
    for edit in [
        Edit::Remove(vec![3]),
        Edit::Remove(vec![1, 1]),
        Edit::Remove(vec![1, 0]),
        Edit::Insert { at: 4, names: names(&NAMES[..1]) },
        Edit::Move { start: 0, length: 4, before: 0 },
        Edit::Move { start: 3, length: 1, before: 0 },
        Edit::Move { start: 0, length: 0, before: 0 },
        Edit::Move { start: 0, length: 2, before: 1 },
        Edit::Move { start: 0, length: 1, before: 4 },
        Edit::Move { start: 1, length: u32::MAX, before: 0 },
    ] {
        assert!(matches!(plan(&NAMES, &edit), Err(ProviderError::UnsupportedByProvider { .. })), "{edit:?}");
    }
}
