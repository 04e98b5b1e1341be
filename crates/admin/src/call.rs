//! One call, from its request to its record: the role is looked at, the tenant found, the request checked, the record
//! opened; the work is the service's; the record is closed by how it ended.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use stagedoor_audit::{AuditClient, AuditEntry, AuditOpening, AuditOutcome, AuditResource, Refusal};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{CallId, ErrorCode, Tenant, TenantContext, TenantSlug};
use stagedoor_storage::admin_creates::{self, Claimed, CreateRequest};
use stagedoor_storage::{Store, StoreError, TenantTransaction};
use uuid::Uuid;

use crate::access::{Method, Scope};
use crate::caller::AdminCaller;
use crate::check::{self, Checked};
use crate::error::{AdminError, http_status};
use crate::naming;
use crate::rooms::AdminRooms;
use crate::tenancy;

/// A call that may be done, on record.
#[derive(Debug)]
pub struct AdminCall {
    rooms: Arc<AdminRooms>,
    caller: Arc<AdminCaller>,
    context: TenantContext,
    validate_only: bool,
    create: Option<CreateRequest>,
    client: AuditClient,
    started: Duration,
    entry: AuditEntry,
    method: &'static Method,
    /// What the request is about, as it is recorded.
    object: String,
}

impl AdminCall {
    /// Begins a call of `method`. Whoever may not, or may not know of the tenant, is turned away, which is recorded.
    pub async fn begin(
        rooms: &Arc<AdminRooms>,
        method: &'static Method,
        caller: &Arc<AdminCaller>,
        client: AuditClient,
        request: &impl Message,
    ) -> Result<Self, AdminError> {
        let started = rooms.clock.elapsed();
        let id = CallId::generate(&*rooms.clock, &*rooms.entropy);
        let (tenant, checked) = match admit(rooms, method, caller, request).await {
            Ok(admitted) => admitted,
            Err(error) => {
                let named = naming::of_refused(method, request);
                refuse(rooms, caller, (method, named), id, client, error.public.code).await;
                return Err(error);
            }
        };
        let context = tenancy::establish(caller, tenant, id);
        let writes = method.access.writes && !checked.validate_only;
        let action = method.access.action(writes);
        let opening = AuditOpening {
            resource: Some(AuditResource { kind: method.name, id: checked.object.clone().into() }),
            ..AuditOpening::new(action, client.clone())
        };
        let entry = rooms.audit.open(&context, opening).await?;
        Ok(Self {
            rooms: Arc::clone(rooms),
            caller: Arc::clone(caller),
            context,
            validate_only: checked.validate_only,
            create: checked.create_request(method, &caller.label()),
            client,
            started,
            entry,
            method,
            object: checked.object,
        })
    }

    /// Ends the call by how its work ended. What it made is on record too: its id is known only now.
    pub async fn finish<T: Message>(mut self, outcome: Result<T, AdminError>) -> Result<T, AdminError> {
        if self.method.access.writes
            && !self.validate_only
            && let Ok(answer) = &outcome
        {
            let id = naming::with_what_was_made(self.method, &self.object, answer);
            self.entry.set_resource(AuditResource { kind: self.method.name, id: id.into() });
        }
        self.close(outcome).await
    }

    /// Ends a call without an answer of its own, such as one that streams.
    pub async fn close<T>(self, outcome: Result<T, AdminError>) -> Result<T, AdminError> {
        let error = outcome.as_ref().err().map(|error| error.public.code);
        let duration = self.rooms.clock.elapsed().saturating_sub(self.started);
        let response_code = error.map_or(200, http_status);
        self.entry.close(AuditOutcome { error, response_code, duration, cached: false }).await;
        outcome
    }

    /// The rooms.
    pub fn rooms(&self) -> &Arc<AdminRooms> {
        &self.rooms
    }

    /// The database, as provisioning's role.
    pub fn store(&self) -> &Store {
        self.rooms.provisioning.store()
    }

    /// Who calls.
    pub fn caller(&self) -> &AdminCaller {
        &self.caller
    }

    /// Where the call comes from.
    pub fn client(&self) -> &AuditClient {
        &self.client
    }

    /// The tenant that the call is about; that of the platform if it is about none.
    pub fn context(&self) -> &TenantContext {
        &self.context
    }

    /// The same call in another tenant: one that it makes.
    pub fn context_in(&self, tenant: Arc<Tenant>) -> TenantContext {
        tenancy::establish(&self.caller, tenant, self.context.call())
    }

    /// Whether everything is to be checked and nothing to be done.
    pub fn validate_only(&self) -> bool {
        self.validate_only
    }

