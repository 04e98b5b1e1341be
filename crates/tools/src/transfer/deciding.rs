//! Going on with a transfer: what whoever began it decides of the tracks that are open.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{EntityKind, ErrorCode, JobId, PublicError, TenantContext};
use stagedoor_storage::jobs::{self, Job, Part};

use super::beginning::TransferArguments;
use super::document::{Document, Entry, Fate, PART, Stage, Transfer, read_part, write_part};
use super::matching::Confidence;
use super::work::settle_open;
use crate::arguments::{invalid, item_at};
use crate::desk::Desk;
use crate::jobs::{JobKind, JobState, owned};
use crate::origin::Origin;
use crate::records::store_failure;

/// What to do about a track.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// As the report tells it.
    position: u32,
    /// The track to take, or `skip`.
    #[serde(rename = "ref")]
    reference: String,
}

/// Goes on with a transfer of the caller's, with these decisions.
pub(super) async fn go_on(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    id: JobId,
    arguments: &TransferArguments,
) -> Result<JobId, PublicError> {
    let job = owned::load(desk, ctx, origin, id).await?;
    if job.kind != JobKind::PlaylistTransfer.as_str() {
        return Err(invalid("`job` is no transfer; job_get shows what it is."));
    }
    if arguments.begins() {
        return Err(invalid(
            "`job` goes on with a transfer; what it reads and writes was said when it began.",
        ));
    }
    match JobState::from(job.state) {
        JobState::Waiting | JobState::Failed => {}
        // Nothing is decided: the call only waits for it.
        JobState::Queued | JobState::Running | JobState::Done if !arguments.decides() => return Ok(id),
        JobState::Queued | JobState::Running => return Err(not_waiting("It is under way")),
        JobState::Done => return Err(not_waiting("It is done")),
        JobState::Cancelled => return Err(not_waiting("It was cancelled")),
    }
    let mut document = Document::read(&job.document)?;
    document.failure = None;
    document.claims = job.claims;
    let parts = decide(desk, ctx, &job, &mut document.work, arguments).await?;
    let decided = jobs::decide(desk.vault(), ctx, id, job.revision, Some(&document.write()?), &parts).await;
    let decided = decided.map_err(|error| store_failure(&error))?;
    if decided { Ok(id) } else { Err(not_waiting("It was changed meanwhile")) }
}

/// The parts that change.
async fn decide(
    desk: &Desk,
    ctx: &TenantContext,
    job: &Job,
    work: &mut Transfer,
    arguments: &TransferArguments,
) -> Result<Vec<Part>, PublicError> {
    let mut by_part: BTreeMap<u32, Vec<(usize, &Decision)>> = BTreeMap::new();
    for (index, decision) in arguments.decisions().iter().enumerate() {
        if decision.position >= work.entries {
            return Err(invalid(format!(
                "`decisions[{index}].position` is {}, but the playlist has {} entries.",
                decision.position, work.entries
            )));
        }
        by_part.entry(decision.position / PART).or_default().push((index, decision));
    }
    let (accept_best, skip_rest) = arguments.for_the_rest();
    if accept_best || skip_rest {
        (work.plan.accept_best, work.plan.skip_rest) = (accept_best, skip_rest);
        for (tally, number) in work.tallies.iter().zip(0..) {
            if tally.ambiguous > 0 {
                by_part.entry(number).or_default();
            }
        }
    }
    let mut parts = Vec::new();
    for (number, decisions) in by_part {
        let loaded = jobs::load_parts(desk.vault(), ctx, job.id, number..number + 1).await;
        let loaded = loaded.map_err(|error| store_failure(&error))?;
        let mut entries = loaded.first().map(read_part).transpose()?.ok_or_else(owned::unknown)?;
        for (index, decision) in decisions {
            let entry = entries.get_mut((decision.position % PART) as usize).ok_or_else(owned::unknown)?;
            apply(entry, (index, decision), work)?;
        }
        for entry in &mut entries {
            settle_open(entry, accept_best, skip_rest);
        }
        work.note(number, &entries);
        parts.push(write_part(number, &entries)?);
    }
    Ok(parts)
}

fn apply(
    entry: &mut Entry,
    (index, decision): (usize, &Decision),
    work: &Transfer,
) -> Result<(), PublicError> {
    let is_open = matches!(entry.fate, Fate::Ambiguous { .. } | Fate::Missing { .. } | Fate::LeftOut { .. });
    // What was about to be written ends where it was said to end: nothing can join it.
    let passed = work.intent.as_ref().map_or(work.settled, |intent| intent.until.max(work.settled));
    let is_passed =
        !matches!(work.stage, Stage::Read | Stage::Find(_) | Stage::Decide) && decision.position < passed;
    if !is_open || is_passed {
        return Err(invalid(format!(
            "`decisions[{index}].position` is {}, which is not open to a decision; job_get shows which are.",
            decision.position
        )));
    }
    if decision.reference.trim() == "skip" {
        entry.fate = Fate::LeftOut { reason: "it was decided to leave it out".to_owned() };
        return Ok(());
    }
    let field = format!("decisions[{index}].ref");
    let to = item_at(&field, &decision.reference, EntityKind::Track, Some(work.plan.to))?;
    let confidence = Confidence::FULL;
    entry.fate = Fate::Matched { to, confidence, reason: "decided".to_owned(), written: false };
    Ok(())
}

fn not_waiting(why: &str) -> PublicError {
    PublicError::new(ErrorCode::Conflict, format!("{why}, so nothing can be decided for this job now."))
        .hint("job_get shows how it stands.")
}
