//! The one way of every change of a playlist: once for each idempotency key, from what it holds now to what is wanted,
//! with a version before and one after.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stagedoor_domain::{ItemRef, PublicError, TenantContext, ToolName};
use stagedoor_providers::Edit;
use stagedoor_storage::playlist_versions::{Cause, Head, Version};

use super::expected::{self, Expected};
use super::history;
use super::memory::{self, Depth, Seen, Subject, depth_to_edit};
use super::once::{self, Beginning, Note, Once, Resumption, Standing, resumption};
use super::output::EditOutput;
use super::planning::{self, Intent, Now, Plan, plan};
use super::route::{Names, applied};
use super::telling::{afterwards, changed_since, done, foreseen, output, told};
use super::writing::{Errand, send};
use crate::accounts::Account;
use crate::desk::{self, Desk};
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
pub(super) struct Before {
    pub(super) number: u32,
    pub(super) names: Names,
    pub(super) head: Head,
}

/// What came of a change.
pub(super) enum Told {
    /// It was done, or its effect was looked at.
    Now(Box<EditOutput>, Option<Box<Afterwards>>),
    /// It had been done, and this was told of it then.
    Then(Box<RawValue>),
}

/// Carries a change out, and answers what came of it.
pub(super) async fn run<A: Serialize>(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    change: Change<'_, A>,
) -> Produced {
    match Box::pin(edit(desk, ctx, origin, change)).await? {
        Told::Now(output, afterwards) => Ok(Answer { afterwards, ..desk.fresh(&*output)? }),
        Told::Then(answer) => once::again(desk, origin, &answer),
    }
}

/// Carries a change of another use-case out, once for the key. Answers which tracks were left out, and why.
pub(super) async fn once(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (account, playlist): (&Account, &ItemRef),
    ((tool, wish, tracks), key): ((ToolName, Wish, Vec<String>), &str),
) -> Result<Vec<(String, String)>, PublicError> {
    #[derive(Serialize)]
    struct Asked<'a> {
        playlist: &'a ItemRef,
        tracks: Vec<String>,
    }
    #[derive(Default, Deserialize)]
    struct Done {
        #[serde(default)]
        skipped: Vec<Skipped>,
    }
    #[derive(Deserialize)]
    struct Skipped {
        #[serde(rename = "ref")]
        reference: String,
        reason: String,
    }
    let id = account.id.to_string();
    let change = Change {
        tool,
        account: account.clone(),
        playlist: playlist.clone(),
        wish,
        terms: Terms { idempotency_key: Some(key), ..Terms::default() },
        arguments: &Asked { playlist, tracks },
        named_account: Some(&id),
    };
    let told = match Box::pin(edit(desk, ctx, origin, change)).await? {
        Told::Now(output, _) => serde_json::to_string(&*output).map_err(|error| desk::internal(&error))?,
        Told::Then(answer) => answer.get().to_owned(),
    };
    let done: Done = serde_json::from_str(&told).map_err(|error| desk::internal(&error))?;
    Ok(done.skipped.into_iter().map(|skipped| (skipped.reference, skipped.reason)).collect())
}

