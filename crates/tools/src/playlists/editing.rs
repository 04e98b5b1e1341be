//! The one way of every change of a playlist: once for each idempotency key, from what it holds now to what is wanted,
//! with a version before and one after.

use serde::Serialize;
use serde_json::json;
use stagedoor_domain::{ErrorCode, ItemRef, PublicError, TenantContext, ToolName};
use stagedoor_storage::playlist_versions::{Cause, Head, Version};

use super::difference::between;
use super::expected::{self, Expected};
use super::heads::{self, HeadChange};
use super::history;
use super::memory::{self, Depth, Seen, Subject, depth_to_edit};
use super::once::{self, Beginning, Note, Once, Resumption, Standing, resumption};
use super::output::{Changes, EditOutput, SkippedEntry};
use super::planning::{self, Intent, LeftOut, Now, Plan, plan};
use super::route::{Names, number};
use super::writing::{Errand, Unwritten, Written, send};
use crate::accounts::Account;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::reuse::{Afterwards, Answer, Produced};

/// A change that a call asks for.
#[derive(Debug)]
pub(super) struct Change<'a, A> {
    pub(super) tool: ToolName,
    pub(super) account: Account,
    pub(super) playlist: ItemRef,
    pub(super) wish: Wish,
    pub(super) terms: Terms<'a>,
    /// As they came, to tell a repeat from another call.
    pub(super) arguments: &'a A,
    /// The `account` argument.
    pub(super) named_account: Option<&'a str>,
}

/// What every change can be asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms<'a> {
    pub(super) expected_version: Option<&'a Expected>,
    pub(super) dry_run: bool,
    pub(super) idempotency_key: Option<&'a str>,
}

/// What is wanted.
#[derive(Debug)]
pub(super) enum Wish {
    /// Just this.
    Do(Intent),
    /// No recording twice, under whatever reference.
    DedupeRecordings,
    /// As an earlier version was; as it was before the last write, if none is named.
    Undo(Option<u32>),
}

/// A playlist before a change.
struct Before {
    number: u32,
    names: Names,
    head: Head,
}

pub(super) async fn run<A: Serialize>(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    change: Change<'_, A>,
) -> Produced {
    let of = Subject { account: &change.account, playlist: &change.playlist };
    // A look at the effect is no use of the key.
    let key = change.terms.idempotency_key.filter(|_| !change.terms.dry_run);
    let _turn = desk.turns.take(ctx, of.playlist).await;
    match once::begin(desk, ctx, of.account, (change.tool, key), change.arguments).await? {
        Beginning::Answered(answer) => once::again(desk, origin, &answer),
        Beginning::New(once) => {
            let begun = begin(desk, ctx, origin, (&change, of)).await;
            let (seen, before, plan, restores) = match begun {
                Ok(begun) => begun,
                Err(error) => {
                    once.release(desk, ctx).await;
                    return Err(error);
                }
            };
            if change.terms.dry_run {
                return desk.fresh(&foreseen(&change, &seen, plan, restores));
            }
            let note = Note {
                before: before.number,
                left_at: None,
                uncertain: false,
                skipped: vec![],
                restores,
                at: desk.clock.now(),
            };
            let (what, how) = ((&change, of), (seen, before, plan));
            Box::pin(carry_out(desk, ctx, origin, what, how, (once, note))).await
        }
        Beginning::CutOff(once, note) => {
            let resumed = resume(desk, ctx, origin, (&change, of), &note).await;
            match resumed {
                Ok((seen, before, plan)) => {
                    let (what, how) = ((&change, of), (seen, before, plan));
                    Box::pin(carry_out(desk, ctx, origin, what, how, (once, note))).await
                }
                Err(error) => {
                    once.leave(desk, ctx, &note).await;
                    Err(error)
                }
            }
        }
    }
}

/// Looks at the playlist, and plans.
async fn begin<A>(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (change, of): (&Change<'_, A>, Subject<'_>),
) -> Result<(Seen, Before, Plan, Option<u32>), PublicError> {
    let seen = memory::look(desk, ctx, origin, of, depth(change)).await?;
    if let Some(expected) = change.terms.expected_version {
        expected::check(desk, ctx, of, expected, &seen).await?;
    }
    let (intent, restores) = intent(desk, ctx, of, (&change.wish, None)).await?;
    let (names, isrcs) = (seen.names(), isrcs(change, &seen));
    let plan = plan(&intent, Now { names: &names, head: &seen.head, isrcs: isrcs.as_deref() })?;
    let before = Before { number: seen.number, names, head: seen.head.clone() };
    Ok((seen, before, plan, restores))
}

