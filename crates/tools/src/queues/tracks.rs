//! What services tell of tracks in queues: asked when a track is put in, and later if it could not be asked then.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use serde_json::Value;
use stagedoor_domain::music::Track;
use stagedoor_domain::{ErrorCode, ItemRef, PublicError, QueueItemId, SharedQueueId, TenantContext};
use stagedoor_storage::shared_queues::{self, Item};

use crate::desk::Desk;
use crate::origin::Origin;
use crate::records::store_failure;

/// Tracks that are asked for at a time.
const AT_A_TIME: usize = 4;
/// How many tracks that nothing is known of are asked for when a queue is read.
const CAUGHT_UP: usize = 8;

type Look<'a> = Pin<Box<dyn Future<Output = Result<Asked, PublicError>> + Send + 'a>>;

/// What became of a question about a track.
pub(super) enum Asked {
    /// The service tells of it.
    Known(Box<Track>),
    /// The service has no such track.
    Absent,
    /// The service cannot be asked now.
    Later,
}

/// What services tell of these tracks, in their order. Once a service cannot be asked, it is left alone.
pub(super) async fn ask(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    tracks: &[ItemRef],
) -> Result<Vec<Asked>, PublicError> {
    let away = AtomicBool::new(false);
    let away = &away;
    let looks: Vec<Look<'_>> =
        tracks.iter().map(|track| Box::pin(one(desk, ctx, origin, track, away)) as Look<'_>).collect();
    let asked: Vec<Result<Asked, PublicError>> = stream::iter(looks).buffered(AT_A_TIME).collect().await;
    asked.into_iter().collect()
}

async fn one(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    track: &ItemRef,
    away: &AtomicBool,
) -> Result<Asked, PublicError> {
    if away.load(Ordering::Relaxed) {
        return Ok(Asked::Later);
    }
    let country = desk.country(ctx, track.provider()).await?;
    let asked =
        desk.catalogue(ctx, origin, track.provider(), country.as_deref(), |music, access| async move {
            music.track(ctx, &access.borrow(), track).await
        });
    match asked.await {
        // The service may name it otherwise; the queue keeps what it was told.
        Ok(found) => Ok(Asked::Known(Box::new(Track { reference: track.clone(), ..found }))),
        Err(error) if matches!(error.code, ErrorCode::ItemNotFound | ErrorCode::ProviderRejected) => {
            Ok(Asked::Absent)
        }
        Err(error) if error.code.may_pass() => {
            away.store(true, Ordering::Relaxed);
            Ok(Asked::Later)
        }
        Err(error) => Err(error),
    }
}

/// Asks for what is not known of some items, and keeps it.
pub(super) async fn catch_up(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    queue: SharedQueueId,
    items: &mut [Item],
) {
    let unknown: Vec<(usize, ItemRef)> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| item.known.is_none())
        .filter_map(|(index, item)| Some((index, item.track.parse().ok()?)))
        .take(CAUGHT_UP)
        .collect();
    if unknown.is_empty() {
        return;
    }
    let tracks: Vec<ItemRef> = unknown.iter().map(|(_, track)| track.clone()).collect();
    // What cannot be asked for is shown as it is.
    let Ok(asked) = ask(desk, ctx, origin, &tracks).await else { return };
    let mut known: Vec<(QueueItemId, Value)> = Vec::new();
    for ((index, _), asked) in unknown.iter().zip(asked) {
        if let Asked::Known(track) = asked
            && let Ok(track) = serde_json::to_value(*track)
        {
            items[*index].known = Some(track.clone());
            known.push((items[*index].id, track));
        }
    }
    if !known.is_empty()
        && let Err(error) = shared_queues::keep_known(desk.vault().store(), ctx, queue, &known).await
    {
        store_failure(&error);
    }
}
