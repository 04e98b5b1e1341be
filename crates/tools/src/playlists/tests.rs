//! What plans promise: edits reach their target, an undo restores whatever came between, what is left of a plan leads to
//! the same end.

use proptest::prelude::*;
use stagedoor_domain::ErrorCode;
use stagedoor_providers::Edit;
use stagedoor_storage::playlist_versions::{Cause, Head, Summary, Version};

use super::heads::{self, HeadChange};
use super::planning::{Intent, Now, Plan, duplicates, plan, rest};
use super::route::{Names, applied, applied_all};

fn names(text: &str) -> Names {
    text.chars().map(|letter| format!("spotify:track:{letter}").into()).collect()
}

fn head(name: &str) -> Head {
    Head { name: name.to_owned(), description: None, public: Some(false) }
}

fn version(names: &[Box<str>], head: &Head) -> Version {
    let summary = Summary {
        number: 1,
        provider_version: None,
        cause: Cause::Before,
        recorded_at: chrono::DateTime::UNIX_EPOCH,
        entries: 0,
        call: None,
    };
    Version { summary, head: head.clone(), entries: names.to_vec() }
}

fn planned(intent: &Intent, current: &[Box<str>]) -> Plan {
    plan(intent, Now { names: current, head: &head("a"), isrcs: None }).unwrap()
}

fn refused(intent: &Intent, current: &[Box<str>]) -> String {
    let error = plan(intent, Now { names: current, head: &head("a"), isrcs: None }).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArguments);
    error.message
}

fn add(text: &str, position: Option<u32>, skip_duplicates: bool) -> Intent {
    Intent::Add { names: names(text), position, skip_duplicates }
}

#[test]
fn what_is_there_is_skipped_on_request() {
    let plan = planned(&add("bxcx", None, true), &names("abc"));
    assert_eq!(plan.edits, [Edit::Insert { at: 3, names: names("x") }]);
    let left_out: Vec<&str> = plan.left_out.iter().map(|left_out| &*left_out.name).collect();
    assert_eq!(left_out, ["spotify:track:b", "spotify:track:c", "spotify:track:x"]);
    assert_eq!(planned(&add("bxcx", Some(1), false), &names("abc")).target, names("abxcxbc"));
    assert_eq!(planned(&add("ab", None, true), &names("ab")).edits, []);
}

#[test]
fn a_removal_by_name_takes_every_occurrence() {
    let plan = planned(&Intent::Remove { names: names("az") }, &names("abaca"));
    assert_eq!((plan.target, plan.left_out.len()), (names("bc"), 1));
    assert_eq!(planned(&Intent::RemoveAt { positions: vec![4, 0, 4] }, &names("abaca")).target, names("bac"));
}

#[test]
fn positions_past_the_end_are_refused_with_the_length() {
    let list = names("abc");
    assert!(refused(&add("x", Some(4), false), &list).contains("3 entries"));
    assert!(refused(&Intent::RemoveAt { positions: vec![3] }, &list).contains("position 3"));
    for (start, length, before) in [(3, 1, 0), (2, 2, 0), (0, 1, 4), (0, u32::MAX, 0)] {
        refused(&Intent::Reorder { start, length, before }, &list);
    }
    assert_eq!(planned(&Intent::Reorder { start: 1, length: 2, before: 2 }, &list).edits, []);
}

#[test]
fn a_playlist_does_not_grow_past_what_services_take() {
    let full: Names = (0..10_000).map(|index| format!("spotify:track:{index}").into()).collect();
    assert!(refused(&add("x", None, false), &full).contains("10001"));
    assert_eq!(planned(&add("x", None, false), &full[1..]).target.len(), 10_000);
}

#[test]
fn the_first_of_each_recording_stays() {
    let list = names("abacb");
    assert_eq!(duplicates(&list, None), [2, 4]);
    let isrcs = ["1", "2", "1", "2", "2"].map(|isrc| Some(Box::from(isrc)));
    assert_eq!(duplicates(&list, Some(&isrcs)), [2, 3, 4]);
    let unknown: Names = vec!["".into(), "".into()];
    assert_eq!(duplicates(&unknown, Some(&[None, None])), Vec::<u32>::new());
}

