//! `insights`: what a person's listening history comes to. What the figures are is in `stagedoor-insights`; here is who may ask,
//! what is read for it, and how the answer looks. Nothing is kept of an answer.

pub(crate) mod period;
mod reading;
mod rolling;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{ConsentPurpose, PolicyGate, Provider, PublicError, TenantContext, UserId};
use stagedoor_insights::picture::{Picture, heat_map, trend};
use stagedoor_insights::{Days, Insights, InsightsError, Question, RollupParts, first_play};

pub use self::rolling::{RollUpError, RolledUp, roll_up_stale};

use self::period::{Asked, Period};
use self::reading::Read;
use crate::arguments::{bounded, invalid};
use crate::desk::{Desk, acting_for, internal};
use crate::gates;
use crate::origin::Origin;
use crate::reuse::Produced;

/// The most tracks, artists, albums and genres that are named.
const MOST_NAMED: u32 = 50;

/// What to tell of which days.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InsightsArguments {
    /// Until today; default month.
    period: Option<Period>,
    /// YYYY-MM-DD, in place of `period`.
    from: Option<String>,
    /// The last day; default today.
    to: Option<String>,
    /// IANA, such as Europe/Berlin; default UTC.
    zone: Option<String>,
    /// How many to name, 1-50, default 10.
    top: Option<u32>,
    provider: Option<Provider>,
    picture: Option<PictureKind>,
}

/// A picture beside the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PictureKind {
    HeatMap,
    Trend,
}

/// The figures of each service by itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InsightsOutput {
    services: Vec<Insights>,
    /// What the pictures show, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pictures: Vec<PictureOutput>,
}

/// A picture in words.
#[derive(Debug, Serialize, JsonSchema)]
struct PictureOutput {
    title: String,
    description: String,
}

pub(crate) async fn run(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: InsightsArguments,
) -> Produced {
    let user = acting_for(ctx)?;
    let InsightsArguments { period, from, to, zone, top, provider, picture } = arguments;
    let asked = Asked::read(period, from.as_deref(), to.as_deref())?;
    let zone = period::zone(zone.as_deref())?;
    let top = bounded("top", top, 10, MOST_NAMED)? as usize;
    let providers = gates::open_providers(ctx, PolicyGate::HistoryInsights, provider)?;
    desk.require_consent(ctx, ConsentPurpose::Analytics).await?;
    let mut read = vec![];
    for provider in providers {
        let found = Box::pin(reading::read(desk, ctx, origin, (user, provider))).await?;
        if !found.rollups.is_empty() {
            read.push(found);
        }
    }
    let found: Vec<Provider> = read.iter().map(|found| found.provider).collect();
    gates::check_together(ctx, &found)?;
    if read.is_empty() {
        origin.warn("Nothing is known of what the person listened to. history_status says why.");
    }
    let now = desk.clock.now().timestamp_millis();
    let calculate = move || {
        let each = read.iter().map(|found| calculated(found, &asked, (zone, top, now)));
        each.collect::<Result<Vec<Insights>, InsightsError>>()
    };
    // Long histories take a while, in which other calls should not wait.
    let services = tokio::task::spawn_blocking(calculate).await.map_err(|error| internal(&error))?;
    let services = services.map_err(|error| refused(&error))?;
    answer(desk, services, picture)
}

fn calculated(
    read: &Read,
    asked: &Asked,
    (zone, top, now): (Tz, usize, i64),
) -> Result<Insights, InsightsError> {
    let heard: Vec<&[u8]> = read.rollups.iter().map(|rollup| &rollup.heard[..]).collect();
    let period: Days = asked.days(zone, now, first_play(&heard)?);
    let question = Question { period, zone, top, gaps: &read.gaps, watched: read.watched, now };
    let rollups: &[RollupParts] = &read.rollups;
    stagedoor_insights::insights(read.provider, rollups, &question)
}

/// A period that cannot be answered is the caller's; anything else is a fault of ours.
fn refused(error: &InsightsError) -> PublicError {
    match error {
        InsightsError::EmptyPeriod => invalid("`to` is before `from`."),
        InsightsError::LongPeriod => invalid("From `from` to `to` are more than 100 years."),
        error => internal(error),
    }
}

fn answer(desk: &Desk, services: Vec<Insights>, kind: Option<PictureKind>) -> Produced {
    let draw = |insights: &Insights| match kind {
        Some(PictureKind::HeatMap) => Some(heat_map(insights)),
        Some(PictureKind::Trend) => Some(trend(insights)),
        None => None,
    };
    let drawn: Vec<Picture> = services.iter().filter_map(draw).collect();
    let pictures = drawn.iter().map(|picture| PictureOutput {
        title: picture.title().to_owned(),
        description: picture.description().to_owned(),
    });
    let mut answer = desk.fresh(&InsightsOutput { services, pictures: pictures.collect() })?;
    // Each goes before those that are there.
    for picture in drawn.iter().rev() {
        answer.body = desk.illustrated(&answer.body, &picture.to_png());
    }
    Ok(answer)
}

/// Whose plays at which service.
type Whose = (UserId, Provider);
