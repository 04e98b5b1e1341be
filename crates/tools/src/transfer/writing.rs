//! Writing what was found: the playlist is made if none was named, and filled batch by batch. What is about to be sent is
//! stored before, so that whoever goes on after a failure or in another replica finds out by the playlist's end what was
//! done, and does the rest only.

use std::collections::HashSet;
use std::time::Duration;

use stagedoor_domain::text::clean;
use stagedoor_domain::{ErrorCode, ItemRef, PublicError};
use stagedoor_providers::NewPlaylist;
use stagedoor_storage::jobs::Job;
use stagedoor_storage::playlist_versions::Cause;

use super::batch::{self, BATCH, Found};
use super::document::{Document, Entry, Fate, Intent, PART, Stage, write_part};
use super::work::{entries_of, step};
use crate::accounts::Account;
use crate::jobs::{Halt, Shift};
use crate::playlists::{self, Depth, Seen, Subject, Unwritten, Written};

/// How long to wait at least until a write whose outcome nobody knows is looked for.
const LATE: Duration = Duration::from_secs(5);
/// How many of the account's playlists are looked through for one that was made before a failure.
const LOOKED_THROUGH: u32 = 50;
/// How many tracks in a row may be refused one by one before it is the playlist that takes none.
const REFUSED_AT_MOST: u32 = 3;

/// Does the next step of writing.
pub(super) async fn advance(
    shift: &Shift<'_>,
    job: &Job,
    document: &mut Document,
    account: &Account,
) -> Result<(), Halt> {
    let Some(playlist) = document.work.target.clone().or_else(|| document.work.plan.target.clone()) else {
        return make(shift, job, document, account).await;
    };
    if document.work.settled >= document.work.entries {
        document.work.target = Some(playlist);
        document.work.stage = Stage::Over;
        return Ok(());
    }
    let _turn = shift.desk.turns.take(shift.ctx, &playlist).await;
    let of = Subject { account, playlist: &playlist };
    // After a batch it is enough that the playlist is as long as it should be; before the first one, and where nobody
    // knows what became of one, it is read.
    let goes_on = document.work.settled > 0 && document.work.intent.is_none();
    let depth = if goes_on { Depth::End } else { Depth::Names };
    let seen = playlists::look(shift.desk, shift.ctx, shift.origin, of, depth).await?;
    let number = document.work.settled / PART;
    let mut entries = entries_of(shift, job, number).await?;
    if entries.is_empty() {
        return Err(Halt::Lost);
    }
    if let Some(intent) = document.work.intent.take() {
        return recover(shift, job, document, (&intent, &seen), &mut entries).await;
    }
    document.work.target = Some(playlist.clone());
    Box::pin(write(shift, job, document, (of, &seen), &mut entries)).await
}

/// Makes the playlist. One of that name that was not there before the first try and holds nothing is what that try made.
async fn make(shift: &Shift<'_>, job: &Job, document: &mut Document, account: &Account) -> Result<(), Halt> {
    let source = document.work.source.clone();
    let name = document.work.plan.name.clone().or_else(|| source.as_ref().map(|source| source.name.clone()));
    let name = name.map(|name| clean(&name, 100)).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "Transferred playlist".to_owned());
    let description = source.and_then(|source| source.description).map(|text| clean(&text, 300));
    let there = of_that_name(shift, account, &name).await?;
    if let Some(before) = &document.work.making {
        let made = there.iter().find(|(playlist, empty)| *empty && !before.contains(playlist));
        if let Some((made, _)) = made {
            document.work.target = Some(made.clone());
            let message = format!("Found the playlist {name} that was made.");
            return step(shift, (job, true), document, &[], message).await;
        }
    } else {
        document.work.making = Some(there.into_iter().map(|(playlist, _)| playlist).collect());
        step(shift, (job, false), document, &[], format!("Making the playlist {name}.")).await?;
    }
    let playlist = NewPlaylist {
        name: &name,
        description: description.as_deref().filter(|text| !text.is_empty()),
        public: false,
    };
    let key = format!("job-{}-playlist", job.id);
    let keyed = (&*key, Cause::Transfer);
    let made = playlists::create(shift.desk, shift.ctx, shift.origin, (account, &playlist), keyed).await;
    let (made, _) = made.map_err(|unwritten| later(unwritten.error, unwritten.uncertain))?;
    document.work.target = Some(made.reference);
    step(shift, (job, true), document, &[], format!("Made the playlist {name}.")).await
}

