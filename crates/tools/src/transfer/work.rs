//! A transfer as a worker does it: one stage after the other, each step stored before the next. Writing is in `writing`.

use std::fmt::Write as _;

use stagedoor_domain::{ErrorCode, PolicyGate, PublicError};
use stagedoor_storage::jobs::{self, Job, Part};

use super::document::{Document, Entry, Fate, PART, Source, Stage, read_part, write_part};
use super::finding::{Finder, Who};
use super::writing;
use crate::accounts::Account;
use crate::gates;
use crate::jobs::{Halt, Rest, Shift, Stand};
use crate::records::store_failure;

/// The longest playlist that is transferred.
const MOST_ENTRIES: u32 = 10_000;
/// Tracks that are looked for before a step is stored.
const FIND_AT_ONCE: u32 = 20;

/// Works on a transfer until it is over, waits, or is given back. `refusal` is why it may not go on. Says why it failed,
/// if it did.
pub(crate) async fn run(shift: &Shift<'_>, job: &Job, refusal: Option<PublicError>) -> Option<ErrorCode> {
    let mut document = match Document::read(&job.document) {
        Ok(document) => document,
        Err(error) => return shift.abandon(job, error).await,
    };
    let ended = match refusal {
        _ if job.cancel_requested => Err(Halt::Cancelled),
        Some(refusal) => Err(refusal.into()),
        None => Box::pin(advance(shift, job, &mut document)).await,
    };
    let cancelled = {
        let tally = document.work.tally();
        format!("Cancelled. {} of {} tracks had been written.", tally.written, document.work.entries)
    };
    shift.conclude(job, &mut document, ended, cancelled).await
}

async fn advance(shift: &Shift<'_>, job: &Job, document: &mut Document) -> Result<(Rest, String), Halt> {
    let plan = &document.work.plan;
    for provider in [plan.source.provider(), plan.to] {
        gates::check(shift.ctx, provider, PolicyGate::Transfer)?;
    }
    let source = account(shift, plan.source.provider(), plan.source_account).await?;
    let target = account(shift, plan.to, plan.target_account).await?;
    let finder = Finder::new(
        Who { desk: shift.desk, ctx: shift.ctx, origin: shift.origin },
        (source.provider, source.country.clone()),
        (target.provider, target.country.clone()),
    );
    loop {
        match document.work.stage {
            Stage::Read => read(shift, job, document, &source).await?,
            Stage::Find(at) => find(shift, job, document, &finder, at).await?,
            Stage::Decide => {
                let open = document.work.tally().ambiguous;
                document.work.stage = match document.work.plan.dry_run {
                    true => Stage::Over,
                    false if open > 0 => return Ok((Rest::Waiting, waiting(open))),
                    false => Stage::Write,
                };
            }
            Stage::Write => Box::pin(writing::advance(shift, job, document, &target)).await?,
            Stage::Over => return Ok((Rest::Done, summary(document))),
        }
    }
}

/// The account that a job works on, if it can be used.
async fn account(
    shift: &Shift<'_>,
    provider: stagedoor_domain::Provider,
    id: stagedoor_domain::LinkedAccountId,
) -> Result<Account, PublicError> {
    shift.desk.account(shift.ctx, shift.origin, Some(provider), Some(&id.to_string())).await
}

async fn read(shift: &Shift<'_>, job: &Job, document: &mut Document, account: &Account) -> Result<(), Halt> {
    let playlist = &document.work.plan.source;
    let ctx = shift.ctx;
    let contents = shift
        .desk
        .personal(ctx, shift.origin, account, |music, access| async move {
            let access = access.patient(shift.desk);
            music.playlist_contents(ctx, &access.borrow(), playlist, MOST_ENTRIES).await
        })
        .await?;
    let entries: Vec<Entry> = contents.items.iter().map(Entry::from).collect();
    let work = &mut document.work;
    work.source = Some(Source { name: contents.playlist.name, description: contents.playlist.description });
    work.entries = u32::try_from(entries.len()).unwrap_or(MOST_ENTRIES);
    work.stage = Stage::Find(0);
    let mut parts = Vec::new();
    for (entries, number) in entries.chunks(PART as usize).zip(0..) {
        work.note(number, entries);
        parts.push(write_part(number, entries)?);
    }
    let message = format!("Read {} entries.", work.entries);
    step(shift, (job, true), document, &parts, message).await
}

