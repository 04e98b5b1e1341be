//! A stored trail, walked in the order of an export: for each day its records, each followed by the checkpoint that ends
//! with it, then the head; after the days those checkpoints that belong to others but stand between theirs, or next to them.

use std::collections::VecDeque;

use chrono::NaiveDate;
use stagedoor_domain::TenantContext;
use stagedoor_storage::audit::{self, ChainHead};
use stagedoor_storage::{KeyVault, StoreError};

use crate::chain::{Link, LinkPayload, genesis};
use crate::checkpoint::Checkpoint;
use crate::days::DayRange;
use crate::reader::{AuditView, PayloadView, read_records};

const RECORDS: i64 = 500;
const CHECKPOINTS: i64 = 200;

/// What a walk meets.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    Record(NaiveDate, &'a AuditView),
    Checkpoint(&'a Checkpoint),
    Head(NaiveDate, i64, &'a [u8]),
}

/// Where what a walk meets goes. A trait, and no closure: of a closure the compiler cannot tell that its futures may move
/// between threads, which who streams an export needs.
pub(crate) trait Visitor<E>: Send {
    fn item(&mut self, item: Item<'_>) -> impl Future<Output = Result<(), E>> + Send;
}

/// A walk over a tenant's days, as far as they had come when it began.
pub(crate) struct Walk<'a> {
    vault: &'a KeyVault,
    context: &'a TenantContext,
    days: DayRange,
    span: Option<(i64, i64)>,
    heads: VecDeque<ChainHead>,
}

impl<'a> Walk<'a> {
    pub(crate) async fn begin(
        vault: &'a KeyVault,
        context: &'a TenantContext,
        days: DayRange,
    ) -> Result<Self, StoreError> {
        // The checkpoints first: what they cover is there by the time that the heads are read.
        let read = async |tx: &mut _| {
            let span = audit::checkpoint_span(tx, days.first(), days.last()).await?;
            let line = audit::checkpoint_head(tx).await?.map_or(0, |line| line.number);
            let span = span.map(|(first, last)| ((first - 1).max(1), last.max((last + 1).min(line))));
            Ok::<_, StoreError>((span, audit::heads(tx, days.first(), days.last()).await?))
        };
        let (span, heads) = vault.store().with_tenant(context, read).await?;
        Ok(Self { vault, context, days, span, heads: heads.into() })
    }

    /// The first and the last number of the checkpoints that it will meet.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// Walks, handing everything to `visitor`.
    pub(crate) async fn run<E: From<StoreError>>(mut self, visitor: &mut impl Visitor<E>) -> Result<(), E> {
        for day in self.days.iter() {
            let head = self.heads.pop_front_if(|head| head.day == day);
            self.walk_day(day, head, visitor).await?;
        }
        self.walk_others(visitor).await
    }

    async fn walk_day<E: From<StoreError>>(
        &self,
        day: NaiveDate,
        head: Option<ChainHead>,
        visitor: &mut impl Visitor<E>,
    ) -> Result<(), E> {
        let length = head.as_ref().map_or(0, |head| head.seq);
        let mut checkpoints =
            DayCheckpoints { walk: self, day, after: 0, loaded: VecDeque::new(), all: false };
        let mut seq = 0;
        'records: loop {
            let page = read_records(self.vault, self.context, day, seq, RECORDS).await?;
            let last = i64::try_from(page.len()).unwrap_or(i64::MAX) < RECORDS;
            for view in &page {
                seq = view.record.seq;
                if seq > length {
                    // Either appended since, or never covered by the head; only a head that moved on tells.
                    if self.head_now(day).await?.is_none_or(|now| now < seq) {
                        visitor.item(Item::Record(day, view)).await?;
                    }
                    break 'records;
                }
                while let Some(checkpoint) = checkpoints.next_up_to(seq - 1).await? {
                    visitor.item(Item::Checkpoint(&checkpoint)).await?;
                }
                visitor.item(Item::Record(day, view)).await?;
                while let Some(checkpoint) = checkpoints.next_up_to(seq).await? {
                    visitor.item(Item::Checkpoint(&checkpoint)).await?;
                }
            }
            if last {
                break;
            }
        }
        while let Some(checkpoint) = checkpoints.next_up_to(i64::MAX).await? {
            visitor.item(Item::Checkpoint(&checkpoint)).await?;
        }
        match &head {
            Some(head) => visitor.item(Item::Head(day, head.seq, &head.hash)).await,
            None => visitor.item(Item::Head(day, 0, &genesis(self.context.tenant_id(), day))).await,
        }
    }

    /// Checkpoints of other days whose numbers lie between those of these days, or next to them.
    async fn walk_others<E: From<StoreError>>(&self, visitor: &mut impl Visitor<E>) -> Result<(), E> {
        let Some((first, last)) = self.span else { return Ok(()) };
        let mut number = first - 1;
        while number < last {
            let read = async |tx: &mut _| audit::checkpoints_after(tx, number, CHECKPOINTS).await;
            let page = self.vault.store().with_tenant::<_, StoreError>(self.context, read).await?;
            let Some(end) = page.last().map(|stored| stored.number) else { break };
            let others =
                page.iter().filter(|stored| stored.number <= last && !self.days.contains(stored.day));
            for stored in others {
                visitor.item(Item::Checkpoint(&Checkpoint::of(self.context.tenant_id(), stored))).await?;
            }
            number = end;
        }
        Ok(())
    }

    async fn head_now(&self, day: NaiveDate) -> Result<Option<i64>, StoreError> {
        let read = async |tx: &mut _| audit::head(tx, day).await;
        Ok(self.vault.store().with_tenant(self.context, read).await?.map(|head| head.seq))
    }
}

