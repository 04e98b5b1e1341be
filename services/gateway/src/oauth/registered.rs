//! Whose tokens a tenant accepts, as it is remembered: one look-up for each tenant, whoever a token says it is of. So a
//! token of an unknown issuer costs no look-up of its own, and nothing is ever fetched for it.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Issuer, Tenant, TenantSlug};
use stagedoor_storage::issuers::TenantIssuers;
use stagedoor_storage::{Store, StoreError};

use crate::tenant_watch::TenantWatch;
use crate::turn::Turns;

/// How long a tenant that was found is not looked up again, if nothing of it changes (as keys are).
const FOUND_FOR: Duration = Duration::from_secs(30);
/// How long a tenant that was not found is not looked up again.
const MISSING_FOR: Duration = Duration::from_secs(2);
/// Tenants remembered at most; strangers choose the names.
const REMEMBERED: u64 = 20_000;

/// A tenant and the issuers whose tokens it accepts.
#[derive(Debug)]
pub(super) struct Registrations {
    pub(super) tenant: Arc<Tenant>,
    pub(super) revision: i64,
    pub(super) name: String,
    pub(super) issuers: Vec<Arc<Issuer>>,
    /// Somebody looks them up again.
    renewing: Turns,
}

impl Registrations {
    /// The issuer that calls itself so.
    pub(super) fn find(&self, url: &str) -> Option<&Arc<Issuer>> {
        self.issuers.iter().find(|issuer| issuer.url == url)
    }
}

#[derive(Debug)]
pub(super) struct Registered {
    store: Store,
    watch: Arc<TenantWatch>,
    known: Cache<TenantSlug, Option<Arc<Registrations>>>,
}

impl Registered {
    pub(super) fn new(store: Store, watch: Arc<TenantWatch>) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).expire_after(Expiry).build();
        Self { store, watch, known }
    }

    /// What is known of the tenant; `None` if nobody is called so.
    pub(super) async fn of(&self, slug: &TenantSlug) -> Result<Option<Arc<Registrations>>, Arc<StoreError>> {
        let look_up = async { self.read(slug).await };
        let found = Box::pin(self.known.try_get_with_by_ref(slug, look_up)).await?;
        Ok(match found {
            Some(known) => self.renewed(slug, known).await,
            None => None,
        })
    }

    /// What is remembered, without looking anything up.
    pub(super) async fn remembered(&self, slug: &TenantSlug) -> Option<Arc<Registrations>> {
        self.known.get(slug).await.flatten()
    }

    /// The tenant as it is now: with a status that may have changed since.
    pub(super) fn newest_tenant(&self, known: &Registrations) -> Arc<Tenant> {
        self.watch.newest(&known.tenant, known.revision)
    }

    /// The same as it is now, if the tenant was changed since it was looked up: an issuer that was deleted is refused within
    /// the second in which replicas see such changes. One request looks; the others go by what is known until it has. So
    /// do all while the database is away.
    async fn renewed(&self, slug: &TenantSlug, known: Arc<Registrations>) -> Option<Arc<Registrations>> {
        let newest = self.newest_tenant(&known);
        if Arc::ptr_eq(&newest, &known.tenant) {
            return Some(known);
        }
        let Some(turn) = known.renewing.take() else { return Some(known) };
        match self.read(slug).await {
            Ok(renewed) => {
                self.known.insert(slug.clone(), renewed.clone()).await;
                turn.keep();
                renewed
            }
            Err(error) => {
                drop(turn);
                tracing::debug!(error = %Chain(&error), "a tenant's issuers could not be looked up again");
                Some(known)
            }
        }
    }

    async fn read(&self, slug: &TenantSlug) -> Result<Option<Arc<Registrations>>, StoreError> {
        let found = Box::pin(self.store.find_issuers(slug)).await?;
        Ok(found.map(|TenantIssuers { tenant, tenant_revision, name, issuers }| {
            Arc::new(Registrations {
                tenant: Arc::new(tenant),
                revision: tenant_revision,
                name,
                issuers: issuers.into_iter().map(Arc::new).collect(),
                renewing: Turns::default(),
            })
        }))
    }
}

struct Expiry;

impl moka::Expiry<TenantSlug, Option<Arc<Registrations>>> for Expiry {
    fn expire_after_create(
        &self,
        _slug: &TenantSlug,
        value: &Option<Arc<Registrations>>,
        _created_at: std::time::Instant,
    ) -> Option<Duration> {
        Some(if value.is_some() { FOUND_FOR } else { MISSING_FOR })
    }
}
