//! `history_query`: the plays themselves, newest first. Titles are sealed, so a text is looked for by opening plays: so many
//! for a call, and the cursor goes on where it stopped.

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{ConsentPurpose, PolicyGate, Provider, PublicError, TenantContext, ToolName, UserId};
use stagedoor_storage::StoreError;
use stagedoor_storage::listening::{self, Gap, Mark, PlaySource, Span, StoredPlay};
use uuid::Uuid;

use crate::arguments::{bounded, invalid};
use crate::cursor;
use crate::desk::{Desk, acting_for, internal};
use crate::gates;
use crate::insights::period::{day, zone};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;

/// Plays that are read at a time, and opened for one call at most.
const READ: i64 = 500;
const MOST_OPENED: usize = 5_000;

/// Which plays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryArguments {
    /// The first day, YYYY-MM-DD.
    from: Option<String>,
    /// The last day.
    to: Option<String>,
    /// IANA, such as Europe/Berlin; default UTC.
    zone: Option<String>,
    /// In title, artists or album.
    text: Option<String>,
    provider: Option<Provider>,
    /// 1-200, default 50.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Plays, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueryOutput {
    plays: Vec<PlayOutput>,
    /// Times between these plays of which some may be missing, newest first.
    gaps: Vec<GapOutput>,
    /// Hand this in as `cursor` for what is older.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A play.
#[derive(Debug, Serialize, JsonSchema)]
struct PlayOutput {
    /// When it ended or was left (RFC 3339).
    played_at: String,
    provider: Provider,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    title: String,
    artists: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    album: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u32>,
    /// How long it was listened to, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms_played: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<bool>,
    /// The list that it was played from.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    source: &'static str,
}

/// A time of which plays may be missing.
#[derive(Debug, Serialize, JsonSchema)]
struct GapOutput {
    provider: Provider,
    from: String,
    to: String,
    /// `missed`: more was played than the service lists; `no_consent`: the person had not agreed.
    reason: &'static str,
}

pub(crate) async fn query(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: QueryArguments,
) -> Produced {
    let user = acting_for(ctx)?;
    let QueryArguments { from, to, zone: named, text, provider, limit, cursor: sealed } = arguments;
    let limit = bounded("limit", limit, 50, 200)? as usize;
    let span = span((from.as_deref(), to.as_deref()), zone(named.as_deref())?, desk.clock.now())?;
    let text = text.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
    let open = gates::open_providers(ctx, PolicyGate::HistoryInsights, provider)?;
    desk.require_consent(ctx, ConsentPurpose::Analytics).await?;
    let (played, gaps) = around(desk, ctx, user).await?;
    let of: Vec<Provider> = open.into_iter().filter(|provider| played.contains(provider)).collect();
    gates::check_together(ctx, &of)?;
    if of.is_empty() {
        origin.warn("Nothing is known of what the person listened to. history_status says why.");
    }
    let binding = format!("{user} {of:?} {from:?} {to:?} {named:?} {text:?}");
    let before = match &sealed {
        Some(sealed) => {
            let tool = (ToolName::HistoryQuery, binding.as_str());
            Some(mark(&cursor::open(desk, ctx, origin, tool, sealed).await?)?)
        }
        None => None,
    };
    let found = Box::pin(find(desk, ctx, (user, &of), span, before, (text.as_deref(), limit))).await?;
    let older = found.next.map_or(span.0, |(at, _)| at);
    // Each gap stands on the page on which it ends, or on the first if it ends later than all of them.
    let here = |gap: &&Gap| gap.to > older && before.map_or(gap.from < span.1, |(newer, _)| gap.to <= newer);
    let missing = |gap: &&Gap| of.contains(&gap.provider) && gap.filled_at.is_none();
    let gaps = gaps.iter().rev().filter(missing).filter(here).map(gap_output).collect();
    let next_cursor = match found.next {
        Some((at, id)) => {
            let page = format!("{} {id}", at.timestamp_micros());
            Some(cursor::seal(desk, ctx, ToolName::HistoryQuery, &binding, &page).await?)
        }
        None => None,
    };
    if found.plays.len() < limit && next_cursor.is_some() {
        origin.warn(format!(
            "{MOST_OPENED} plays were looked through for the text; `next_cursor` goes on with older ones."
        ));
    }
    desk.fresh(&QueryOutput { plays: found.plays.into_iter().map(play_output).collect(), gaps, next_cursor })
}

/// The services of which plays are there, and all gaps.
async fn around(
    desk: &Desk,
    ctx: &TenantContext,
    user: UserId,
) -> Result<(Vec<Provider>, Vec<Gap>), PublicError> {
    let accounts = desk.load_accounts(ctx, user).await?;
    let read = async |tx: &mut _| {
        Ok::<_, StoreError>((listening::per_account(tx, user).await?, listening::gaps(tx, user).await?))
    };
    let read = Box::pin(desk.vault().store().with_tenant(ctx, read)).await;
    let (plays, gaps) = read.map_err(|error| store_failure(&error))?;
    let played = accounts.iter().filter(|account| plays.iter().any(|plays| plays.account == account.id));
    Ok((played.map(|account| account.provider).collect(), gaps))
}

