//! Looking for records: by whose they are, by what they say, and when; page by page, each at a bounded price.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, Utc};
use stagedoor_domain::{CallId, TenantContext, UserId};
use stagedoor_storage::audit::{self, ChainHead, SearchWindow};
use stagedoor_storage::{KeyVault, StoreError};

use crate::days::DayRange;
use crate::reader::{AuditView, PayloadView, open_records};

/// The most records of one page.
pub const LARGEST_PAGE: u32 = 200;
/// Records that one call opens at most, and those that it passes by at most.
const MOST_OPENED: u64 = 10_000;
const MOST_PASSED: i64 = 500_000;
/// Records of one query, and the stretch of a chain that it looks at.
const ROWS: i64 = 500;
const WINDOW: i64 = 20_000;

/// What is looked for; what is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The person that the call was for.
    pub user: Option<UserId>,
    /// Who called, as a principal's label: `key:…` for an agent.
    pub principal: Option<Box<str>>,
    /// What was done: a tool's name or another action's.
    pub action: Option<Box<str>>,
    /// How it ended: `ok`, `cancelled`, or an error's code; `pending` finds the opening record of every class A call.
    pub outcome: Option<Box<str>>,
    /// From then on.
    pub from: Option<DateTime<Utc>>,
    /// Before then.
    pub to: Option<DateTime<Utc>>,
    /// One call.
    pub call: Option<CallId>,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditOrder {
    /// The last records first.
    #[default]
    NewestFirst,
    /// The first records first.
    OldestFirst,
}

/// Where a page ended. Its text is `2026-11-22.17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCursor {
    /// The day.
    pub day: NaiveDate,
    /// The last record of that day that was looked at.
    pub seq: i64,
}

/// A record that was found.
#[derive(Debug, Clone)]
pub struct AuditMatch {
    /// The day of its chain.
    pub day: NaiveDate,
    /// The record.
    pub view: AuditView,
}

/// Some of what was found.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// The records, in order.
    pub records: Vec<AuditMatch>,
    /// Where to go on; `None` at the end.
    pub next: Option<AuditCursor>,
    /// Records that were opened.
    pub examined: u64,
    /// Whether the page ended because it had cost enough, and not because it was full.
    pub stopped_early: bool,
    /// Records that were passed over because what they said was erased, so that it cannot be told whether they fit.
    pub erased: u64,
}

/// Not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the audit trail")]
pub struct InvalidCursor;

/// The records of the tenant's trail that fit `filter`, after `after` in that order, at most `limit` (1 to
/// [`LARGEST_PAGE`]). A person is found by whose key seals a record; what a record says, by opening it. Records whose
/// payload was erased are found by time and call only.
pub async fn query(
    vault: &KeyVault,
    context: &TenantContext,
    filter: &AuditFilter,
    order: AuditOrder,
    after: Option<AuditCursor>,
    limit: u32,
) -> Result<AuditPage, StoreError> {
    let mut search = Search {
        vault,
        context,
        filter,
        newest_first: order == AuditOrder::NewestFirst,
        limit: usize::try_from(limit.clamp(1, LARGEST_PAGE)).unwrap_or(1),
        passed: 0,
        page: AuditPage::default(),
    };
    for head in search.chains(after).await? {
        let mut place = Some(search.start(&head, after));
        while let Some(from) = place {
            place = search.window(&head, from).await?;
            if search.is_over() {
                search.page.stopped_early = search.page.records.len() < search.limit;
                return Ok(search.page);
            }
        }
    }
    search.page.next = None;
    Ok(search.page)
}

struct Search<'a> {
    vault: &'a KeyVault,
    context: &'a TenantContext,
    filter: &'a AuditFilter,
    newest_first: bool,
    limit: usize,
    passed: i64,
    page: AuditPage,
}