/// Looks at the playlist of a call that was cut off, and plans what is left to do.
async fn resume<A>(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (change, of): (&Change<'_, A>, Subject<'_>),
    note: &Note,
) -> Result<(Seen, Before, Plan), PublicError> {
    let provider = of.playlist.provider();
    let begun = memory::load(desk, ctx, of, note.before).await?.ok_or_else(|| once::unknown(provider))?;
    let before = Before { number: note.before, names: begun.entries, head: begun.head };
    let seen = memory::look(desk, ctx, origin, of, depth(change)).await?;
    let (intent, _) = intent(desk, ctx, of, (&change.wish, note.restores)).await?;
    let (names, isrcs) = (seen.names(), isrcs(change, &seen));
    let now = Now { names: &names, head: &seen.head, isrcs: isrcs.as_deref() };
    let plan = if intent.can_begin_anew() {
        plan(&intent, now)?
    } else {
        let whole = plan(&intent, Now { names: &before.names, head: &before.head, isrcs: None })?;
        planning::rest(whole, &names, &note.skipped)
    };
    let left_at = match note.left_at {
        Some(left_at) => memory::load(desk, ctx, of, left_at).await?.map(|version| version.entries),
        None => Some(before.names.clone()),
    };
    let standing = Standing {
        provider,
        now: desk.clock.now(),
        done: plan.edits.is_empty() && plan.head.is_empty(),
        as_left: left_at.as_ref() == Some(&names),
        repeatable: intent.can_begin_anew() && change.terms.expected_version.is_none(),
    };
    match resumption(note, standing) {
        Resumption::GoOn | Resumption::Done => Ok((seen, before, plan)),
        Resumption::Unknown => Err(once::unknown(provider)),
        Resumption::Changed => Err(changed_since(left_at.as_deref().unwrap_or_default(), &seen, note)),
    }
}

/// Sends what is planned, and tells what came of it.
async fn carry_out<A: Serialize>(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (change, of): (&Change<'_, A>, Subject<'_>),
    (seen, before, plan): (Seen, Before, Plan),
    (once, note): (Once, Note),
) -> Produced {
    let Plan { edits, target, head, left_out } = plan;
    let restored = note.restores;
    if edits.is_empty() && head.is_empty() {
        let output = EditOutput {
            version: Some(seen.number),
            provider_version: seen.playlist.version.clone(),
            restored,
            ..output(change, &before, (&seen.names(), &seen.head), left_out)
        };
        once.finish(desk, ctx, &output).await;
        return desk.fresh(&output);
    }
    once.writing(desk, ctx, &Note { uncertain: true, ..note.clone() }).await?;
    let cause = restored.map_or(Cause::After(change.tool), |to| Cause::Undo { to });
    let errand = Errand { edits: &edits, head: &head, key: &once.key, cause };
    match send(desk, ctx, origin, (of, &seen), errand).await {
        Ok(written) => {
            let output = done(change, &before, &written, left_out, restored);
            once.finish(desk, ctx, &output).await;
            let afterwards = afterwards(change, written.provider_version);
            Ok(Answer { afterwards, ..desk.fresh(&output)? })
        }
        Err(failure) => {
            let with_key = change.terms.idempotency_key.is_some();
            once.failed(desk, ctx, note, &failure).await;
            Err(told(failure, &before, (&target, &head), with_key))
        }
    }
}

fn depth<A>(change: &Change<'_, A>) -> Depth {
    match &change.wish {
        Wish::DedupeRecordings => Depth::Items,
        Wish::Do(Intent::Head(_)) => Depth::Names,
        Wish::Do(intent) => depth_to_edit(change.playlist.provider(), intent.appends()),
        Wish::Undo(_) => depth_to_edit(change.playlist.provider(), false),
    }
}

fn isrcs<A>(change: &Change<'_, A>, seen: &Seen) -> Option<Vec<Option<Box<str>>>> {
    matches!(change.wish, Wish::DedupeRecordings).then(|| seen.isrcs()).flatten()
}

/// What is wanted, and the number of the version that is to be restored, if one is.
async fn intent(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    (wish, noted): (&Wish, Option<u32>),
) -> Result<(Intent, Option<u32>), PublicError> {
    match wish {
        Wish::Do(intent) => Ok((intent.clone(), None)),
        Wish::DedupeRecordings => Ok((Intent::Dedupe, None)),
        Wish::Undo(to) => {
            let version: Version = history::to_restore(desk, ctx, of, noted.or(*to)).await?;
            let number = version.summary.number;
            Ok((Intent::Restore(Box::new(version)), Some(number)))
        }
    }
}

/// What would be done.
fn foreseen<A>(change: &Change<'_, A>, seen: &Seen, plan: Plan, restored: Option<u32>) -> EditOutput {
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
fn done<A>(
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

fn output<A>(
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
fn afterwards<A>(change: &Change<'_, A>, version: Option<String>) -> Option<Box<Afterwards>> {
    let arguments = match change.named_account {
        Some(account) => json!({ "ref": change.playlist, "account": account }),
        None => json!({ "ref": change.playlist }),
    };
    let provider = change.playlist.provider();
    let version = version?.into();
    Some(Box::new(Afterwards { tool: ToolName::PlaylistGet, provider, arguments, version }))
}

/// Why a write was not done, or how far it came and what to do about the rest.
fn told(
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
fn changed_since(left: &[Box<str>], seen: &Seen, note: &Note) -> PublicError {
    let changes = changes((left, &seen.head), (&seen.names(), &seen.head));
    let message = format!(
        "The first call with this idempotency_key was cut off half-way, and the playlist was changed since ({}), so \
         that going on could do harm.",
        changes.in_words()
    );
    PublicError::new(ErrorCode::Conflict, message)
        .hint("Look at the playlist, then do what is left as a new call.")
        .details(json!({ "version_before": note.before, "version": seen.number, "changed": changes }))
}
