//! `UsageService`. What is counted, and how figures are added up, is for `storage::usage`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use stagedoor_domain::UserId;
use stagedoor_proto::admin::v1::{
    DailyFigures, ListDailyFiguresRequest, ListDailyFiguresResponse, QueryUsageRequest, QueryUsageResponse,
    SummarizeUsageRequest, SummarizeUsageResponse, TenantUsage, UsageDenials, UsageFigures, UsageGroup,
    UsageInterval,
};
use stagedoor_storage::rollups;
use stagedoor_storage::usage::{self, Figures, GroupBy, Latency, Period, UsageFilter, UsageLine, UsageQuery};

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::{page, texts, times};

/// How far back figures go if nobody says.
const USUAL: TimeDelta = TimeDelta::days(1);
/// How long minutes are told apart; up to which span they are if nobody says, and up to which hours are.
const MINUTES_KEPT: TimeDelta = TimeDelta::days(2);
const BY_MINUTES: TimeDelta = TimeDelta::hours(3);
const BY_HOURS: TimeDelta = TimeDelta::days(3);
/// The longest label of a principal, and the longest tool.
const LONGEST: usize = 128;

/// A day or a month that figures were counted of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    first_day: NaiveDate,
    period: String,
}

/// Where a page begins: behind so many lines of the figures until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Behind {
    lines: u32,
    to: DateTime<Utc>,
}

/// Figures of one tenant.
pub async fn query_usage(
    call: &AdminCall,
    request: QueryUsageRequest,
) -> Result<QueryUsageResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let behind = page::after::<Behind>(&request.page_token)?;
    let now = call.rooms().clock.now();
    let (from, to) = span(request.from.as_ref(), request.to.as_ref(), behind, now)?;
    let lines = behind.map_or(0, |behind| behind.lines);
    let query = UsageQuery {
        from,
        to,
        group_by: group_by(&request, (from, to), now)?,
        filter: filter(&request)?,
        skip: usize::try_from(lines).unwrap_or(usize::MAX),
    };
    let limit = usize::try_from(size).unwrap_or(usize::MAX);
    let read = async |tx: &mut _| usage::query(tx, &query, limit).await;
    let answer = call.store().with_tenant(call.context(), read).await?;
    let next = Behind { lines: lines.saturating_add(size), to };
    // A replica reports a minute once it is over, within the next one.
    let complete_until = Period::Minute.begin(now) - Period::Minute.length();
    Ok(QueryUsageResponse {
        figures: answer.lines.iter().map(shown).collect(),
        next_page_token: if answer.more { page::token(&next.to_string()) } else { String::new() },
        complete_until: Some(times::timestamp(complete_until)),
    })
}

/// What the keeper counted of the tenant by day and month, the newest first.
pub async fn list_daily_figures(
    call: &AdminCall,
    request: ListDailyFiguresRequest,
) -> Result<ListDailyFiguresResponse, AdminError> {
    let read = async |tx: &mut _| rollups::list(tx).await;
    let counted = call.store().with_tenant(call.context(), read).await?;
    let mut days: BTreeMap<Reverse<Counted>, BTreeMap<String, i64>> = BTreeMap::new();
    for rollup in counted {
        let of = Counted { first_day: rollup.starts_on, period: rollup.period };
        days.entry(Reverse(of)).or_default().insert(rollup.metric, rollup.value);
    }
    let size = page::size(request.page_size)?;
    let after = page::after::<Counted>(&request.page_token)?.map(Reverse);
    let rest = days.into_iter().filter(|(of, _)| after.as_ref().is_none_or(|after| of > after));
    let mut listed: Vec<_> = rest.collect();
    let next_page_token = page::cut(&mut listed, size, |(Reverse(of), _)| of.to_string());
    let figures = listed.into_iter().map(|(Reverse(of), figures)| DailyFigures {
        first_day: of.first_day.to_string(),
        period: of.period,
        figures,
    });
    Ok(ListDailyFiguresResponse { figures: figures.collect(), next_page_token })
}

