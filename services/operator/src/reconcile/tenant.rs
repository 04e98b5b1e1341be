//! `Tenant`: made once, kept as its spec says, and at the end left or erased.

use std::time::Duration;

use kube::ResourceExt;
use stagedoor_proto::admin::v1::{
    self, CreateTenantRequest, DeleteTenantRequest, GetSettingsRequest, GetTenantRequest,
    ResumeTenantRequest, SuspendTenantRequest, TenantState, UpdateTenantRequest,
};

use super::convert::request_id;
use super::settings::Wanted;
use crate::context::{Context, first_claim};
use crate::kind::{Cleanup, Kind, KindName, ReconcileError, Settled};
use crate::metrics::Change;
use crate::resources::{DeletionPolicy, Tenant, TenantSettings, TenantStatus};

/// How often it is looked whether an erasure is done.
const ERASURE_LOOK: Duration = Duration::from_secs(15);

impl Kind for Tenant {
    const NAME: KindName = KindName::Tenant;
    type Status = TenantStatus;

    fn status(&self) -> Option<&TenantStatus> {
        self.status.as_ref()
    }

    fn is_meant_for_another(&self, context: &Context) -> bool {
        self.spec.installation.as_ref().is_some_and(|of| *of != context.config.installation)
    }

    fn prepare(&self, _: &Context, _: &mut TenantStatus) -> Result<(), ReconcileError> {
        Ok(())
    }

    async fn apply(&self, context: &Context, status: &mut TenantStatus) -> Result<Settled, ReconcileError> {
        let slug = self.slug();
        self.only_claim(context, &slug)?;
        let mut tenant = self.claim(context, status, &slug).await?;
        status.tenant_id = Some(tenant.tenant_id.clone());
        status.slug = Some(slug.clone());
        note(status, &tenant);
        if matches!(tenant.state(), TenantState::Deleting | TenantState::Deleted) {
            return Err(ReconcileError::waiting(
                "TenantErased",
                "The tenant was erased in the installation, which cannot be undone; delete this object and make one with another slug.",
            ));
        }
        tenant = self.names(context, tenant).await?;
        tenant = self.service(context, tenant).await?;
        note(status, &tenant);
        self.settings(context, status, &slug).await?;
        let endpoint = &tenant.endpoint;
        if tenant.state() == TenantState::Suspended {
            let message = "The tenant is suspended: its agents are refused.".to_owned();
            return Ok(Settled { ready: false, reason: "Suspended", message, again_after: None });
        }
        Ok(Settled::ready("Available", format!("Agents connect at {endpoint}.")))
    }

    async fn clean_up(
        &self,
        context: &Context,
        status: &mut TenantStatus,
    ) -> Result<Cleanup, ReconcileError> {
        if self.spec.deletion_policy == DeletionPolicy::Retain {
            return Ok(Cleanup::Done);
        }
        let slug = self.slug();
        let tenant = match context.admin.call(GetTenantRequest { tenant: slug.clone() }).await {
            Ok(tenant) => tenant,
            Err(failure) if failure.is_missing() => return Ok(Cleanup::Done),
            Err(failure) => return Err(failure.into()),
        };
        let own = match &status.tenant_id {
            Some(id) => Some(id.clone()),
            None => self.made(context, &slug).await?,
        };
        // An object that never owned the tenant of its slug has nothing to say about it.
        let Some(id) = own else { return Ok(Cleanup::Done) };
        status.tenant_id = Some(id.clone());
        if tenant.tenant_id != id || tenant.state() == TenantState::Deleted {
            return Ok(Cleanup::Done);
        }
        if tenant.state() != TenantState::Deleting {
            let erase = DeleteTenantRequest {
                tenant: slug.clone(),
                confirm: slug.clone(),
                validate_only: false,
                etag: tenant.etag.clone(),
            };
            context.admin.call(erase).await?;
            context.metrics.changed(KindName::Tenant, Change::Deleted);
            context
                .events
                .tell(
                    self,
                    "ErasureBegun",
                    format!("The tenant {slug} is being erased, by deletionPolicy Delete."),
                )
                .await;
        }
        status.state = Some("Deleting".to_owned());
        Ok(Cleanup::Pending {
            reason: "Erasing",
            message: "The tenant and all that is its is being erased; this object goes when that is done."
                .to_owned(),
            again_after: ERASURE_LOOK,
        })
    }
}

