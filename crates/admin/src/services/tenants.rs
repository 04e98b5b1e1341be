//! `TenantService`.

use std::sync::Arc;

use stagedoor_domain::{
    ErrorCode, PrivacyRequestId, Tenant as Served, TenantId, TenantSettings, TenantSlug, TenantStatus,
};
use stagedoor_proto::admin::v1::{
    CreateTenantRequest, DeleteTenantRequest, GetTenantRequest, ListTenantsRequest, ListTenantsResponse,
    PrivacyRequest, ResumeTenantRequest, SuspendTenantRequest, Tenant, TenantState, UpdateTenantRequest,
};
use stagedoor_storage::tenant_records::{self, TenantRecord};
use stagedoor_storage::{StoreError, TenantTransaction, privacy_requests};

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::mask::Mask;
use crate::rooms::{AdminRooms, PLATFORM};
use crate::services::privacy;
use crate::{etag, page, texts, times};

const STANDARD: &str = "standard";

/// Makes a tenant.
pub async fn create_tenant(call: &AdminCall, request: CreateTenantRequest) -> Result<Tenant, AdminError> {
    let slug: TenantSlug = request.tenant.parse().map_err(|_| {
        AdminError::field(
            "tenant",
            "It is no name in URLs; wanted: 1 to 40 lower-case letters, digits and inner hyphens.",
        )
    })?;
    let name = if request.name.is_empty() { slug.as_str() } else { texts::name("name", &request.name)? };
    let plan = if request.plan.is_empty() { STANDARD } else { texts::name("plan", &request.plan)? };
    let id = TenantId(call.new_id());
    let tenant = Arc::new(Served {
        id,
        slug: slug.clone(),
        status: TenantStatus::Active,
        settings: TenantSettings::default(),
    });
    let taken = call.store().find_tenant(&slug).await?;
    if taken.is_some_and(|taken| taken.id != id) {
        return Err(AdminError::exists("tenant", slug.as_str()));
    }
    let context = call.context_in(Arc::clone(&tenant));
    let make = async |tx: &mut TenantTransaction| {
        if !tenant_records::exists(tx).await? {
            tenant_records::insert(tx, &tenant, name, plan).await.map_err(|error| match error {
                StoreError::AlreadyExists(_) => AdminError::exists("tenant", slug.as_str()),
                error => error.into(),
            })?;
        }
        call.is_new(tx).await?;
        Ok(shown(call.rooms(), &tenant_records::lock(tx).await?))
    };
    match call.write(&context, make).await {
        // The same request, at the same moment, was quicker: the second time it finds what the first has made.
        Err(error) if error.public.code == ErrorCode::AlreadyExists => {
            let taken = call.store().find_tenant(&slug).await?;
            if taken.is_none_or(|taken| taken.id != id) {
                return Err(error);
            }
            call.write(&context, make).await
        }
        outcome => outcome,
    }
}

/// Tells of a tenant.
pub async fn get_tenant(call: &AdminCall, _: GetTenantRequest) -> Result<Tenant, AdminError> {
    let read = async |tx: &mut TenantTransaction| Ok(shown(call.rooms(), &tenant_records::read(tx).await?));
    call.store().with_tenant(call.context(), read).await
}

/// Lists tenants by their names in URLs.
pub async fn list_tenants(
    call: &AdminCall,
    request: ListTenantsRequest,
) -> Result<ListTenantsResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let after = page::after::<TenantSlug>(&request.page_token)?;
    let status = match request.state() {
        TenantState::Unspecified => None,
        TenantState::Active => Some(TenantStatus::Active),
        TenantState::Suspended => Some(TenantStatus::Suspended),
        TenantState::Deleting => Some(TenantStatus::Deleting),
        TenantState::Deleted => Some(TenantStatus::Deleted),
    };
    let mut records = call.store().tenant_records_after(after.as_ref(), status, size + 1).await?;
    let next_page_token = page::cut(&mut records, size, |record| record.tenant.slug.to_string());
    let tenants = records.iter().map(|record| shown(call.rooms(), record)).collect();
    Ok(ListTenantsResponse { tenants, next_page_token })
}