/// Figures of each tenant, those with the most calls first, in whole hours.
pub async fn summarize_usage(
    call: &AdminCall,
    request: SummarizeUsageRequest,
) -> Result<SummarizeUsageResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let behind = page::after::<Behind>(&request.page_token)?;
    let now = call.rooms().clock.now();
    let (from, to) = span(request.from.as_ref(), request.to.as_ref(), behind, now)?;
    let (from, to) = (Period::Hour.begin(from), Period::Hour.next(to));
    let skip = behind.map_or(0, |behind| behind.lines);
    let most = u16::try_from(size + 1).unwrap_or(u16::MAX);
    let mut listed = usage::of_tenants(call.store(), (from, to), skip, most).await?;
    let next = Behind { lines: skip.saturating_add(size), to };
    let next_page_token = page::cut(&mut listed, size, |_| next.to_string());
    let tenants = listed.into_iter().map(|of| TenantUsage {
        tenant: of.slug.to_string(),
        figures: Some(counted(&of.figures, of.latency)),
    });
    Ok(SummarizeUsageResponse { tenants: tenants.collect(), next_page_token })
}

/// From the beginning of a minute to the end of one. Pages of figures until now are of the now of the first.
fn span(
    from: Option<&prost_types::Timestamp>,
    to: Option<&prost_types::Timestamp>,
    behind: Option<Behind>,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), AdminError> {
    let given = times::time("to", to)?;
    let to = given.or(behind.map(|behind| behind.to)).unwrap_or(now);
    let from = match times::time("from", from)? {
        Some(from) => from,
        None => to.checked_sub_signed(USUAL).unwrap_or(to),
    };
    if from >= to {
        return Err(AdminError::field("to", "It is not after `from`."));
    }
    Ok((Period::Minute.begin(from), Period::Minute.next(to)))
}

fn group_by(
    request: &QueryUsageRequest,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<GroupBy, AdminError> {
    let mut by = GroupBy::default();
    let mut by_time = false;
    for (position, number) in request.group_by.iter().enumerate() {
        match UsageGroup::try_from(*number) {
            Ok(UsageGroup::User) => by.user = true,
            Ok(UsageGroup::Key) => by.key = true,
            Ok(UsageGroup::Tool) => by.tool = true,
            Ok(UsageGroup::Content) => by.content = true,
            Ok(UsageGroup::Interval) => by_time = true,
            Ok(UsageGroup::Unspecified) | Err(_) => {
                let wanted = "It is nothing that figures are told apart by; wanted: USER, KEY, TOOL, CONTENT or INTERVAL.";
                return Err(AdminError::field(format!("group_by[{position}]"), wanted));
            }
        }
    }
    let named = match UsageInterval::try_from(request.interval) {
        Ok(UsageInterval::Unspecified) => None,
        Ok(UsageInterval::Minute) => Some(Period::Minute),
        Ok(UsageInterval::Hour) => Some(Period::Hour),
        Ok(UsageInterval::Day) => Some(Period::Day),
        Err(_) => return Err(AdminError::field("interval", "It is none; wanted: MINUTE, HOUR or DAY.")),
    };
    let minutes_are_there = from >= now - MINUTES_KEPT;
    if named == Some(Period::Minute) && !minutes_are_there {
        let kept = "Minutes are kept for two days; ask for HOUR or DAY, or for a later `from`.";
        return Err(AdminError::field("interval", kept));
    }
    let by_span = match to - from {
        span if span <= BY_MINUTES && minutes_are_there => Period::Minute,
        span if span <= BY_HOURS => Period::Hour,
        _ => Period::Day,
    };
    by.interval = named.or(by_time.then_some(by_span));
    Ok(by)
}

fn filter(request: &QueryUsageRequest) -> Result<UsageFilter, AdminError> {
    let text = |field: &str, given: &str| match given {
        "" => Ok(None),
        given if given.len() <= LONGEST => Ok(Some(given.to_owned())),
        _ => Err(AdminError::field(field, format!("It is longer than {LONGEST} bytes."))),
    };
    let user = match &*request.user_id {
        "" => None,
        given => Some(texts::id::<UserId>("user_id", given)?),
    };
    Ok(UsageFilter {
        user,
        principal: text("principal", &request.principal)?,
        tool: text("tool", &request.tool)?,
        content: text("content", &request.content)?,
    })
}

fn shown(line: &UsageLine) -> UsageFigures {
    UsageFigures {
        start_time: times::optional(line.starts_at),
        user_id: line.user.map(|user| user.to_string()).unwrap_or_default(),
        principal: line.principal.clone().unwrap_or_default(),
        tool: line.tool.clone().unwrap_or_default(),
        content: line.content.clone().unwrap_or_default(),
        ..counted(&line.figures, line.latency)
    }
}

fn counted(figures: &Figures, latency: Option<Latency>) -> UsageFigures {
    let latency = latency.unwrap_or(Latency { p50: 0.0, p95: 0.0, p99: 0.0 });
    let denied = &figures.denied;
    UsageFigures {
        calls: figures.calls.cast_signed(),
        errors: figures.errors.cast_signed(),
        denials: denied.total().cast_signed(),
        denials_by_reason: Some(UsageDenials {
            limit: denied.limit.cast_signed(),
            scope: denied.scope.cast_signed(),
            policy: denied.policy.cast_signed(),
            credentials: denied.credentials.cast_signed(),
        }),
        cache_hits: figures.cache_hits.cast_signed(),
        cache_misses: figures.cache_misses.cast_signed(),
        search_words: figures.search_words.cast_signed(),
        provider_calls: figures.provider_calls.cast_signed(),
        p50_milliseconds: latency.p50,
        p95_milliseconds: latency.p95,
        p99_milliseconds: latency.p99,
        ..UsageFigures::default()
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.lines, self.to.timestamp())
    }
}