impl Tenant {
    /// Fails if another object has this slug, or was there first.
    fn only_claim(&self, context: &Context, slug: &str) -> Result<(), ReconcileError> {
        let mine = &context.config.installation;
        let claims = context
            .stores
            .tenants
            .state()
            .into_iter()
            .filter(|tenant| tenant.slug() == slug && tenant.installation().is_none_or(|of| of == mine));
        let owns = |tenant: &Tenant| tenant.status.as_ref().is_some_and(|status| status.tenant_id.is_some());
        match first_claim(claims, owns) {
            Some(first) if first.uid() != self.uid() => Err(ReconcileError::waiting(
                "SlugTaken",
                format!(
                    "spec.slug: {slug:?} belongs to another Tenant object{}; take another slug.",
                    if first.namespace() == self.namespace() {
                        format!(", {:?}", first.name_any())
                    } else {
                        String::new()
                    }
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The tenant of the installation, made if it is not there.
    async fn claim(
        &self,
        context: &Context,
        status: &mut TenantStatus,
        slug: &str,
    ) -> Result<v1::Tenant, ReconcileError> {
        if let Some(id) = &status.tenant_id {
            match context.admin.call(GetTenantRequest { tenant: slug.to_owned() }).await {
                Ok(tenant) if tenant.tenant_id == *id => return Ok(tenant),
                Ok(_) => return Err(self.foreign(slug)),
                Err(failure) if failure.is_missing() => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        match context.admin.call(self.creation(slug)).await {
            Ok(tenant) => {
                if status.tenant_id.as_ref() != Some(&tenant.tenant_id) {
                    context.metrics.changed(KindName::Tenant, Change::Created);
                    context.events.tell(self, "TenantCreated", format!("The tenant {slug} was made.")).await;
                }
                Ok(tenant)
            }
            Err(failure) if failure.exists() && self.may_adopt(context) => {
                let tenant = context.admin.call(GetTenantRequest { tenant: slug.to_owned() }).await?;
                context
                    .events
                    .tell(self, "TenantAdopted", format!("The tenant {slug} was taken over, by spec.adopt."))
                    .await;
                Ok(tenant)
            }
            Err(failure) if failure.exists() => Err(self.foreign(slug)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The request that makes the tenant. Nothing but what cannot change is in it: whenever it comes again, it is the same one.
    fn creation(&self, slug: &str) -> CreateTenantRequest {
        let uid = self.uid().unwrap_or_default();
        CreateTenantRequest {
            tenant: slug.to_owned(),
            request_id: request_id(&[&uid, "tenant", slug]),
            ..CreateTenantRequest::default()
        }
    }

    /// The id of the tenant of this slug, which is there, if this object made it and could not write that down: the same request
    /// again makes nothing then and answers the tenant.
    async fn made(&self, context: &Context, slug: &str) -> Result<Option<String>, ReconcileError> {
        match context.admin.call(self.creation(slug)).await {
            Ok(tenant) => Ok(Some(tenant.tenant_id)),
            Err(failure) if failure.exists() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    fn may_adopt(&self, context: &Context) -> bool {
        self.spec.adopt && context.is_of_platform(&self.namespace().unwrap_or_default())
    }

    fn foreign(&self, slug: &str) -> ReconcileError {
        let advice = if self.spec.adopt {
            "The operator's configuration (operator.platform_namespaces) does not let this namespace adopt it."
        } else {
            "Take another slug, or set spec.adopt where the operator's configuration allows that."
        };
        ReconcileError::waiting(
            "TenantExists",
            format!("spec.slug: the installation has a tenant {slug:?} that was made elsewhere. {advice}"),
        )
    }

    /// What it is called, and its plan.
    async fn names(&self, context: &Context, tenant: v1::Tenant) -> Result<v1::Tenant, ReconcileError> {
        let (name, plan) = (&self.spec.display_name, &self.spec.plan);
        let mut paths = Vec::new();
        if name.as_ref().is_some_and(|name| *name != tenant.name) {
            paths.push("name".to_owned());
        }
        if plan.as_ref().is_some_and(|plan| *plan != tenant.plan) {
            paths.push("plan".to_owned());
        }
        if paths.is_empty() {
            return Ok(tenant);
        }
        let told = paths.join(", ");
        let update = UpdateTenantRequest {
            tenant: tenant.tenant.clone(),
            name: name.clone().unwrap_or_default(),
            plan: plan.clone().unwrap_or_default(),
            update_mask: Some(prost_types::FieldMask { paths }),
            etag: tenant.etag,
            validate_only: false,
        };
        let tenant = context.admin.call(update).await?;
        self.changed(context, &told).await;
        Ok(tenant)
    }

    /// Whether it is served.
    async fn service(&self, context: &Context, tenant: v1::Tenant) -> Result<v1::Tenant, ReconcileError> {
        let (slug, etag) = (tenant.tenant.clone(), tenant.etag.clone());
        let tenant = match (self.spec.suspended, tenant.state()) {
            (Some(true), TenantState::Active) => {
                let reason = format!(
                    "spec.suspended of Tenant {}/{}",
                    self.namespace().unwrap_or_default(),
                    self.name_any()
                );
                let suspend = SuspendTenantRequest { tenant: slug, reason, etag, validate_only: false };
                context.admin.call(suspend).await?
            }
            (Some(false), TenantState::Suspended) => {
                let resume = ResumeTenantRequest { tenant: slug, etag, validate_only: false };
                context.admin.call(resume).await?
            }
            _ => return Ok(tenant),
        };
        self.changed(context, "suspended").await;
        Ok(tenant)
    }

    async fn settings(
        &self,
        context: &Context,
        status: &mut TenantStatus,
        slug: &str,
    ) -> Result<(), ReconcileError> {
        let none = TenantSettings::default();
        let wanted = Wanted::read(self.spec.settings.as_ref().unwrap_or(&none))?;
        if wanted.paths.is_empty() && status.managed_settings.is_empty() {
            return Ok(());
        }
        let get = GetSettingsRequest { tenant: slug.to_owned(), effective: false };
        let present = context.admin.call(get).await?;
        let update = wanted.update(slug, &present, &status.managed_settings)?;
        // Before the update: what is set and then forgotten would never go back.
        let managed: std::collections::BTreeSet<_> =
            wanted.paths.iter().chain(&status.managed_settings).cloned().collect();
        status.managed_settings = managed.into_iter().collect();
        if let Some(update) = update {
            let told = update.update_mask.clone().unwrap_or_default().paths.join(", ");
            context.admin.call(update).await?;
            self.changed(context, &told).await;
        }
        status.managed_settings = wanted.paths.into_iter().collect();
        Ok(())
    }

    /// Something was brought about: because the object says so now, or because someone else had changed it.
    async fn changed(&self, context: &Context, what: &str) {
        let observed = self.status.as_ref().and_then(|status| status.observed_generation);
        if observed == self.metadata.generation {
            context.metrics.changed(KindName::Tenant, Change::DriftCorrected);
            context
                .events
                .tell(self, "DriftCorrected", format!("Changed back what someone else had changed: {what}."))
                .await;
        } else {
            context.metrics.changed(KindName::Tenant, Change::Updated);
            context.events.tell(self, "TenantUpdated", format!("Changed: {what}.")).await;
        }
    }
}

fn note(status: &mut TenantStatus, tenant: &v1::Tenant) {
    let state = match tenant.state() {
        TenantState::Active => "Active",
        TenantState::Suspended => "Suspended",
        TenantState::Deleting => "Deleting",
        TenantState::Deleted => "Deleted",
        TenantState::Unspecified => "Unknown",
    };
    status.state = Some(state.to_owned());
    status.plan = Some(tenant.plan.clone());
    status.endpoint = Some(tenant.endpoint.clone());
}
