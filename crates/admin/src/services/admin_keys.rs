//! `AdminKeyService`: the keys of this API. Those of the installation are the platform operator's; a tenant's are its own, and
//! reach no further than it.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_crypto::{KeyMode, PlainApiKey};
use stagedoor_domain::{ApiKeyId, TenantId};
use stagedoor_proto::admin::v1::{
    AdminKey, CreateAdminKeyRequest, CreateAdminKeyResponse, CreateTenantAdminKeyRequest, KeyState,
    ListAdminKeysRequest, ListAdminKeysResponse, ListTenantAdminKeysRequest, RevokeAdminKeyRequest,
    RevokeTenantAdminKeyRequest, Role,
};
use stagedoor_storage::admin_keys::{AdminKey as Stored, AdminRole, Bound, NewAdminKey};

use super::caller;
use crate::call::AdminCall;
use crate::caller::AdminCaller;
use crate::error::AdminError;
use crate::fields::{self, Problems};
use crate::{page, standing, texts, times};

const KIND: &str = "admin key";
/// Why a key was revoked where nobody says.
const NO_REASON: &str = "revoked by an admin";
/// The longest reason, in characters.
const LONGEST_REASON: usize = 200;

/// Makes a key of the installation.
pub async fn create_admin_key(
    call: &AdminCall,
    request: CreateAdminKeyRequest,
) -> Result<CreateAdminKeyResponse, AdminError> {
    let CreateAdminKeyRequest { name, role, allowed_networks, expire_time, .. } = request;
    let wanted = Wanted { name, role, allowed_networks, expire_time };
    create(call, &wanted, None, &[AdminRole::PlatformOperator, AdminRole::Auditor]).await
}

/// Makes a key that is bound to a tenant.
pub async fn create_tenant_admin_key(
    call: &AdminCall,
    request: CreateTenantAdminKeyRequest,
) -> Result<CreateAdminKeyResponse, AdminError> {
    standing::living(call)?;
    let CreateTenantAdminKeyRequest { name, role, allowed_networks, expire_time, .. } = request;
    let wanted = Wanted { name, role, allowed_networks, expire_time };
    let tenant = Some(call.context().tenant_id());
    create(call, &wanted, tenant, &[AdminRole::TenantAdmin, AdminRole::Auditor]).await
}

/// Lists the keys of this API.
pub async fn list_admin_keys(
    call: &AdminCall,
    request: ListAdminKeysRequest,
) -> Result<ListAdminKeysResponse, AdminError> {
    list(call, Bound::Anywhere, request.page_size, &request.page_token, request.state).await
}

/// Lists the keys of this API that are bound to a tenant.
pub async fn list_tenant_admin_keys(
    call: &AdminCall,
    request: ListTenantAdminKeysRequest,
) -> Result<ListAdminKeysResponse, AdminError> {
    let bound = Bound::To(call.context().tenant_id());
    list(call, bound, request.page_size, &request.page_token, request.state).await
}

/// Ends a key of this API.
pub async fn revoke_admin_key(
    call: &AdminCall,
    request: RevokeAdminKeyRequest,
) -> Result<AdminKey, AdminError> {
    revoke(call, Bound::Anywhere, &request.key_id, &request.reason).await
}

/// Ends a key of this API that is bound to a tenant.
pub async fn revoke_tenant_admin_key(
    call: &AdminCall,
    request: RevokeTenantAdminKeyRequest,
) -> Result<AdminKey, AdminError> {
    revoke(call, Bound::To(call.context().tenant_id()), &request.key_id, &request.reason).await
}

/// What a request for a key says.
struct Wanted {
    name: String,
    role: i32,
    allowed_networks: Vec<String>,
    expire_time: Option<prost_types::Timestamp>,
}

async fn create(
    call: &AdminCall,
    wanted: &Wanted,
    bound_to: Option<TenantId>,
    roles: &[AdminRole],
) -> Result<CreateAdminKeyResponse, AdminError> {
    let rooms = call.rooms();
    let plain = PlainApiKey::generate_as(&*rooms.entropy, KeyMode::Admin, call.new_id().into_bytes());
    let key = wanted.read(call, &plain, bound_to, roles)?;
    // The claim of its id is not in one transaction with the key, whose own id tells whether it was made.
    call.write(call.context(), async |tx| call.is_new(tx).await).await?;
    if call.validate_only() {
        return Ok(CreateAdminKeyResponse { admin_key: Some(would_be(call, key)), secret: String::new() });
    }
    let made = call.store().insert_admin_key(&key).await?;
    let stored = find(call, Bound::Anywhere, plain.id()).await?;
    let secret = if made { plain.expose_secret().to_owned() } else { String::new() };
    Ok(CreateAdminKeyResponse { admin_key: Some(shown(&stored, rooms.clock.now())), secret })
}

