//! Whether the next page of an answer is worth fetching ahead: how often a tenant's callers ask for it, what its calls
//! have earned for such fetches, and which pages were fetched ahead already. No page is fetched here.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use stagedoor_domain::{TenantId, ToolName};

/// Tenants of which something is known at most; beyond, all of them begin anew.
const TENANTS: usize = 10_000;
/// Pages fetched ahead that are remembered, so that each is fetched once and its use is noticed.
const PAGES: usize = 10_000;
/// What one fetch ahead costs; a fetch that a call needed earns 1.
const COST: u32 = 5;
/// What can be saved: 20 fetches ahead.
const MOST_SAVED: u32 = 20 * COST;
/// Observations after which older ones count half.
const HALVED_AT: u32 = 1_000;
/// Observations before which nothing is concluded from them.
const TOO_FEW: u32 = 10;

/// What is known of tenants and pages.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    tenants: RwLock<HashMap<TenantId, Arc<Habits>>>,
    pages: Mutex<Pages>,
    hasher: RandomState,
    used: AtomicU64,
}

/// What is known of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    searches: Share,
    lists: Share,
    playlists: Share,
    saved: AtomicU32,
    /// Fetches beside calls that are under way for it.
    pub(crate) under_way: AtomicU32,
}

/// How many answers that went on were followed by a call for the next page.
#[derive(Debug, Default)]
struct Share {
    went_on: AtomicU32,
    followed: AtomicU32,
}

/// Pages by the hash of tenant and cursor, the oldest first; true if one was used.
#[derive(Debug, Default)]
struct Pages {
    known: HashMap<u64, bool>,
    order: VecDeque<u64>,
}

impl Paging {
    /// What is known of a tenant.
    pub(crate) fn of(&self, tenant: TenantId) -> Arc<Habits> {
        if let Some(known) = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant) {
            return Arc::clone(known);
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= TENANTS {
            tenants.clear();
        }
        Arc::clone(tenants.entry(tenant).or_default())
    }

    /// Notes a page as fetched ahead; false if it was noted before.
    pub(crate) fn begin(&self, tenant: TenantId, cursor: &str) -> bool {
        let page = self.hasher.hash_one((tenant, cursor));
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.known.contains_key(&page) {
            return false;
        }
        if pages.order.len() >= PAGES
            && let Some(oldest) = pages.order.pop_front()
        {
            pages.known.remove(&oldest);
        }
        pages.order.push_back(page);
        pages.known.insert(page, false);
        true
    }

