//! Works on jobs that are due, of any tenant and whichever replica they were begun at: makes the context of whoever began
//! each, and has the tools do the work. What a job does is theirs.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{
    Clock, Entropy, ErrorCode, IssuerId, Principal, PrincipalKind, PublicError, ScopeSet, Tenant,
    TenantStatus, ToolsetSet, UserId,
};
use stagedoor_storage::jobs::{self, BegunBy, Claim};
use stagedoor_storage::{KeyVault, StoreError, TenantTransaction, issuers};
use stagedoor_tools::Dispatcher;
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::claims::Claims;
use crate::tenancy;

/// Jobs that one replica works on at a time.
const AT_A_TIME: usize = 4;
/// Jobs of one tenant that all replicas together work on at a time.
const OF_A_TENANT: u32 = 2;
/// How often it is looked whether whoever began a job that is under way may still do what it does.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(1);

/// One replica's worker.
#[derive(Debug)]
pub struct JobWorker {
    pub(crate) vault: Arc<KeyVault>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) background: Background,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl JobWorker {
    /// Works until `until`, which also has jobs under way given back after their step.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let claims = Claims {
            name: "job",
            at_a_time: AT_A_TIME,
            background: &self.background,
            entropy: self.entropy.as_ref(),
        };
        let work = |claim: Claim| {
            let (worker, until) = (Arc::clone(&self), until.clone());
            async move {
                if let Err(error) = worker.work(&claim, &until).await {
                    // Its claim ends by itself, and it is tried again.
                    tracing::warn!(job = %claim.job, error = %Chain(&error), "a job could not be begun");
                }
            }
        };
        let claim = |most| jobs::claim_due(self.vault.store(), most, OF_A_TENANT);
        claims.run(claim, work, || self.dispatcher.desk().jobs().work(), &until).await;
    }

    async fn work(&self, claim: &Claim, until: &CancellationToken) -> Result<(), StoreError> {
        let store = self.vault.store();
        let Some(tenant) = store.tenant_by_id(claim.tenant).await?.map(Arc::new) else { return Ok(()) };
        let ours =
            tenancy::establish_job(Arc::clone(&tenant), "jobs", self.clock.as_ref(), self.entropy.as_ref());
        let (begun_by, (principal, refusal)) = match jobs::load(&self.vault, &ours, claim.job).await {
            Ok(Some(job)) => {
                let principal = self.principal(&tenant, claim, &job.begun_by).await?;
                (Some(job.begun_by), principal)
            }
            Ok(None) => return Ok(()),
            // It has to be ended all the same, and on record.
            Err(StoreError::Damaged { .. }) => (None, (without_rights(claim), Some(ended()))),
            Err(error) => return Err(error),
        };
        let ctx = tenancy::establish_job_of(
            Arc::clone(&tenant),
            &principal,
            self.clock.as_ref(),
            self.entropy.as_ref(),
        );
        let stop = until.child_token();
        let watched = begun_by.filter(|_| refusal.is_none());
        let run = self.dispatcher.run_job(&ctx, claim, refusal, &stop);
        let watch = async {
            if let Some(begun_by) = watched {
                self.until_it_may_not(claim, &begun_by, (&*tenant, &principal)).await;
                // Given back after its step; whoever takes it next begins with what holds by then.
                stop.cancel();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = run => {}
            () = watch => {}
        }
        Ok(())
    }

    /// Until the tenant, its policy gates or the rights of whoever began the job are no longer those that it was begun
    /// with.
    async fn until_it_may_not(
        &self,
        claim: &Claim,
        begun_by: &BegunBy,
        (tenant, principal): (&Tenant, &Principal),
    ) {
        loop {
            tokio::time::sleep(LOOK_AGAIN_EVERY).await;
            match self.still_holds(claim, begun_by, (tenant, principal)).await {
                Ok(true) => {}
                Ok(false) => return,
                // Without the store no step of the job is stored either.
                Err(error) => {
                    tracing::debug!(job = %claim.job, error = %Chain(&error), "the rights of a job cannot be looked up");
                }
            }
        }
    }

    async fn still_holds(
        &self,
        claim: &Claim,
        begun_by: &BegunBy,
        (tenant, principal): (&Tenant, &Principal),
    ) -> Result<bool, StoreError> {
        let Some(now) = self.vault.store().tenant_by_id(claim.tenant).await? else { return Ok(false) };
        let (rights, refusal) = self.principal(&now, claim, begun_by).await?;
        Ok(refusal.is_none()
            && now.settings.policy_gates == tenant.settings.policy_gates
            && rights.scopes == principal.scopes
            && rights.toolsets == principal.toolsets
            && rights.read_only == principal.read_only)
    }

    /// Who began the job, with the rights that are left by now; and why it may not go on, if it may not.
    async fn principal(
        &self,
        tenant: &Tenant,
        claim: &Claim,
        begun_by: &BegunBy,
    ) -> Result<(Principal, Option<PublicError>), StoreError> {
        let known = match (&begun_by.api_key, PrincipalKind::token_of_label(&begun_by.label)) {
            (Some(key), _) => {
                self.vault.store().find_api_key(&tenant.slug, key).await?.map(|key| key.principal)
            }
            (None, Some((issuer, user))) => self.bearer_of(tenant, issuer, user, begun_by).await?,
            (None, None) => None,
        };
        let key = known.filter(|principal| {
            tenant.status == TenantStatus::Active
                && principal.user == Some(claim.user)
                && principal.expires_at.is_none_or(|at| at > self.clock.now())
        });
        Ok(match key {
            Some(now) => (with_rights_of_both(now, begun_by), None),
            None => (without_rights(claim), Some(ended())),
        })
    }

    /// Who began a job with a token. The token has ended long before the job may have; what counts is whether its issuer
    /// may still speak for the person, and what it may give by now.
    async fn bearer_of(
        &self,
        tenant: &Tenant,
        issuer: IssuerId,
        user: UserId,
        begun_by: &BegunBy,
    ) -> Result<Option<Principal>, StoreError> {
        let (clock, entropy) = (self.clock.as_ref(), self.entropy.as_ref());
        let ctx = tenancy::establish_job(Arc::new(tenant.clone()), "jobs", clock, entropy);
        let read = async |tx: &mut TenantTransaction| issuers::accepted(tx, issuer, user).await;
        let accepted = self.vault.store().with_tenant::<_, StoreError>(&ctx, read).await?;
        Ok(accepted.map(|accepted| Principal {
            kind: PrincipalKind::Jwt { issuer, user },
            user: Some(user),
            scopes: begun_by.scopes,
            toolsets: accepted.toolsets.unwrap_or_else(ToolsetSet::all),
            read_only: accepted.read_only,
            expires_at: None,
            allowed_networks: Vec::new(),
        }))
    }
}

/// What the key has now, and had when the job was begun.
fn with_rights_of_both(now: Principal, begun_by: &BegunBy) -> Principal {
    Principal {
        scopes: now.scopes.intersection(begun_by.scopes),
        toolsets: now.toolsets.intersection(begun_by.toolsets),
        read_only: now.read_only || begun_by.read_only,
        ..now
    }
}

/// A principal that may end the job, and do nothing else.
fn without_rights(claim: &Claim) -> Principal {
    Principal {
        kind: PrincipalKind::Job(tenancy::JOB),
        user: Some(claim.user),
        scopes: ScopeSet::empty(),
        toolsets: ToolsetSet::empty(),
        read_only: true,
        expires_at: None,
        allowed_networks: Vec::new(),
    }
}

fn ended() -> PublicError {
    PublicError::new(
        ErrorCode::Unauthenticated,
        "The key that began this job was revoked, has expired, or belongs to a tenant that is suspended; or the token's issuer \
         is accepted no more.",
    )
    .hint("Begin it anew with a key or a token that is valid.")
}