/// Carries a change out.
pub(super) async fn edit<A: Serialize>(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    change: Change<'_, A>,
) -> Result<Told, PublicError> {
    let of = Subject { account: &change.account, playlist: &change.playlist };
    // A look at the effect is no use of the key.
    let key = change.terms.idempotency_key.filter(|_| !change.terms.dry_run);
    let _turn = desk.turns.take(ctx, of.playlist).await;
    match once::begin(desk, ctx, of.account, (change.tool, key), change.arguments).await? {
        Beginning::Answered(answer) => Ok(Told::Then(answer)),
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
                return Ok(Told::Now(Box::new(foreseen(&change, &seen, plan, restores)), None));
            }
            let positions = positions(&change, &plan);
            let first = Note::first(before.number, desk.clock.now(), ctx.call());
            let note = Note { restores, positions, ..first };
            let (what, how) = ((&change, of), (seen, before, plan));
            Box::pin(carry_out(desk, ctx, origin, what, how, (once, note))).await
        }
        Beginning::CutOff(once, note) => {
            let resumed = resume(desk, ctx, origin, (&change, of), &note).await;
            match resumed {
                Ok((seen, before, plan)) => {
                    // It goes on from here, which is stored.
                    let note = Note { left_at: Some(seen.number), ..note };
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
    check(desk, origin, of, (&names, &plan))?;
    let before = Before { number: seen.number, names, head: seen.head.clone() };
    Ok((seen, before, plan, restores))
}

/// Whether the service can do all of it, before any of it is sent; a dry run says the same.
fn check(
    desk: &Desk,
    origin: &Origin,
    of: Subject<'_>,
    (names, plan): (&[Box<str>], &Plan),
) -> Result<(), PublicError> {
    let checked = desk.music(of.playlist.provider()).check_edits(names, &plan.edits);
    checked.map_err(|error| desk::told(origin, &error))
}

/// Looks at the playlist of a call that was cut off, and plans what is left to do of what was planned then.
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
    let left = match note.left_at {
        Some(left_at) => {
            let left = memory::load(desk, ctx, of, left_at).await?.ok_or_else(|| once::unknown(provider))?;
            Before { number: left_at, names: left.entries, head: left.head }
        }
        None => Before { number: before.number, names: before.names.clone(), head: before.head.clone() },
    };
    let seen = memory::look(desk, ctx, origin, of, depth(change)).await?;
    let intent = match &note.positions {
        Some(positions) => Intent::RemoveAt { positions: positions.clone() },
        None => intent(desk, ctx, of, (&change.wish, note.restores)).await?.0,
    };
    let whole = plan(&intent, Now { names: &before.names, head: &before.head, isrcs: None })?;
    let rest = |names: &[Box<str>], head: &Head| {
        planning::rest(whole.clone(), &before.names, (names, head), &note.skipped)
    };
    let names = seen.names();
    let plan = rest(&names, &seen.head);
    let standing = Standing {
        provider,
        now: desk.clock.now(),
        done: plan.edits.is_empty() && plan.head.is_empty(),
        as_left: left.names == names && left.head == seen.head,
        // What a service is called, and says of itself, is changed after its entries.
        on_the_way: left.head == seen.head
            && passes(desk, of, (&left.names, &rest(&left.names, &left.head).edits), &names),
        repeatable: note.positions.is_some() || intent.is_repeatable(),
    };
    match resumption(note, standing) {
        Resumption::GoOn | Resumption::Done => {
            check(desk, origin, of, (&names, &plan))?;
            let cause = cause(change.tool, note.restores);
            memory::put_down(desk, ctx, of, &seen, (left.number, cause, note.call)).await?;
            Ok((seen, before, plan))
        }
        Resumption::Unknown => Err(once::unknown(provider)),
        Resumption::Changed => Err(changed_since((&left.names, &left.head), &seen, note)),
    }
}

/// Whether the playlist holds what one of the requests of these edits leads to.
fn passes(desk: &Desk, of: Subject<'_>, (from, edits): (&[Box<str>], &[Edit]), now: &[Box<str>]) -> bool {
    let music = desk.music(of.playlist.provider());
    let mut current = from.to_vec();
    edits.iter().any(|edit| {
        // An edit that the service cannot do was not sent.
        let passes = music.passes(&current, edit, now).unwrap_or(false);
        current = applied(&current, edit);
        passes
    })
}

/// Sends what is planned, and tells what came of it.
async fn carry_out<A: Serialize>(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (change, of): (&Change<'_, A>, Subject<'_>),
    (seen, before, plan): (Seen, Before, Plan),
    (once, note): (Once, Note),
) -> Result<Told, PublicError> {
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
        return Ok(Told::Now(Box::new(output), None));
    }
    let writing = Note { uncertain: true, ..note.clone() };
    once.writing(desk, ctx, &writing).await?;
    let cause = cause(change.tool, restored);
    let errand = Errand {
        edits: &edits,
        head: &head,
        key: &once.key,
        cause,
        call: note.call,
        keeping: Some((&once, &writing)),
    };
    match send(desk, ctx, origin, (of, &seen), errand).await {
        Ok(written) => {
            let output = done(change, &before, &written, left_out, restored);
            once.finish(desk, ctx, &output).await;
            let afterwards = afterwards(change, written.shown);
            Ok(Told::Now(Box::new(output), afterwards))
        }
        Err(failure) => {
            let with_key = change.terms.idempotency_key.is_some();
            once.failed(desk, ctx, note, &failure).await;
            Err(told(failure, &before, (&target, &head), with_key))
        }
    }
}

/// What a version is put down to that the change leads to.
fn cause(tool: ToolName, restores: Option<u32>) -> Cause {
    restores.map_or(Cause::After(tool), |to| Cause::Undo { to })
}

/// What goes, where a repeat could not tell by names.
fn positions<A>(change: &Change<'_, A>, plan: &Plan) -> Option<Vec<u32>> {
    match (&change.wish, plan.edits.first()) {
        (Wish::DedupeRecordings, Some(Edit::Remove(positions))) => Some(positions.clone()),
        _ => None,
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