    /// Whether a page is noted as fetched ahead.
    pub(crate) fn is_begun(&self, tenant: TenantId, cursor: &str) -> bool {
        let page = self.hasher.hash_one((tenant, cursor));
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).known.contains_key(&page)
    }

    /// Takes back that a page was fetched ahead, because nothing came of it.
    pub(crate) fn take_back(&self, tenant: TenantId, cursor: &str) {
        let page = self.hasher.hash_one((tenant, cursor));
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.known.remove(&page).is_some() {
            pages.order.retain(|known| *known != page);
        }
    }

    /// Notes that a page was asked for and was there; it counts once if it had been fetched ahead.
    pub(crate) fn found(&self, tenant: TenantId, cursor: &str) {
        let page = self.hasher.hash_one((tenant, cursor));
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = pages.known.get_mut(&page)
            && !std::mem::replace(used, true)
        {
            self.used.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Pages that were fetched ahead and asked for afterwards.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Habits {
    /// Notes an answer: whether the call asked for a further page, and whether there is a next one.
    pub(crate) fn observe(&self, tool: ToolName, followed: bool, goes_on: bool) {
        let Some(share) = self.share(tool) else { return };
        if followed {
            share.followed.fetch_add(1, Ordering::Relaxed);
        }
        if goes_on && share.went_on.fetch_add(1, Ordering::Relaxed) + 1 >= HALVED_AT {
            // A few observations may be lost between the two; the share stays about what it was.
            for count in [&share.went_on, &share.followed] {
                count.store(count.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }

    /// Whether at least three of ten answers are followed by a call for the next page.
    pub(crate) fn pages_often(&self, tool: ToolName) -> bool {
        self.share(tool).is_some_and(|share| {
            let went_on = share.went_on.load(Ordering::Relaxed);
            let followed = share.followed.load(Ordering::Relaxed);
            went_on >= TOO_FEW && followed * 10 >= went_on * 3
        })
    }

    /// A call needed a fetch, which earns a fifth of one ahead.
    pub(crate) fn earn(&self) {
        let earn = |saved| (saved < MOST_SAVED).then_some(saved + 1);
        // At the most, nothing is added.
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// Pays for a fetch ahead; false if there is too little.
    pub(crate) fn pay(&self) -> bool {
        let pay = |saved: u32| saved.checked_sub(COST);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }

    fn share(&self, tool: ToolName) -> Option<&Share> {
        match tool {
            ToolName::Search => Some(&self.searches),
            ToolName::PlaylistsList => Some(&self.lists),
            ToolName::PlaylistGet => Some(&self.playlists),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_ahead_are_a_fifth_of_those_that_calls_needed() {
        let habits = Habits::default();
        assert!(!habits.pay(), "nothing is lent");
        for _ in 0..4 {
            habits.earn();
        }
        assert!(!habits.pay());
        habits.earn();
        assert!(habits.pay() && !habits.pay());
        for _ in 0..10_000 {
            habits.earn();
        }
        assert_eq!((0..1_000).filter(|_| habits.pay()).count(), 20, "no more is saved");
    }

    #[test]
    fn three_of_ten_make_a_habit_and_old_habits_fade() {
        let habits = Habits::default();
        let note = |times: u32, followed: bool| {
            for _ in 0..times {
                habits.observe(ToolName::Search, followed, true);
            }
        };
        note(5, true);
        assert!(!habits.pages_often(ToolName::Search), "five observations say little");
        note(11, false);
        assert!(habits.pages_often(ToolName::Search));
        note(1, false);
        assert!(!habits.pages_often(ToolName::Search));
        assert!(!habits.pages_often(ToolName::PlaylistGet), "each tool for itself");
        note(100_000, false);
        note(1_000, true);
        assert!(habits.pages_often(ToolName::Search));
        habits.observe(ToolName::TrackGet, true, true);
        assert!(!habits.pages_often(ToolName::TrackGet), "a track has no pages");
    }

    #[test]
    fn a_page_is_fetched_ahead_once_and_its_use_counts_once() {
        let paging = Paging::default();
        let (one, other) =
            (TenantId::from(uuid::Uuid::from_u128(1)), TenantId::from(uuid::Uuid::from_u128(2)));
        assert!(paging.begin(one, "cursor") && !paging.begin(one, "cursor"));
        paging.found(other, "cursor");
        assert_eq!(paging.used(), 0, "it was fetched for another tenant");
        paging.found(one, "cursor");
        paging.found(one, "cursor");
        assert_eq!(paging.used(), 1);
        assert!(paging.begin(one, "failed") && paging.is_begun(one, "failed"));
        paging.take_back(one, "failed");
        paging.found(one, "failed");
        assert_eq!(paging.used(), 1, "it was not fetched ahead after all");
        assert!(paging.begin(one, "failed"), "it may be tried again");
        for number in 0..PAGES {
            paging.begin(one, &number.to_string());
        }
        assert!(paging.begin(one, "cursor"), "the oldest is forgotten");
    }

    #[test]
    fn what_is_known_is_kept_apart_by_tenant_and_bounded() {
        let paging = Paging::default();
        for number in 0..=u128::try_from(TENANTS).unwrap() {
            paging.of(uuid::Uuid::from_u128(number).into()).earn();
        }
        assert!(paging.tenants.read().unwrap().len() <= TENANTS);
        let last = uuid::Uuid::from_u128(u128::try_from(TENANTS).unwrap());
        assert!(Arc::ptr_eq(&paging.of(last.into()), &paging.of(last.into())));
    }
}
