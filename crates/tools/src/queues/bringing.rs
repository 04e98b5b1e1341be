//! The steps of a commit: finding tracks at the target's service, making the playlist, writing. Each is stored before the
//! next one.

use std::time::Duration;

use stagedoor_domain::{ErrorCode, PublicError, TenantContext};
use stagedoor_storage::shared_queues::commits::Commit;

use super::commit::{Fate, Line, Plan, Target, keep};
use super::tracks::{self, Asked};
use crate::accounts::Account;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::transfer::{Looked, Who, look_for};
use crate::{playback, playlists};

/// Tracks that are looked for before it is stored what was found.
const AT_ONCE: usize = 20;

/// What the steps work with.
pub(super) struct Work<'a> {
    pub(super) desk: &'a Desk,
    pub(super) ctx: &'a TenantContext,
    pub(super) origin: &'a Origin,
    pub(super) account: &'a Account,
    /// When this call has worked long enough.
    pub(super) until: Duration,
}

/// Goes on until nothing is left, or the call has worked long enough. Whatever is in `plan` at the end is to be stored.
pub(super) async fn go_on(work: &Work<'_>, commit: &mut Commit, plan: &mut Plan) -> Result<(), PublicError> {
    while plan.lines.iter().any(|line| line.fate == Fate::Open) {
        if work.is_late() {
            return Ok(());
        }
        find(work, plan).await?;
        keep(work.desk, work.ctx, commit, plan, false).await?;
    }
    match plan.target.clone() {
        Target::Player { device } => play(work, commit, plan, device.as_deref()).await,
        Target::Playlist(_) | Target::New { .. } => write(work, commit, plan).await,
    }
}

impl Work<'_> {
    fn is_late(&self) -> bool {
        self.desk.clock.elapsed() >= self.until
    }
}

/// Looks for the next tracks of another service.
async fn find(work: &Work<'_>, plan: &mut Plan) -> Result<(), PublicError> {
    let &Work { desk, ctx, origin, .. } = work;
    let places: Vec<usize> =
        (0..plan.lines.len()).filter(|place| plan.lines[*place].fate == Fate::Open).take(AT_ONCE).collect();
    learn(work, plan, &places).await?;
    let (known, unknown): (Vec<usize>, Vec<usize>) =
        places.into_iter().partition(|place| plan.lines[*place].known.is_some());
    for place in unknown {
        plan.lines[place].fate = Fate::Missing("its own service does not have it any more".to_owned());
    }
    let wanted: Vec<_> = known.iter().filter_map(|place| plan.lines[*place].known.as_deref()).collect();
    let to = (plan.provider, work.account.country.clone());
    let found = look_for(Who { desk, ctx, origin }, to, &wanted).await?;
    for (place, looked) in known.into_iter().zip(found) {
        let line = &mut plan.lines[place];
        line.known = None;
        line.fate = match looked {
            Looked::Found(track) => Fate::Found(track),
            Looked::Several(candidates) => Fate::Ambiguous(candidates),
            Looked::Nothing(reason) => Fate::Missing(reason),
        };
    }
    Ok(())
}

/// Asks their own service about tracks that were put in while it could not be asked.
async fn learn(work: &Work<'_>, plan: &mut Plan, places: &[usize]) -> Result<(), PublicError> {
    let unknown: Vec<usize> =
        places.iter().copied().filter(|place| plan.lines[*place].known.is_none()).collect();
    let names: Vec<_> = unknown.iter().map(|place| plan.lines[*place].track.clone()).collect();
    let asked = tracks::ask(work.desk, work.ctx, work.origin, &names).await?;
    for (place, asked) in unknown.into_iter().zip(asked) {
        match asked {
            Asked::Known(track) => plan.lines[place].known = Some(track),
            Asked::Absent => {}
            Asked::Later => {
                let service = plan.lines[place].track.provider().title();
                return Err(PublicError::new(
                    ErrorCode::ProviderUnavailable,
                    format!("{service} cannot be asked now what some of the tracks are."),
                )
                .hint("Call again later with the same arguments: it goes on where it is."));
            }
        }
    }
    Ok(())
}

async fn write(work: &Work<'_>, commit: &mut Commit, plan: &mut Plan) -> Result<(), PublicError> {
    let &Work { desk, ctx, origin, account, .. } = work;
    let found = |line: &Line| match &line.fate {
        Fate::Found(track) => Some(track.to_string()),
        _ => None,
    };
    let names: Vec<String> = plan.lines.iter().filter_map(found).collect();
    if names.is_empty() {
        plan.over = true;
        return Ok(());
    }
    let key = |step: &str| format!("queue-{}-{step}", commit.id);
    let (add, make) = (key("write"), key("make"));
    let skipped = match plan.target.clone() {
        Target::New { name, made } => {
            let playlist = if let Some(playlist) = made {
                playlist
            } else {
                let made = playlists::whole::create_once(desk, ctx, origin, account, (&name, &make)).await?;
                plan.target = Target::New { name, made: Some(made.clone()) };
                keep(desk, ctx, commit, plan, false).await?;
                made
            };
            // It is nobody else's yet, and holding exactly these can be asked for again and again.
            playlists::edits::fill_once(desk, ctx, origin, (account, &playlist), (names, &add)).await?
        }
        Target::Playlist(playlist) => {
            playlists::edits::add_once(desk, ctx, origin, (account, &playlist), (names, &add)).await?
        }
        Target::Player { .. } => Vec::new(),
    };
    for line in &mut plan.lines {
        if let Fate::Found(track) = &line.fate {
            let reason = skipped.iter().find(|(name, _)| *name == track.to_string());
            line.fate = match reason {
                Some((_, reason)) => Fate::Refused(reason.clone()),
                None => Fate::Written(track.clone()),
            };
        }
    }
    plan.over = true;
    Ok(())
}

/// Puts tracks into the player's queue, one by one. One that was on its way when a call was cut off is not sent again.
async fn play(
    work: &Work<'_>,
    commit: &mut Commit,
    plan: &mut Plan,
    device: Option<&str>,
) -> Result<(), PublicError> {
    let &Work { desk, ctx, origin, account, .. } = work;
    for place in 0..plan.lines.len() {
        let Fate::Found(track) = plan.lines[place].fate.clone() else { continue };
        if work.is_late() {
            return Ok(());
        }
        plan.lines[place].fate = Fate::Sending(track.clone());
        keep(desk, ctx, commit, plan, false).await?;
        let sent = playback::put_next(desk, ctx, origin, account, (&track, device)).await;
        plan.lines[place].fate = match sent {
            Ok(()) => Fate::Written(track),
            Err(error) => match error.code {
                ErrorCode::ItemNotFound | ErrorCode::ProviderRejected => Fate::Refused(error.message),
                // Nobody knows whether it was taken.
                ErrorCode::ProviderUnavailable
                | ErrorCode::ProviderInvalidAnswer
                | ErrorCode::DeadlineExceeded => return Err(error),
                _ => {
                    plan.lines[place].fate = Fate::Found(track);
                    return Err(error);
                }
            },
        };
    }
    plan.over = true;
    Ok(())
}