/// A day's checkpoints in the chain's order, those that were there when the walk began.
struct DayCheckpoints<'a> {
    walk: &'a Walk<'a>,
    day: NaiveDate,
    after: i64,
    loaded: VecDeque<Checkpoint>,
    all: bool,
}

impl DayCheckpoints<'_> {
    async fn next_up_to(&mut self, seq: i64) -> Result<Option<Checkpoint>, StoreError> {
        if self.loaded.is_empty() && !self.all {
            self.load().await?;
        }
        Ok(self.loaded.pop_front_if(|checkpoint| checkpoint.seq <= seq))
    }

    async fn load(&mut self) -> Result<(), StoreError> {
        let (day, after) = (self.day, self.after);
        let read = async |tx: &mut _| audit::checkpoints_of_day(tx, day, after, CHECKPOINTS).await;
        let walk = self.walk;
        let page = walk.vault.store().with_tenant::<_, StoreError>(walk.context, read).await?;
        self.all = i64::try_from(page.len()).unwrap_or(i64::MAX) < CHECKPOINTS;
        self.after = page.last().map_or(after, |stored| stored.seq);
        let last = walk.span.map_or(0, |(_, last)| last);
        let known = page.iter().filter(|stored| stored.number <= last);
        self.loaded.extend(known.map(|stored| Checkpoint::of(walk.context.tenant_id(), stored)));
        Ok(())
    }
}

/// A stored record as a link of its chain.
pub(crate) fn link(view: &AuditView) -> Link<'_> {
    let record = &view.record;
    let payload = match &view.payload {
        PayloadView::Open { salt, text } => LinkPayload::Open { salt: *salt, text, call: record.call_id },
        PayloadView::Erased => LinkPayload::Erased,
        PayloadView::Altered => LinkPayload::Unreadable,
    };
    Link {
        seq: record.seq,
        kind: record.kind,
        at: record.occurred_at.timestamp_micros(),
        previous_hash: &record.previous_hash,
        hash: &record.hash,
        commitment: &record.commitment,
        payload,
    }
}