impl Wanted {
    fn read(
        &self,
        call: &AdminCall,
        plain: &PlainApiKey,
        bound_to: Option<TenantId>,
        roles: &[AdminRole],
    ) -> Result<NewAdminKey, AdminError> {
        let mut problems = Problems::default();
        let role = problems.take(fields::known("role", self.role)).and_then(|role| match role {
            Role::Unspecified => None,
            Role::PlatformOperator => Some(AdminRole::PlatformOperator),
            Role::TenantAdmin => Some(AdminRole::TenantAdmin),
            Role::Auditor => Some(AdminRole::Auditor),
        });
        let role = role.filter(|role| roles.contains(role));
        if role.is_none() {
            let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            problems.note("role", format!("Such a key is for one of {}.", names.join(", ")));
        }
        let expires_at = problems.take(times::time("expire_time", self.expire_time.as_ref()));
        if expires_at.is_some_and(|end| end <= call.rooms().clock.now()) {
            problems.note("expire_time", "It is over already; revoke a key to end it now.");
        }
        let name = problems.take(texts::name("name", &self.name)).to_owned();
        let allowed_networks = fields::networks("allowed_networks", &self.allowed_networks);
        let allowed_networks = problems.take(allowed_networks.map(Some));
        if let Some(allowed_networks) = &allowed_networks {
            check_reach(call.caller(), allowed_networks, expires_at, &mut problems);
        }
        problems.check()?;
        let allowed_networks = allowed_networks.unwrap_or_default();
        Ok(NewAdminKey {
            id: plain.id().clone(),
            name,
            // A role is there, or the check had failed.
            role: role.unwrap_or(AdminRole::Auditor),
            bound_to,
            digest: plain.digest(&call.rooms().peppers),
            allowed_networks,
            expires_at,
            created_by: call.caller().label(),
        })
    }
}

/// Nobody makes a key that reaches further than the one it is made with: whoever finds a key that is limited to a network or
/// a time must not make one of it that is not.
fn check_reach(
    caller: &AdminCaller,
    networks: &[IpNet],
    expires_at: Option<DateTime<Utc>>,
    problems: &mut Problems,
) {
    let within = |network: &IpNet| caller.allowed_networks.iter().any(|own| own.contains(network));
    if !caller.allowed_networks.is_empty() && (networks.is_empty() || !networks.iter().all(within)) {
        let own: Vec<_> = caller.allowed_networks.iter().map(ToString::to_string).collect();
        let wanted = format!("It must lie within the networks of the key you use: {}.", own.join(", "));
        problems.note("allowed_networks", wanted);
    }
    if let Some(end) = caller.expires_at.filter(|end| expires_at.is_none_or(|wanted| wanted > *end)) {
        let wanted = format!("It must not be later than the end of the key you use: {}.", end.to_rfc3339());
        problems.note("expire_time", wanted);
    }
}

async fn list(
    call: &AdminCall,
    bound: Bound,
    page_size: i32,
    page_token: &str,
    state: i32,
) -> Result<ListAdminKeysResponse, AdminError> {
    let size = page::size(page_size)?;
    let mut after = page::after::<ApiKeyId>(page_token)?;
    let wanted: Option<KeyState> = fields::known("state", state)?;
    let (now, most) = (call.rooms().clock.now(), size + 1);
    let mut keys: Vec<Stored> = Vec::new();
    loop {
        let found = call.store().admin_keys_after(bound, after.as_ref(), most).await?;
        let exhausted = u32::try_from(found.len()).unwrap_or(u32::MAX) < most;
        after = found.last().map(|last| last.id.clone());
        keys.extend(found.into_iter().filter(|key| wanted.is_none_or(|wanted| state_of(key, now) == wanted)));
        if exhausted || u32::try_from(keys.len()).unwrap_or(u32::MAX) >= most {
            break;
        }
    }
    let next_page_token = page::cut(&mut keys, size, |last| last.id.to_string());
    Ok(ListAdminKeysResponse {
        admin_keys: keys.iter().map(|key| shown(key, now)).collect(),
        next_page_token,
    })
}

