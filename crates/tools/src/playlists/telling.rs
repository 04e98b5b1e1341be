//! What is told of a change: what it would do, what it did, how far it came and what to do about the rest.

use serde_json::json;
use stagedoor_domain::{ErrorCode, PublicError, ToolName};
use stagedoor_storage::playlist_versions::Head;

use super::difference::between;
use super::editing::{Before, Change};
use super::heads::{self, HeadChange};
use super::memory::{self, Seen};
use super::once::Note;
use super::output::{Changes, EditOutput, SkippedEntry};
use super::planning::{LeftOut, Plan};
use super::route::number;
use super::writing::{Unwritten, Written};
use crate::reuse::Afterwards;

/// What would be done.
pub(super) fn foreseen<A>(
    change: &Change<'_, A>,
    seen: &Seen,
    plan: Plan,
    restored: Option<u32>,
) -> EditOutput {
    let before = Before { number: seen.number, names: seen.names(), head: seen.head.clone() };
    let head = plan.head.applied(&seen.head);
    EditOutput {
        dry_run: true,
        version: Some(seen.number),
        provider_version: seen.playlist.version.clone(),
        restored,
        ..output(change, &before, (&plan.target, &head), plan.left_out)
    }
}

/// What was done.
pub(super) fn done<A>(
    change: &Change<'_, A>,
    before: &Before,
    written: &Written,
    left_out: Vec<LeftOut>,
    restored: Option<u32>,
) -> EditOutput {
    let names = memory::names(&written.entries);
    let mut output = output(change, before, (&names, &written.head), left_out);
    output.skipped.extend(written.skipped.iter().map(|skipped| SkippedEntry {
        reference: skipped.item.to_string().into(),
        reason: skipped.reason.as_str().into(),
    }));
    EditOutput {
        version: written.number,
        provider_version: written.provider_version.clone(),
        restored,
        ..output
    }
}

/// From what it was to what it is.
pub(super) fn output<A>(
    change: &Change<'_, A>,
    before: &Before,
    (names, head): (&[Box<str>], &Head),
    left_out: Vec<LeftOut>,
) -> EditOutput {
    EditOutput {
        reference: change.playlist.clone(),
        dry_run: false,
        version: None,
        provider_version: None,
        restored: None,
        count_before: number(before.names.len()),
        count: number(names.len()),
        changes: changes((&before.names, &before.head), (names, head)),
        skipped: left_out.into_iter().map(SkippedEntry::from).collect(),
    }
}

/// What differs between two states.
pub(super) fn changes(before: (&[Box<str>], &Head), after: (&[Box<str>], &Head)) -> Changes {
    let heads = heads::differences(before.1, after.1);
    Changes::new(&between(before.0, after.0), (before.0, after.0), heads)
}

/// Whoever has changed something mostly looks at what came of it. Without a version nobody can tell whether a service
/// shows it already.
pub(super) fn afterwards<A>(change: &Change<'_, A>, version: Option<String>) -> Option<Box<Afterwards>> {
    let arguments = match change.named_account {
        Some(account) => json!({ "ref": change.playlist, "account": account }),
        None => json!({ "ref": change.playlist }),
    };
    let provider = change.playlist.provider();
    let version = version?.into();
    Some(Box::new(Afterwards { tool: ToolName::PlaylistGet, provider, arguments, version }))
}

/// Why a write was not done, or how far it came and what to do about the rest.
pub(super) fn told(
    failure: Unwritten,
    before: &Before,
    (target, head): (&[Box<str>], &HeadChange),
    with_key: bool,
) -> PublicError {
    let Unwritten { error, uncertain, so_far } = failure;
    let Some(written) = so_far else { return error };
    let names = memory::names(&written.entries);
    let wanted = head.applied(&before.head);
    let done = changes((&before.names, &before.head), (&names, &written.head));
    let remaining = changes((&names, &written.head), (target, &wanted));
    let hint = match (with_key, uncertain) {
        (true, false) => "Call again with the same idempotency_key to have the rest done.".to_owned(),
        (true, true) => {
            "What was sent last may be done all the same; call again with the same idempotency_key, which \
                         goes on if that is safe."
                .to_owned()
        }
        (false, false) => format!(
            "Do what `details.remaining` lists, or take it back with playlist_undo and `to_version` {}.",
            before.number
        ),
        (false, true) => format!(
            "What was sent last may be done all the same: look with playlist_diff (`from` {}, `to` now), then do the \
             rest or take it back with playlist_undo.",
            before.number
        ),
    };
    let message = format!(
        "Part of it was done ({}), then it failed: {} The playlist holds {} entries now; left to do: {}.",
        done.in_words(),
        error.message,
        names.len(),
        remaining.in_words()
    );
    let details = json!({
        "cause": error.code,
        "version_before": before.number,
        "version": written.number,
        "done": done,
        "remaining": remaining,
    });
    PublicError { retry_after: error.retry_after, ..PublicError::new(ErrorCode::PartlyDone, message) }
        .hint(hint)
        .details(details)
}

/// The playlist is not as the first call left it.
pub(super) fn changed_since((names, head): (&[Box<str>], &Head), seen: &Seen, note: &Note) -> PublicError {
    let changes = changes((names, head), (&seen.names(), &seen.head));
    let message = format!(
        "The first call with this idempotency_key was cut off half-way, and the playlist was changed since ({}), so \
         that going on could do harm.",
        changes.in_words()
    );
    PublicError::new(ErrorCode::Conflict, message)
        .hint("Look at the playlist, then do what is left as a new call.")
        .details(json!({ "version_before": note.before, "version": seen.number, "changed": changes }))
}