async fn find(
    shift: &Shift<'_>,
    job: &Job,
    document: &mut Document,
    finder: &Finder<'_>,
    at: u32,
) -> Result<(), Halt> {
    if at >= document.work.entries {
        document.work.stage = Stage::Decide;
        return Ok(());
    }
    let number = at / PART;
    let mut entries = entries_of(shift, job, number).await?;
    if entries.is_empty() {
        return Err(Halt::Lost);
    }
    let first = (at % PART) as usize;
    let last = (first + FIND_AT_ONCE as usize).min(entries.len());
    let fates = finder.find(&entries[first..last]).await?;
    for (entry, fate) in entries[first..last].iter_mut().zip(fates) {
        entry.fate = fate;
        let plan = &document.work.plan;
        settle_open(entry, plan.accept_best, plan.skip_rest);
    }
    let next = number * PART + u32::try_from(last).unwrap_or(PART);
    document.work.note(number, &entries);
    document.work.stage = Stage::Find(next);
    let message = format!("Looked for {next} of {} tracks.", document.work.entries);
    step(shift, (job, true), document, &[write_part(number, &entries)?], message).await
}

/// Decides an entry that may be several tracks as whoever asks for it wants all of them decided.
pub(super) fn settle_open(entry: &mut Entry, accept_best: bool, skip_rest: bool) {
    let Fate::Ambiguous { candidates } = &entry.fate else { return };
    match candidates.first() {
        Some(best) if accept_best => {
            let reason = format!("the best of several was accepted: {}", best.reason);
            entry.fate = Fate::Matched {
                to: best.reference.clone(),
                confidence: best.confidence,
                reason,
                written: false,
            };
        }
        _ if skip_rest => {
            entry.fate =
                Fate::LeftOut { reason: "it may be several tracks, and was to be left out then".to_owned() };
        }
        _ => {}
    }
}

/// The entries of a part.
pub(super) async fn entries_of(shift: &Shift<'_>, job: &Job, number: u32) -> Result<Vec<Entry>, PublicError> {
    let parts = jobs::load_parts(shift.desk.vault(), shift.ctx, job.id, number..number + 1).await;
    let parts = parts.map_err(|error| store_failure(&error))?;
    // Gone with its job, which the next step finds out.
    parts.first().map_or_else(|| Ok(Vec::new()), read_part)
}

/// Stores a step. `came_on` says whether the job has come on by it: what only says what is tried next, or that it failed,
/// is no reason to try it for ever.
pub(super) async fn step(
    shift: &Shift<'_>,
    (job, came_on): (&Job, bool),
    document: &mut Document,
    parts: &[Part],
    message: String,
) -> Result<(), Halt> {
    if came_on {
        document.claims = job.claims;
    }
    let (done, total) = document.work.steps();
    shift.step(document, parts, Stand { done, total: Some(total), message }).await
}

fn waiting(open: u32) -> String {
    let (what, are) = if open == 1 { ("track", "is") } else { ("tracks", "are") };
    format!(
        "{open} {what} {are} ambiguous: decide by calling playlist_transfer with this job and decisions, or accept_best or skip_rest."
    )
}

fn summary(document: &Document) -> String {
    let (work, tally) = (&document.work, document.work.tally());
    let mut told = if work.plan.dry_run {
        format!("Nothing was written. {} of {} tracks were found", tally.matched, work.entries)
    } else {
        format!("{} of {} tracks were written", tally.written, work.entries)
    };
    let rest = [(tally.ambiguous, "ambiguous"), (tally.missing, "missing"), (tally.left_out, "left out")];
    for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
        // Writing to a text cannot fail.
        let _ = write!(told, "; {count} {what}");
    }
    told.push('.');
    told
}