#[test]
fn what_cannot_be_written_is_told_and_what_is_there_of_it_stays() {
    let local = |name: &str| Box::<str>::from(format!("spotify:local:{name}"));
    let earlier = [names("ab"), vec![local("x"), local("y")]].concat();
    let current = [vec![local("x")], names("c")].concat();
    let plan = planned(&Intent::Restore(Box::new(version(&earlier, &head("b")))), &current);
    assert_eq!(plan.target, [names("ab"), vec![local("x")]].concat());
    assert_eq!(plan.left_out.len(), 1);
    assert_eq!(plan.head.name.as_deref(), Some("b"));
}

fn lists() -> impl Strategy<Value = Names> {
    prop::collection::vec("[a-h]".prop_map(|letter| format!("spotify:track:{letter}").into()), 0..30)
}

fn intents() -> impl Strategy<Value = Intent> {
    prop_oneof![
        (lists(), prop::option::of(0..40_u32), any::<bool>())
            .prop_map(|(names, position, skip_duplicates)| Intent::Add { names, position, skip_duplicates }),
        lists().prop_map(|names| Intent::Remove { names }),
        prop::collection::vec(0..40_u32, 1..6).prop_map(|positions| Intent::RemoveAt { positions }),
        (0..40_u32, 1..10_u32, 0..40_u32).prop_map(|(start, length, before)| Intent::Reorder {
            start,
            length,
            before
        }),
        (lists(), any::<bool>())
            .prop_map(|(names, skip_duplicates)| Intent::Replace { names, skip_duplicates }),
        Just(Intent::Dedupe),
        "[a-c]".prop_map(|name| Intent::Head(HeadChange { name: Some(name), ..HeadChange::default() })),
    ]
}

proptest! {
    #[test]
    fn edits_reach_their_target(intent in intents(), current in lists()) {
        if let Ok(plan) = plan(&intent, Now { names: &current, head: &head("a"), isrcs: None }) {
            prop_assert_eq!(applied_all(&current, &plan.edits), plan.target);
        }
    }

    #[test]
    fn an_undo_restores_whatever_came_between(
        start in lists(),
        sequence in prop::collection::vec(intents(), 1..8),
    ) {
        let (mut current, mut now) = (start.clone(), head("a"));
        for intent in &sequence {
            if let Ok(plan) = plan(intent, Now { names: &current, head: &now, isrcs: None }) {
                (current, now) = (plan.target, plan.head.applied(&now));
            }
        }
        let undo = Intent::Restore(Box::new(version(&start, &head("a"))));
        let plan = plan(&undo, Now { names: &current, head: &now, isrcs: None }).unwrap();
        prop_assert_eq!(applied_all(&current, &plan.edits), start);
        prop_assert_eq!(heads::differences(&plan.head.applied(&now), &head("a")), vec![]);
        prop_assert!(plan.left_out.is_empty());
    }

    #[test]
    fn what_is_left_of_a_plan_leads_to_the_same_end(
        intent in intents(),
        current in lists(),
        cut in 0..30_usize,
    ) {
        if let Ok(whole) = plan(&intent, Now { names: &current, head: &head("a"), isrcs: None }) {
            // Cut off within the first edit, as services are that take it in batches.
            let by_then = match whole.edits.first() {
                Some(Edit::Insert { at, names }) => {
                    let names = names[..cut.min(names.len())].to_vec();
                    applied(&current, &Edit::Insert { at: *at, names })
                }
                Some(Edit::Remove(positions)) => {
                    applied(&current, &Edit::Remove(positions[..cut.min(positions.len())].to_vec()))
                }
                _ => current.clone(),
            };
            let target = whole.target.clone();
            let rest = rest(whole, &current, (&by_then, &head("a")), &[]);
            prop_assert_eq!(applied_all(&by_then, &rest.edits), target);
        }
    }

    #[test]
    fn doing_again_what_is_repeatable_changes_nothing_more(intent in intents(), current in lists()) {
        if intent.is_repeatable()
            && let Ok(first) = plan(&intent, Now { names: &current, head: &head("a"), isrcs: None })
        {
            let now = first.head.applied(&head("a"));
            let again = plan(&intent, Now { names: &first.target, head: &now, isrcs: None }).unwrap();
            prop_assert_eq!(again.edits, vec![]);
            prop_assert!(again.head.is_empty());
        }
    }
}