async fn revoke(call: &AdminCall, bound: Bound, key_id: &str, reason: &str) -> Result<AdminKey, AdminError> {
    let id = fields::key_id(KIND, key_id)?;
    let reason = checked_reason(reason)?;
    let (key, now) = (find(call, bound, &id).await?, call.rooms().clock.now());
    if key.revoked_at.is_some() {
        return Ok(shown(&key, now));
    }
    if call.validate_only() {
        if key.role == AdminRole::PlatformOperator && !another_operator(call, &id).await? {
            return Err(last_operator());
        }
        return Ok(shown(&Stored { revoked_at: Some(now), ..key }, now));
    }
    let revoked = call.store().revoke_admin_key(&id, reason, now).await?;
    let key = find(call, bound, &id).await?;
    if !revoked && key.revoked_at.is_none() {
        return Err(last_operator());
    }
    Ok(shown(&key, now))
}

fn checked_reason(given: &str) -> Result<&str, AdminError> {
    match given {
        "" => Ok(NO_REASON),
        given if given.chars().count() <= LONGEST_REASON && !given.chars().any(char::is_control) => Ok(given),
        _ => Err(AdminError::field(
            "reason",
            format!("It must be at most {LONGEST_REASON} characters on one line."),
        )),
    }
}

/// Whether there is another key of an operator that is valid now.
async fn another_operator(call: &AdminCall, but: &ApiKeyId) -> Result<bool, AdminError> {
    let (now, mut after) = (call.rooms().clock.now(), None);
    loop {
        let keys = call.store().admin_keys_after(Bound::Anywhere, after.as_ref(), page::MOST).await?;
        let operators = |key: &Stored| key.role == AdminRole::PlatformOperator && key.id != *but;
        if keys.iter().any(|key| operators(key) && key.is_valid_at(now)) {
            return Ok(true);
        }
        after = keys.last().map(|last| last.id.clone());
        if after.is_none() {
            return Ok(false);
        }
    }
}

fn last_operator() -> AdminError {
    AdminError::not_in_state(
        "It is the only key of a platform operator that is valid: nobody could make another.",
        "Make another one first.",
    )
}

/// A key of another tenant looks as if there were none.
async fn find(call: &AdminCall, bound: Bound, id: &ApiKeyId) -> Result<Stored, AdminError> {
    let key = call.store().find_admin_key(id).await?;
    let of = |key: &Stored| match bound {
        Bound::Anywhere => true,
        Bound::To(tenant) => key.bound_to.as_ref().is_some_and(|(bound, ..)| *bound == tenant),
    };
    key.filter(of).ok_or_else(|| AdminError::unknown(KIND, id.as_str()))
}

fn would_be(call: &AdminCall, key: NewAdminKey) -> AdminKey {
    let tenant = key.bound_to.map(|_| call.context().tenant().slug.to_string());
    AdminKey {
        name: key.name,
        role: caller::role(key.role).into(),
        tenant: tenant.unwrap_or_default(),
        state: KeyState::Active.into(),
        allowed_networks: key.allowed_networks.iter().map(ToString::to_string).collect(),
        expire_time: times::optional(key.expires_at),
        created_by: key.created_by,
        ..AdminKey::default()
    }
}

fn state_of(key: &Stored, now: DateTime<Utc>) -> KeyState {
    if key.revoked_at.is_some() {
        KeyState::Revoked
    } else if key.expires_at.is_some_and(|end| end <= now) {
        KeyState::Expired
    } else {
        KeyState::Active
    }
}

fn shown(key: &Stored, now: DateTime<Utc>) -> AdminKey {
    AdminKey {
        key_id: key.id.to_string(),
        name: key.name.clone(),
        role: caller::role(key.role).into(),
        tenant: key.bound_to.as_ref().map(|(_, slug, _)| slug.to_string()).unwrap_or_default(),
        state: state_of(key, now).into(),
        allowed_networks: key.allowed_networks.iter().map(ToString::to_string).collect(),
        expire_time: times::optional(key.expires_at),
        revoke_time: times::optional(key.revoked_at),
        last_use_time: times::optional(key.last_used_at),
        created_by: key.created_by.clone(),
        create_time: Some(times::timestamp(key.created_at)),
    }
}