/// Changes what a tenant is called and its plan.
pub async fn update_tenant(call: &AdminCall, request: UpdateTenantRequest) -> Result<Tenant, AdminError> {
    let mask = Mask::new(request.update_mask.as_ref(), &["name", "plan"])?;
    let name = mask
        .changes("name", !request.name.is_empty())
        .then(|| texts::name("name", &request.name))
        .transpose()?;
    let plan = mask
        .changes("plan", !request.plan.is_empty())
        .then(|| texts::name("plan", &request.plan))
        .transpose()?;
    change(call, &request.etag, async |tx, record| {
        let (name, plan) = (name.unwrap_or(&record.name), plan.unwrap_or(&record.plan));
        Ok(tenant_records::update(tx, name, plan, record.tenant.status).await?)
    })
    .await
}

/// Refuses all of a tenant's agents until it is resumed.
pub async fn suspend_tenant(call: &AdminCall, request: SuspendTenantRequest) -> Result<Tenant, AdminError> {
    set_status(call, &request.etag, TenantStatus::Active, TenantStatus::Suspended).await
}

/// Serves a suspended tenant again.
pub async fn resume_tenant(call: &AdminCall, request: ResumeTenantRequest) -> Result<Tenant, AdminError> {
    set_status(call, &request.etag, TenantStatus::Suspended, TenantStatus::Active).await
}

/// Begins the erasure of a tenant.
pub async fn delete_tenant(
    call: &AdminCall,
    request: DeleteTenantRequest,
) -> Result<PrivacyRequest, AdminError> {
    refuse_platform(call)?;
    if request.confirm != request.tenant {
        return Err(AdminError::field("confirm", "It is not the tenant's name; nothing was deleted."));
    }
    let status = call.context().tenant().status;
    if status == TenantStatus::Deleted {
        return Err(AdminError::not_in_state(
            "The tenant is deleted already.",
            "There is nothing left to delete.",
        ));
    }
    let read = async |tx: &mut TenantTransaction| tenant_records::read(tx).await;
    let record = call.store().with_tenant(call.context(), read).await?;
    etag::check(&request.etag, &shown(call.rooms(), &record).etag)?;
    let id = PrivacyRequestId(call.new_id());
    if call.validate_only() {
        return Ok(privacy::would_be(call, id));
    }
    let begun = privacy_requests::request_tenant_erasure(call.store(), call.context(), id).await?;
    Ok(privacy::shown(call.context(), &begun))
}

async fn set_status(
    call: &AdminCall,
    seen: &str,
    from: TenantStatus,
    to: TenantStatus,
) -> Result<Tenant, AdminError> {
    refuse_platform(call)?;
    change(call, seen, async |tx, record| match record.tenant.status {
        status if status == to => Ok(()),
        status if status == from => Ok(tenant_records::update(tx, &record.name, &record.plan, to).await?),
        _ => Err(AdminError::not_in_state(
            "The tenant is being deleted, or is deleted.",
            "It cannot be undone.",
        )),
    })
    .await
}

/// Changes a tenant that nobody else changes meanwhile, if it is still the one that the caller has seen.
async fn change(
    call: &AdminCall,
    seen: &str,
    work: impl AsyncFnOnce(&mut TenantTransaction, &TenantRecord) -> Result<(), AdminError>,
) -> Result<Tenant, AdminError> {
    call.write(call.context(), async |tx| {
        let record = tenant_records::lock(tx).await?;
        etag::check(seen, &shown(call.rooms(), &record).etag)?;
        work(tx, &record).await?;
        Ok(shown(call.rooms(), &tenant_records::read(tx).await?))
    })
    .await
}

fn refuse_platform(call: &AdminCall) -> Result<(), AdminError> {
    if call.context().tenant().slug.as_str() != PLATFORM {
        return Ok(());
    }
    Err(AdminError::not_in_state(
        "The tenant is the installation itself: it holds its audit trail and is never served.",
        "Name another tenant.",
    ))
}

fn shown(rooms: &AdminRooms, record: &TenantRecord) -> Tenant {
    let state = match record.tenant.status {
        TenantStatus::Active => TenantState::Active,
        TenantStatus::Suspended => TenantState::Suspended,
        TenantStatus::Deleting => TenantState::Deleting,
        TenantStatus::Deleted => TenantState::Deleted,
    };
    let mut tenant = Tenant {
        tenant: record.tenant.slug.to_string(),
        tenant_id: record.tenant.id.to_string(),
        name: record.name.clone(),
        plan: record.plan.clone(),
        state: state.into(),
        endpoint: rooms.endpoint(&record.tenant.slug),
        etag: String::new(),
        create_time: Some(times::timestamp(record.created_at)),
        update_time: Some(times::timestamp(record.updated_at)),
    };
    tenant.etag = etag::of(&Tenant { update_time: None, ..tenant.clone() });
    tenant
}