    /// Does `work` in a transaction of `context`'s tenant, as provisioning's role. If everything is only to be checked, it is
    /// undone at the end, and the answer is what would have been.
    pub async fn write<T>(
        &self,
        context: &TenantContext,
        work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        let done = self.store().with_tenant(context, async |tx| match work(tx).await {
            Ok(answer) if self.validate_only => Err(Undone::Checked(answer)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(Undone::Failed(error)),
        });
        match done.await {
            Ok(answer) | Err(Undone::Checked(answer)) => Ok(answer),
            Err(Undone::Failed(error)) => Err(error),
        }
    }

    /// An id for what the call makes: the same one when the same request comes again.
    pub fn new_id(&self) -> Uuid {
        match &self.create {
            Some(create) => {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&create.request[..16]);
                uuid::Builder::from_custom_bytes(bytes).into_uuid()
            }
            None => CallId::generate(&*self.rooms.clock, &*self.rooms.entropy).0,
        }
    }

    /// Does `work`, which has transactions of its own, unless the same request did it before: then there is nothing. The claim
    /// is kept once the work is done; what is cut off between the two may be done once more.
    pub async fn once<T>(
        &self,
        work: impl AsyncFnOnce() -> Result<T, AdminError>,
    ) -> Result<Option<T>, AdminError> {
        if self.create.is_none() {
            return work().await.map(Some);
        }
        self.write(
            &self.context,
            async |tx| {
                if self.is_new(tx).await? { work().await.map(Some) } else { Ok(None) }
            },
        )
        .await
    }

    /// Whether the call, within the transaction that does it, is to make what it is about: `false` if the same request made
    /// it before.
    ///
    /// # Errors
    /// `idempotency_mismatch` if the request's id was used for something else.
    pub async fn is_new(&self, transaction: &mut TenantTransaction) -> Result<bool, AdminError> {
        let Some(create) = &self.create else { return Ok(true) };
        match admin_creates::claim(transaction, create).await? {
            Claimed::New => Ok(true),
            Claimed::Done => Ok(false),
            Claimed::Otherwise => Err(check::otherwise()),
        }
    }
}

/// Why a transaction was undone.
enum Undone<T> {
    Checked(T),
    Failed(AdminError),
}

impl<T> From<StoreError> for Undone<T> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

async fn admit(
    rooms: &AdminRooms,
    method: &Method,
    caller: &AdminCaller,
    request: &impl Message,
) -> Result<(Arc<Tenant>, Checked), AdminError> {
    if !method.access.allows(caller.role) {
        return Err(denied(method, caller));
    }
    if method.access.scope == Scope::Platform && caller.bound_to.is_some() {
        return Err(denied(method, caller));
    }
    let checked = Checked::new(method, request)?;
    let tenant = match method.access.scope {
        Scope::Tenant => find(rooms, caller, &checked.tenant).await?,
        Scope::Platform => Arc::clone(&rooms.platform),
        Scope::Caller => home(rooms, caller).await?,
    };
    Ok((tenant, checked))
}

/// The tenant of that name. One that the caller may not know of looks as if there were none.
async fn find(rooms: &AdminRooms, caller: &AdminCaller, named: &str) -> Result<Arc<Tenant>, AdminError> {
    let unknown = || AdminError::unknown("tenant", named);
    let slug: TenantSlug = named.parse().map_err(|_| unknown())?;
    if !caller.may_know(named) {
        return Err(unknown());
    }
    let tenant = rooms.provisioning.store().find_tenant(&slug).await?;
    tenant.map(Arc::new).ok_or_else(unknown)
}

/// The tenant whose trail records what a caller does about none.
async fn home(rooms: &AdminRooms, caller: &AdminCaller) -> Result<Arc<Tenant>, AdminError> {
    match &caller.bound_to {
        Some(bound) => find(rooms, caller, bound.slug.as_str()).await,
        None => Ok(Arc::clone(&rooms.platform)),
    }
}

fn denied(method: &Method, caller: &AdminCaller) -> AdminError {
    let roles: Vec<_> = method.access.roles.iter().map(|role| role.as_str()).collect();
    let of = if method.access.scope == Scope::Platform { ", not bound to a tenant" } else { "" };
    AdminError::new(
        ErrorCode::PermissionDenied,
        format!("{} is for {}{of}; you are {}.", method.name, roles.join(", "), caller.role.as_str()),
        "Use a key of such a role.",
    )
}

/// A caller that was turned away is in the trail of its own tenant, or in the platform's.
async fn refuse(
    rooms: &AdminRooms,
    caller: &AdminCaller,
    (method, named): (&Method, String),
    call: CallId,
    client: AuditClient,
    error: ErrorCode,
) {
    let tenant = home(rooms, caller).await.unwrap_or_else(|_| Arc::clone(&rooms.platform));
    let refusal = Refusal {
        call,
        action: method.access.action(method.access.writes),
        resource: Some(AuditResource { kind: method.name, id: named.into() }),
        claimed: Some(caller.label().into()),
        error,
        response_code: http_status(error),
        client,
    };
    if let Err(error) = rooms.audit.refuse(tenant, refusal).await {
        tracing::error!(error = %Chain(&error), "a refusal of the admin API was not recorded");
    }
}
