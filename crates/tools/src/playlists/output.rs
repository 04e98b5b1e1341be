//! What answers and errors say of a change: what came in, went out and moved, as runs of entries.

use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::ItemRef;

use super::difference::Difference;
use super::heads::HeadDifference;
use super::planning::LeftOut;
use super::route::number;

/// The most entries that one answer names; what is more is counted.
const MOST_NAMED: usize = 1_000;

/// What was changed, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EditOutput {
    /// The playlist.
    #[serde(rename = "ref")]
    pub(super) reference: ItemRef,
    /// Whether nothing was sent, because only the effect was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) dry_run: bool,
    /// The number of the stored version that holds what the playlist holds now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u32>,
    /// What the service calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider_version: Option<String>,
    /// The version that it is like again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restored: Option<u32>,
    /// Entries before.
    pub(super) count_before: u32,
    /// Entries now, or after what would be done.
    pub(super) count: u32,
    #[serde(flatten)]
    pub(super) changes: Changes,
    /// What was named and not done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) skipped: Vec<SkippedEntry>,
}

/// What differs between two states of a playlist.
#[expect(clippy::struct_field_names, reason = "the names are those of the answer")]
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Changes {
    /// How many entries came in.
    pub(super) added: u32,
    /// How many went out.
    pub(super) removed: u32,
    /// How many are elsewhere among the others.
    pub(super) moved: u32,
    /// Which.
    pub(super) changes: Vec<Run>,
    /// How many entries `changes` leaves out, because they are too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) changes_left_out: u32,
    /// What changed besides entries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) head: Vec<HeadDifference>,
}

/// Entries that stand together.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Run {
    /// `added`, `removed` or `moved`.
    change: &'static str,
    /// Of the first of them, from 0: before for `removed`, else after.
    position: u32,
    /// Where the first stood before, of `moved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u32>,
    /// What, in order.
    refs: Vec<Box<str>>,
}

/// Something that was named and not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SkippedEntry {
    #[serde(rename = "ref")]
    pub(super) reference: Box<str>,
    /// `duplicate`, `not_in_playlist`, `cannot_be_written`, or the service's word.
    pub(super) reason: Box<str>,
}

impl From<LeftOut> for SkippedEntry {
    fn from(LeftOut { name, reason }: LeftOut) -> Self {
        Self { reference: name, reason: reason.into() }
    }
}

impl Changes {
    /// What differs between two lists of entries, and two heads.
    pub(super) fn new(
        difference: &Difference,
        (before, after): (&[Box<str>], &[Box<str>]),
        head: Vec<HeadDifference>,
    ) -> Self {
        let Difference { added, removed, moved, .. } = difference;
        let mut runs: Vec<Run> = Vec::new();
        let mut named = 0;
        let out = removed.iter().map(|position| ("removed", *position, None, &before[*position]));
        let came = added.iter().map(|position| ("added", *position, None, &after[*position]));
        let went = moved.iter().map(|(from, to)| ("moved", *to, Some(*from), &after[*to]));
        for (change, position, from, name) in out.chain(came).chain(went) {
            named += 1;
            if named > MOST_NAMED {
                continue;
            }
            match runs.last_mut().filter(|run| run.goes_on(change, position, from)) {
                Some(run) => run.refs.push(name.clone()),
                None => runs.push(Run {
                    change,
                    position: number(position),
                    from: from.map(number),
                    refs: vec![name.clone()],
                }),
            }
        }
        Self {
            added: number(added.len()),
            removed: number(removed.len()),
            moved: number(moved.len()),
            changes: runs,
            changes_left_out: number(named.saturating_sub(MOST_NAMED)),
            head,
        }
    }

    /// The same in a few words, such as `3 added, 1 moved, another name`.
    pub(super) fn in_words(&self) -> String {
        let counts = [(self.added, "added"), (self.removed, "removed"), (self.moved, "moved")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut words: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        words.extend(self.head.iter().map(|difference| format!("another {}", difference.field())));
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }
}

impl Run {
    fn goes_on(&self, change: &str, position: usize, from: Option<usize>) -> bool {
        let length = number(self.refs.len());
        self.change == change
            && self.position + length == number(position)
            && self.from.map(|first| first + length) == from.map(number)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::super::difference::between;
    use super::*;

    fn of(before: &[&str], after: &[&str]) -> Changes {
        let names = |list: &[&str]| list.iter().map(|name| Box::from(*name)).collect::<Vec<Box<str>>>();
        let (before, after) = (names(before), names(after));
        Changes::new(&between(&before, &after), (&before, &after), vec![])
    }

    #[test]
    fn what_stands_together_is_told_together() {
        let changes = of(&["a", "b", "c", "d", "e"], &["d", "e", "a", "x", "y"]);
        let runs: Vec<(&str, u32, Option<u32>, usize)> =
            changes.changes.iter().map(|run| (run.change, run.position, run.from, run.refs.len())).collect();
        assert_eq!(runs, [("removed", 1, None, 2), ("added", 3, None, 2), ("moved", 2, Some(0), 1)]);
        assert_eq!(changes.in_words(), "2 added, 2 removed, 1 moved");
        assert_eq!(of(&["a"], &["a"]).in_words(), "nothing");
    }

    #[test]
    fn a_long_answer_counts_what_it_leaves_out() {
        let names: Vec<String> = (0..1_200).map(|index| index.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let changes = of(&[], &names);
        assert_eq!((changes.added, changes.changes_left_out), (1_200, 200));
        assert_eq!(changes.changes[0].refs.len(), 1_000);
    }
}