impl Search<'_> {
    /// The chains that can hold something, in order.
    async fn chains(&self, after: Option<AuditCursor>) -> Result<Vec<ChainHead>, StoreError> {
        let mut days = self.filter.days(self.vault.clock().now().date_naive());
        if let Some(after) = after {
            let bound = if self.newest_first {
                (days.0, days.1.min(after.day))
            } else {
                (days.0.max(after.day), days.1)
            };
            days = bound;
        }
        let (first, last) = days;
        let user = self.filter.user;
        let read = async |tx: &mut _| {
            let mut heads = audit::heads(tx, first, last).await?;
            if let Some(user) = user {
                let days = audit::days_of(tx, user, first, last).await?;
                heads.retain(|head| days.binary_search(&head.day).is_ok());
            }
            Ok::<_, StoreError>(heads)
        };
        let mut heads = self.vault.store().with_tenant(self.context, read).await?;
        if self.newest_first {
            heads.reverse();
        }
        Ok(heads)
    }

    /// The last record that was looked at before, or the place before the first one to look at.
    fn start(&self, head: &ChainHead, after: Option<AuditCursor>) -> i64 {
        let begun = after.filter(|after| after.day == head.day).map(|after| after.seq);
        if self.newest_first {
            begun.unwrap_or(i64::MAX).min(head.seq.saturating_add(1))
        } else {
            begun.unwrap_or(0).max(0)
        }
    }

    /// Looks at a stretch of the chain after the record `from`. Answers the last record that was looked at; `None` at
    /// the chain's end.
    async fn window(&mut self, head: &ChainHead, from: i64) -> Result<Option<i64>, StoreError> {
        let (after, up_to) = if self.newest_first {
            ((from - 1 - WINDOW).max(0), from - 1)
        } else {
            (from, from.saturating_add(WINDOW).min(head.seq))
        };
        if after >= up_to {
            return Ok(None);
        }
        let window = SearchWindow {
            day: head.day,
            after,
            up_to,
            newest_first: self.newest_first,
            user: self.filter.user,
            call: self.filter.call,
            from: self.filter.from,
            to: self.filter.to,
        };
        let find = async |tx: &mut _| audit::search(tx, &window, ROWS).await;
        let found = self.vault.store().with_tenant::<_, StoreError>(self.context, find).await?;
        let whole = i64::try_from(found.len()).unwrap_or(i64::MAX) < ROWS;
        let mut last = if self.newest_first { after + 1 } else { up_to };
        if let Some(end) = found.last().filter(|_| !whole) {
            last = end.record.seq;
        }
        let records = found.into_iter().map(|found| found.record).collect();
        for view in open_records(self.vault, self.context, head.day, records).await? {
            self.page.examined += 1;
            let seq = view.record.seq;
            match self.filter.fits(&view) {
                Some(true) => self.page.records.push(AuditMatch { day: head.day, view }),
                Some(false) => {}
                None => self.page.erased += 1,
            }
            if self.page.records.len() == self.limit {
                last = seq;
                break;
            }
        }
        self.passed += (last - from).abs();
        self.page.next = Some(AuditCursor { day: head.day, seq: last });
        Ok(Some(last))
    }

    fn is_over(&self) -> bool {
        let AuditPage { records, examined, .. } = &self.page;
        records.len() == self.limit || *examined >= MOST_OPENED || self.passed >= MOST_PASSED
    }
}

impl AuditFilter {
    /// The first and the last day that can hold something.
    fn days(&self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let ages = u64::try_from(DayRange::MOST).unwrap_or_default();
        let mut first = today.checked_sub_days(Days::new(ages)).unwrap_or(today);
        // Replicas' clocks differ.
        let mut last = today.succ_opt().unwrap_or(today);
        if let Some(from) = self.from {
            first = first.max(from.date_naive());
        }
        if let Some(to) = self.to {
            last = last.min(to.date_naive());
        }
        // A call's id tells when it began; none takes longer than a day.
        let began = self.call.and_then(|call| call.0.get_timestamp());
        let began = began.and_then(|at| i64::try_from(at.to_unix().0).ok());
        if let Some(day) = began.and_then(|at| DateTime::from_timestamp(at, 0)).map(|at| at.date_naive()) {
            first = first.max(day.pred_opt().unwrap_or(day));
            last = last.min(day.checked_add_days(Days::new(2)).unwrap_or(day));
        }
        (first, last)
    }

    /// Whether a record says what is looked for; `None` if that was erased.
    fn fits(&self, view: &AuditView) -> Option<bool> {
        let wanted = [&self.principal, &self.action, &self.outcome];
        if wanted.iter().all(|wanted| wanted.is_none()) {
            return Some(true);
        }
        match view.payload {
            PayloadView::Open { .. } => {}
            PayloadView::Erased => return None,
            // What was tampered with is to be seen, whatever is looked for.
            PayloadView::Altered => return Some(true),
        }
        let Some(json) = view.json() else { return Some(false) };
        let said = [&json["principal"], &json["action"], &json["details"]["outcome"]];
        let fits = |(wanted, said): (&Option<Box<str>>, &serde_json::Value)| {
            wanted.as_deref().is_none_or(|wanted| said.as_str() == Some(wanted))
        };
        Some(wanted.into_iter().zip(said).all(fits))
    }
}

impl fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.day, self.seq)
    }
}

impl FromStr for AuditCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (day, seq) = text.split_once('.').ok_or(InvalidCursor)?;
        let seq = seq.parse().ok().filter(|seq| (0..=i64::MAX / 2).contains(seq)).ok_or(InvalidCursor)?;
        Ok(Self { day: day.parse().map_err(|_| InvalidCursor)?, seq })
    }
}