/// The account's playlists of that name, and whether they are empty.
async fn of_that_name(
    shift: &Shift<'_>,
    account: &Account,
    name: &str,
) -> Result<Vec<(ItemRef, bool)>, PublicError> {
    let ctx = shift.ctx;
    let listed = shift.desk.personal(ctx, shift.origin, account, |music, access| async move {
        music.playlists(ctx, &access.borrow(), LOOKED_THROUGH, None).await
    });
    let named = listed.await?.items.into_iter().filter(|playlist| playlist.name == name);
    Ok(named
        .map(|playlist| (playlist.reference, playlist.item_count.is_none_or(|count| count == 0)))
        .collect())
}

/// Finds out what became of a batch whose outcome was not stored.
async fn recover(
    shift: &Shift<'_>,
    job: &Job,
    document: &mut Document,
    (intent, seen): (&Intent, &Seen),
    entries: &mut [Entry],
) -> Result<(), Halt> {
    let message = "Looked at what was written before.".to_owned();
    document.work.version = Some(seen.number);
    let found = batch::found(intent, &seen.names());
    let Found::Settled { until, left_out } = found else {
        document.work.doubtful = true;
        step(shift, (job, false), document, &[], message).await?;
        return Err(unclear(intent).into());
    };
    settle(document, intent, (until, &left_out), entries);
    step(shift, (job, until > 0), document, &[write_part(part_of(intent), entries)?], message).await
}

