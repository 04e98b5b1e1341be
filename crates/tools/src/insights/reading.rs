//! What is read for an answer: roll-ups, made anew where plays have come since, gaps, and how far polls are.

use std::time::Duration;

use chrono::{Datelike as _, Months, NaiveDate};
use stagedoor_domain::{Provider, PublicError, TenantContext};
use stagedoor_insights::{Gap, RollupParts, Watched};
use stagedoor_storage::{StoreError, listening};

use super::Whose;
use super::rolling::{RollUpError, roll_up_stale};
use crate::desk::{Desk, internal};
use crate::origin::Origin;
use crate::records::store_failure;

/// How long a call may roll up months before it answers from what there is. The keeper does it, too.
const ROLLING_UP: Duration = Duration::from_secs(5);

/// What is known of a person's plays at a service.
pub(super) struct Read {
    pub(super) provider: Provider,
    pub(super) rollups: Vec<RollupParts>,
    pub(super) gaps: Vec<Gap>,
    pub(super) watched: Option<Watched>,
}

pub(super) async fn read(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (user, provider): Whose,
) -> Result<Read, PublicError> {
    let failed = |error: StoreError| store_failure(&error);
    let (vault, now) = (desk.vault(), desk.clock.now());
    let rolled_up = roll_up_stale(vault, ctx, Some(user), (&*desk.clock, ROLLING_UP)).await;
    rolled_up.map_err(|error| match error {
        RollUpError::Store(error) => store_failure(&error),
        error @ RollUpError::Plays(_) => internal(&error),
    })?;
    let first = NaiveDate::from_ymd_opt(listening::FIRST_YEAR, 1, 1).unwrap_or_default();
    // The month after the next: a play of today may be one of the next month there.
    let this = now.date_naive().with_day(1).unwrap_or_default();
    let last = this.checked_add_months(Months::new(2)).unwrap_or(this);
    let found = listening::rollups(vault, ctx, (user, provider), (first, last)).await.map_err(failed)?;
    let stale = found.iter().filter(|rollup| rollup.stale).count();
    if stale > 0 {
        origin.warn(format!(
            "Plays of {stale} months are still being added up, so the figures may lack some. Call again in a minute."
        ));
    }
    let rollups = found.into_iter().filter_map(|rollup| rollup.parts).map(|parts| RollupParts {
        heard: parts.heard,
        plays: parts.plays,
        names: parts.names,
    });
    let accounts = desk.load_accounts(ctx, user).await?;
    let ids: Vec<_> =
        accounts.iter().filter(|account| account.provider == provider).map(|account| account.id).collect();
    let around = async |tx: &mut _| {
        let gaps = listening::gaps(tx, user).await?;
        let mut polls = vec![];
        for id in ids {
            polls.extend(listening::cursor(tx, id).await?);
        }
        Ok::<_, StoreError>((gaps, polls))
    };
    let (gaps, polls) = Box::pin(vault.store().with_tenant(ctx, around)).await.map_err(failed)?;
    let missing = |gap: &listening::Gap| gap.provider == provider && gap.filled_at.is_none();
    // Polls that failed tell nothing. Of several accounts, what is known of the one is not known of the other.
    let watched = polls
        .iter()
        .filter_map(|poll| poll.succeeded)
        .reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)));
    let watched = watched.filter(|(since, until)| since <= until);
    Ok(Read {
        provider,
        rollups: rollups.collect(),
        gaps: gaps
            .into_iter()
            .filter(missing)
            .map(|gap| Gap {
                from: gap.from.timestamp_millis(),
                to: gap.to.timestamp_millis(),
                reason: gap.reason.as_str().to_owned(),
            })
            .collect(),
        watched: watched.map(|(since, until)| Watched {
            since: since.timestamp_millis(),
            until: until.timestamp_millis(),
        }),
    })
}
