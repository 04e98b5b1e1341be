//! Rolling up the months whose plays have changed.

use std::time::Duration;

use stagedoor_domain::{Clock, TenantContext, UserId};
use stagedoor_insights::{InsightsError, Month, MonthRollup, Play, PlaySource, PlayedTrack};
use stagedoor_storage::listening::{self, StaleMonth, StoredPlay};
use stagedoor_storage::{KeyVault, StoreError};

/// Months that are asked for at once.
const BATCH: i64 = 24;

/// What came of rolling up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolledUp {
    /// Months that were.
    pub months: u64,
    /// Whether there are more: their plays changed meanwhile, or there was no more time.
    pub more: bool,
}

/// Why a month could not be rolled up.
#[derive(Debug, thiserror::Error)]
pub enum RollUpError {
    /// The store failed, or a play in it does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A play that no roll-up takes.
    #[error("a month could not be rolled up")]
    Plays(#[from] InsightsError),
}

/// Rolls up the tenant's months, or those of one person, whose plays have changed since they were, until there are none or
/// `time` is over.
///
/// # Errors
/// The first that occurs; what was rolled up before stays.
pub async fn roll_up_stale(
    vault: &KeyVault,
    ctx: &TenantContext,
    user: Option<UserId>,
    (clock, time): (&dyn Clock, Duration),
) -> Result<RolledUp, RollUpError> {
    let begun = clock.elapsed();
    let mut done = RolledUp::default();
    loop {
        let read = async |tx: &mut _| listening::stale_months(tx, user, BATCH).await;
        let stale = vault.store().with_tenant(ctx, read).await?;
        let mut changed = false;
        for month in &stale {
            if clock.elapsed().saturating_sub(begun) > time {
                return Ok(RolledUp { more: true, ..done });
            }
            let built = Box::pin(build(vault, ctx, month)).await?;
            changed |= !built;
            done.months += u64::from(built);
        }
        if changed || stale.is_empty() {
            return Ok(RolledUp { more: changed, ..done });
        }
    }
}

/// Rolls up one month; `false` if its plays changed meanwhile.
async fn build(vault: &KeyVault, ctx: &TenantContext, stale: &StaleMonth) -> Result<bool, RollUpError> {
    let month = Month::of_day(stale.month).ok_or(InsightsError::Time(0))?;
    let mut rollup = MonthRollup::new(stale.provider, month);
    let whose = (stale.user, stale.provider);
    let add = |play: StoredPlay| Ok::<(), RollUpError>(rollup.add(&as_play(play))?);
    listening::each_play(vault, ctx, whose, stale.span(), add).await?;
    let parts = (!rollup.is_empty()).then(|| {
        let parts = rollup.to_parts();
        listening::RollupParts { heard: parts.heard, plays: parts.plays, names: parts.names }
    });
    Ok(listening::build_rollup(vault, ctx, stale, parts.as_ref()).await?)
}

fn as_play(stored: StoredPlay) -> Play {
    let track = stored.track;
    Play {
        played_at: stored.played_at.timestamp_millis(),
        provider: stored.provider,
        ms_played: track.ms_played,
        skipped: track.skipped,
        source: match stored.source {
            listening::PlaySource::Poll => PlaySource::Poll,
            // The download says more of it than the poll did.
            listening::PlaySource::Import | listening::PlaySource::Both => PlaySource::Import,
        },
        track: PlayedTrack {
            reference: track.reference,
            title: track.title,
            artists: track.artists,
            album: track.album,
            genres: vec![],
            duration_ms: track.duration_ms,
        },
    }
}