/// What was found, and where to go on.
struct Found {
    plays: Vec<StoredPlay>,
    next: Option<Mark>,
}

async fn find(
    desk: &Desk,
    ctx: &TenantContext,
    (user, of): (UserId, &[Provider]),
    span: Span,
    mut before: Option<Mark>,
    (text, limit): (Option<&str>, usize),
) -> Result<Found, PublicError> {
    let mut plays = Vec::new();
    let mut opened = 0;
    let most = if text.is_some() { READ } else { i64::try_from(limit).unwrap_or(READ) };
    while opened < MOST_OPENED {
        let page = listening::newest(desk.vault(), ctx, (user, of), span, before, most).await;
        let page = page.map_err(|error| store_failure(&error))?;
        let ended = page.len() < usize::try_from(most).unwrap_or_default();
        for play in page {
            if plays.len() == limit {
                return Ok(Found { plays, next: before });
            }
            opened += 1;
            before = Some((play.played_at, play.id));
            if text.is_none_or(|text| tells(&play, text)) {
                plays.push(play);
            }
        }
        if ended {
            return Ok(Found { plays, next: None });
        }
        if plays.len() == limit {
            break;
        }
    }
    Ok(Found { plays, next: before })
}

fn tells(play: &StoredPlay, text: &str) -> bool {
    let track = &play.track;
    let mut words = std::iter::once(&track.title).chain(&track.artists).chain(&track.album);
    words.any(|words| words.to_lowercase().contains(text))
}

/// From the beginning of the first day to the end of the last, in the zone.
fn span((from, to): (Option<&str>, Option<&str>), zone: Tz, now: DateTime<Utc>) -> Result<Span, PublicError> {
    let from = from.map(|from| day("from", from)).transpose()?;
    let to = to.map(|to| day("to", to)).transpose()?;
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(invalid("`to` is before `from`."));
    }
    let first = NaiveDate::from_ymd_opt(listening::FIRST_YEAR, 1, 1).unwrap_or_default();
    let begins = begins(from.unwrap_or(first), zone);
    let ends = match to.and_then(|to| to.checked_add_days(Days::new(1))) {
        Some(next) => self::begins(next, zone) - TimeDelta::milliseconds(1),
        // A service's clock may be ahead.
        None => now + TimeDelta::days(2),
    };
    Ok((begins, ends.max(begins)))
}

/// The first moment of a day: where the clock is put forward at midnight, the hour after.
fn begins(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let of_day = (0..4).filter_map(|hour| day.and_hms_opt(hour, 0, 0));
    let mut known = of_day.filter_map(|time| zone.from_local_datetime(&time).earliest());
    known
        .next()
        .map_or_else(|| day.and_time(chrono::NaiveTime::MIN).and_utc(), |time| time.with_timezone(&Utc))
}

fn mark(page: &str) -> Result<Mark, PublicError> {
    let read = || {
        let (micros, id) = page.split_once(' ')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some((at, id.parse::<Uuid>().ok()?))
    };
    read().ok_or_else(|| internal(&std::fmt::Error))
}

fn play_output(play: StoredPlay) -> PlayOutput {
    let track = play.track;
    PlayOutput {
        played_at: play.played_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        provider: play.provider,
        reference: track.reference,
        title: track.title,
        artists: track.artists,
        album: track.album,
        duration_ms: track.duration_ms,
        ms_played: track.ms_played,
        skipped: track.skipped,
        context: track.context,
        source: match play.source {
            PlaySource::Poll => "poll",
            PlaySource::Import => "import",
            PlaySource::Both => "both",
        },
    }
}

fn gap_output(gap: &Gap) -> GapOutput {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    GapOutput { provider: gap.provider, from: time(gap.from), to: time(gap.to), reason: gap.reason.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_zone() {
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        let of = |from, to, zone| span((from, to), zone, now).unwrap();
        let (from, to) = of(Some("2026-03-29"), Some("2026-03-29"), Tz::Europe__Berlin);
        assert_eq!(from.to_rfc3339(), "2026-03-28T23:00:00+00:00");
        assert_eq!(to.to_rfc3339(), "2026-03-29T21:59:59.999+00:00", "a day of 23 hours");
        // In Beirut the clock was put forward at midnight.
        let (from, _) = of(Some("2022-03-27"), None, Tz::Asia__Beirut);
        assert_eq!(from.to_rfc3339(), "2022-03-26T22:00:00+00:00");
        assert!(span((Some("2026-02-01"), Some("2026-01-01")), Tz::UTC, now).is_err());
        assert!(of(None, None, Tz::UTC).1 > now);
    }
}
