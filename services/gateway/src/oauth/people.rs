//! Who the subject of a token is, as it is remembered; and adding people whom an issuer is trusted to name.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditError, AuditLog, AuditOpening, AuditOutcome, AuditResource,
};
use stagedoor_domain::issuer::UserProvisioning;
use stagedoor_domain::{
    Clock, Entropy, ErrorCode, Issuer, IssuerId, PublicError, TenantContext, TenantId, UserId,
};
use stagedoor_storage::{Store, StoreError, TenantTransaction, issuers};

use super::registered::Registrations;
use crate::tenancy;

/// How long a person is not looked up again, if nothing of the tenant changes (as keys are).
const FOUND_FOR: Duration = Duration::from_secs(30);
/// How long someone who was not found is not looked up again; short, because someone may be adding the person.
const MISSING_FOR: Duration = Duration::from_secs(2);
/// People remembered at most.
const REMEMBERED: u64 = 100_000;

/// What the work is called in audit records.
const JOB: &str = "sign_in";

/// A person's name to an issuer, in a tenant at a revision: a change of the tenant, as the begin of a deletion is, has
/// everyone looked up again.
type Name = (TenantId, i64, IssuerId, Box<str>);

/// Why it cannot be told who it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeopleError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Adding someone could not be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl PeopleError {
    pub(super) fn public(&self) -> PublicError {
        match self {
            Self::Store(error) => error.public(),
            Self::Audit(error) => error.public(),
        }
    }
}

#[derive(Debug)]
pub(super) struct People {
    store: Store,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    known: Cache<Name, Option<UserId>>,
}

impl People {
    pub(super) fn new(
        store: Store,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).expire_after(Expiry).build();
        Self { store, audit, clock, entropy, known }
    }

    /// The person whom `issuer` calls `subject`; `None` if there is nobody, or nobody any more.
    pub(super) async fn find(
        &self,
        registrations: &Registrations,
        issuer: &Issuer,
        subject: &str,
    ) -> Result<Option<UserId>, Arc<PeopleError>> {
        let tenant = &registrations.tenant;
        let name: Name = (tenant.id, registrations.revision, issuer.id, subject.into());
        let look_up = async {
            let (clock, entropy) = (self.clock.as_ref(), self.entropy.as_ref());
            let ctx = tenancy::establish_job(Arc::clone(tenant), JOB, clock, entropy);
            let read = async |tx: &mut TenantTransaction| issuers::person(tx, issuer, subject).await;
            match self.store.with_tenant::<_, StoreError>(&ctx, read).await? {
                None if issuer.provisioning == UserProvisioning::Create => {
                    self.add(&ctx, issuer, subject).await
                }
                found => Ok(found),
            }
        };
        Box::pin(self.known.try_get_with_by_ref(&name, look_up)).await
    }

    /// Adds the person, on record.
    async fn add(
        &self,
        ctx: &TenantContext,
        issuer: &Issuer,
        subject: &str,
    ) -> Result<Option<UserId>, PeopleError> {
        let user = UserId::generate(self.clock.as_ref(), self.entropy.as_ref());
        let opening = AuditOpening {
            resource: Some(AuditResource { kind: "user", id: user.to_string().into() }),
            ..AuditOpening::new(AuditAction::PersonAdd, AuditClient::default())
        };
        let opened_at = self.clock.elapsed();
        let entry = Box::pin(self.audit.open(ctx, opening)).await?;
        let write = async |tx: &mut TenantTransaction| issuers::add_person(tx, issuer, subject, user).await;
        let added = self.store.with_tenant::<_, StoreError>(ctx, write).await;
        let error = match &added {
            Ok(Some(_)) => None,
            Ok(None) => Some(ErrorCode::Unauthenticated),
            Err(error) => Some(error.public().code),
        };
        entry
            .close(AuditOutcome {
                error,
                response_code: error.map_or(200, ErrorCode::http_status),
                duration: self.clock.elapsed().saturating_sub(opened_at),
                cached: false,
            })
            .await;
        Ok(added?)
    }
}

struct Expiry;

impl moka::Expiry<Name, Option<UserId>> for Expiry {
    fn expire_after_create(
        &self,
        _name: &Name,
        value: &Option<UserId>,
        _created_at: std::time::Instant,
    ) -> Option<Duration> {
        Some(if value.is_some() { FOUND_FOR } else { MISSING_FOR })
    }
}