/// Writes the next batch: the tracks that are left of the part that is being settled.
async fn write(
    shift: &Shift<'_>,
    job: &Job,
    document: &mut Document,
    (of, seen): (Subject<'_>, &Seen),
    entries: &mut [Entry],
) -> Result<(), Halt> {
    let from = document.work.settled;
    let number = from / PART;
    let names = seen.names();
    let taken: Option<HashSet<&str>> = (document.work.plan.skip_duplicates || document.work.doubtful)
        .then(|| names.iter().map(AsRef::as_ref).collect());
    let first = (from % PART) as usize;
    let (mut most, mut refused) = (BATCH, 0);
    loop {
        let next = batch::next(&entries[first..], from, most, taken.as_ref());
        for position in &next.duplicates {
            entry_at(entries, *position).fate =
                Fate::LeftOut { reason: "the target has it already".to_owned() };
        }
        document.work.note(number, entries);
        let total = document.work.entries;
        if next.tracks.is_empty() {
            document.work.settled = next.until;
            let parts = [write_part(number, entries)?];
            let message = format!("Settled {} of {total} tracks.", next.until);
            return step(shift, (job, true), document, &parts, message).await;
        }
        let before = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let intent = Intent { until: next.until, before, tracks: next.tracks };
        document.work.intent = Some(intent.clone());
        let call = *document.work.call.get_or_insert(shift.ctx.call());
        document.work.version_before.get_or_insert(seen.number);
        let parts = [write_part(number, entries)?];
        let message = format!("Writing up to track {} of {total}.", intent.until);
        step(shift, (job, false), document, &parts, message).await?;
        let tracks: Vec<Box<str>> = intent.tracks.iter().map(|(_, track)| track.to_string().into()).collect();
        let key = format!("job-{}-{from}-{}", job.id, intent.until);
        let keyed = (&*key, Cause::Transfer, call);
        let written =
            playlists::append(shift.desk, shift.ctx, shift.origin, (of, seen), &tracks, keyed).await;
        match written {
            Ok(written) => return written_whole(shift, job, document, (&intent, &written), entries).await,
            Err(Unwritten { error, uncertain: false, so_far: None }) if refuses(&error) => {
                document.work.intent = None;
                if most == BATCH {
                    // It may be gone since, which is an error of the playlist and not of a track.
                    playlists::look(shift.desk, shift.ctx, shift.origin, of, Depth::Names).await?;
                }
                match &*intent.tracks {
                    // This one is what the service refuses.
                    [(position, _)] => {
                        entry_at(entries, *position).fate =
                            Fate::LeftOut { reason: format!("it was refused: {}", error.message) };
                        most = BATCH;
                        refused += 1;
                        if refused == REFUSED_AT_MOST {
                            document.work.note(number, entries);
                            let message = "The service refuses one track after the other.".to_owned();
                            let parts = [write_part(number, entries)?];
                            step(shift, (job, false), document, &parts, message).await?;
                            return Err(refuses_all(error).into());
                        }
                    }
                    several => most = several.len() / 2,
                }
            }
            Err(unwritten) => return interrupted(shift, job, document, (&intent, unwritten), entries).await,
        }
    }
}

async fn written_whole(
    shift: &Shift<'_>,
    job: &Job,
    document: &mut Document,
    (intent, written): (&Intent, &Written),
    entries: &mut [Entry],
) -> Result<(), Halt> {
    document.work.intent = None;
    document.work.version = written.number.or(document.work.version);
    let mut skipped: Vec<String> = written.skipped.iter().map(|skipped| skipped.item.to_string()).collect();
    let mut left_out = Vec::new();
    for (index, (_, track)) in intent.tracks.iter().enumerate() {
        if let Some(at) = skipped.iter().position(|name| *name == track.to_string()) {
            skipped.swap_remove(at);
            left_out.push(index);
        }
    }
    settle(document, intent, (intent.tracks.len(), &left_out), entries);
    let message = format!("Settled {} of {} tracks.", document.work.settled, document.work.entries);
    step(shift, (job, true), document, &[write_part(part_of(intent), entries)?], message).await
}

/// A batch failed. What is known to be done is stored, and the rest is looked for before it is tried again.
async fn interrupted(
    shift: &Shift<'_>,
    job: &Job,
    document: &mut Document,
    (intent, unwritten): (&Intent, Unwritten),
    entries: &mut [Entry],
) -> Result<(), Halt> {
    let Unwritten { error, uncertain, so_far } = unwritten;
    if !uncertain {
        let before = document.work.settled;
        document.work.intent = None;
        if let Some(written) = so_far
            && let Found::Settled { until, left_out } =
                batch::found(intent, &playlists::names(&written.entries))
        {
            settle(document, intent, (until, &left_out), entries);
        }
        let message = format!("Settled {} of {} tracks.", document.work.settled, document.work.entries);
        let came_on = document.work.settled > before;
        step(shift, (job, came_on), document, &[write_part(part_of(intent), entries)?], message).await?;
    }
    Err(later(error, uncertain).into())
}

/// Notes the first tracks of a batch as written, but for those that the service left out.
fn settle(
    document: &mut Document,
    intent: &Intent,
    (until, left_out): (usize, &[usize]),
    entries: &mut [Entry],
) {
    for (index, (position, _)) in intent.tracks[..until].iter().enumerate() {
        let fate = &mut entry_at(entries, *position).fate;
        if left_out.contains(&index) {
            *fate = Fate::LeftOut { reason: "the other service left it out".to_owned() };
        } else if let Fate::Matched { written, .. } = fate {
            *written = true;
        }
    }
    document.work.settled = match intent.tracks.get(until) {
        Some((position, _)) => *position,
        None => intent.until,
    };
    document.work.note(part_of(intent), entries);
}

/// Which part a batch is of; a batch is never of two.
fn part_of(intent: &Intent) -> u32 {
    intent.tracks.first().map_or(0, |(position, _)| position / PART)
}

fn entry_at(entries: &mut [Entry], position: u32) -> &mut Entry {
    &mut entries[(position % PART) as usize]
}

/// Whether the service refuses what is written, and not the call.
fn refuses(error: &PublicError) -> bool {
    matches!(error.code, ErrorCode::ProviderRejected | ErrorCode::ItemNotFound)
}

fn refuses_all(error: PublicError) -> PublicError {
    let message = format!("The service refuses one track after the other: {}", error.message);
    PublicError { message, ..error }.hint(
        "See whether the target playlist takes tracks at all; it may be full. Then call playlist_transfer with this job \
         to go on.",
    )
}

fn later(error: PublicError, uncertain: bool) -> PublicError {
    let wait = error.retry_after.unwrap_or_default();
    if uncertain { error.retry_after(wait.max(LATE)) } else { error }
}

fn unclear(intent: &Intent) -> PublicError {
    PublicError::new(
        ErrorCode::Conflict,
        format!(
            "Someone else changed the target playlist while {} tracks were being written, so that it is not known which \
             of them are in.",
            intent.tracks.len()
        ),
    )
    .hint("Call playlist_transfer with this job to go on: tracks that the playlist has by then are not added again.")
}