impl FromStr for Behind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (lines, to) = text.split_once('.').ok_or(())?;
        let to = to.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)).ok_or(())?;
        Ok(Self { lines: lines.parse().map_err(drop)?, to })
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.first_day, self.period)
    }
}

impl FromStr for Counted {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first_day, period) = text.split_once(' ').ok_or(())?;
        Ok(Self { first_day: first_day.parse().map_err(drop)?, period: period.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn stamp(text: &str) -> prost_types::Timestamp {
        times::timestamp(at(text))
    }

    const NOW: &str = "2026-11-22T19:00:30Z";

    fn grouped(request: &QueryUsageRequest) -> Result<GroupBy, AdminError> {
        let span = span(request.from.as_ref(), request.to.as_ref(), None, at(NOW)).unwrap();
        group_by(request, span, at(NOW))
    }

    #[test]
    fn a_span_is_the_last_day_unless_it_is_said_and_pages_share_it() {
        let usual = span(None, None, None, at(NOW)).unwrap();
        assert_eq!(usual, (at("2026-11-21T19:00:00Z"), at("2026-11-22T19:01:00Z")));
        let behind = Behind { lines: 50, to: usual.1 };
        assert_eq!(behind.to_string().parse(), Ok(behind));
        let later = span(None, None, Some(behind), at("2026-11-22T19:20:00Z")).unwrap();
        assert_eq!(later.1, usual.1, "the second page is of the same span");
        let wrong = span(Some(&stamp(NOW)), Some(&stamp("2026-11-22T18:00:00Z")), None, at(NOW));
        assert_eq!(wrong.unwrap_err().violations[0].field, "to");
    }

    #[test]
    fn time_is_told_apart_as_finely_as_the_span_allows() {
        let of = |from: &str| {
            let group_by = vec![UsageGroup::Interval.into()];
            grouped(&QueryUsageRequest { from: Some(stamp(from)), group_by, ..Default::default() }).unwrap()
        };
        assert_eq!(of("2026-11-22T17:00:00Z").interval, Some(Period::Minute));
        assert_eq!(of("2026-11-21T17:00:00Z").interval, Some(Period::Hour));
        assert_eq!(of("2026-11-01T00:00:00Z").interval, Some(Period::Day));
        let one_sum = grouped(&QueryUsageRequest::default()).unwrap();
        assert_eq!(one_sum, GroupBy::default());
        let named = QueryUsageRequest { interval: UsageInterval::Day.into(), ..Default::default() };
        assert_eq!(grouped(&named).unwrap().interval, Some(Period::Day), "who names one wants it");
    }

    #[test]
    fn minutes_that_are_gone_and_unknown_groups_are_said_by_field() {
        let request = QueryUsageRequest {
            from: Some(stamp("2026-11-01T00:00:00Z")),
            interval: UsageInterval::Minute.into(),
            ..Default::default()
        };
        assert_eq!(grouped(&request).unwrap_err().violations[0].field, "interval");
        let request = QueryUsageRequest { group_by: vec![UsageGroup::Tool.into(), 99], ..Default::default() };
        assert_eq!(grouped(&request).unwrap_err().violations[0].field, "group_by[1]");
    }
}
