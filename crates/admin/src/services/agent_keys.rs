//! `AgentKeyService`. A key's secret is in the answer of the call that makes it, and nowhere else.

use std::time::Duration;

use stagedoor_crypto::{KeyMode as Mode, PlainApiKey};
use stagedoor_domain::{ApiKeyId, ErrorCode, UserId};
use stagedoor_proto::admin::v1::{
    AgentKey, CreateAgentKeyRequest, CreateAgentKeyResponse, GetAgentKeyRequest, KeyMode, KeyState,
    ListAgentKeysRequest, ListAgentKeysResponse, RevokeAgentKeyRequest, RotateAgentKeyRequest,
    RotateAgentKeyResponse, UpdateAgentKeyRequest,
};
use stagedoor_storage::api_keys::{
    self, KeyChanges, KeyCursor, KeyFilter, KeyPage, KeyState as State, KeySummary, Minting, NewApiKey,
};
use stagedoor_storage::{StoreError, TenantTransaction};

use super::users;
use crate::call::AdminCall;
use crate::error::AdminError;
use crate::fields::{self, Problems};
use crate::mask::Mask;
use crate::{etag, page, standing, texts, times};

const KIND: &str = "agent key";
/// How long a replaced key goes on where nobody says.
const USUAL_OVERLAP: Duration = Duration::from_hours(24);
/// Why a key was revoked where nobody says.
const NO_REASON: &str = "revoked by an admin";
/// What may be changed of a key.
const CHANGEABLE: [&str; 6] = ["name", "scopes", "toolsets", "read_only", "allowed_networks", "expire_time"];

/// Makes a key.
pub async fn create_agent_key(
    call: &AdminCall,
    request: CreateAgentKeyRequest,
) -> Result<CreateAgentKeyResponse, AdminError> {
    standing::living(call)?;
    let (mode, key) = wanted(call, &request)?;
    let (id, by) = (call.new_id().into_bytes(), call.caller().label());
    let minting = minting(call, &by);
    let plain = PlainApiKey::generate_as(minting.entropy, mode, id);
    let (made, secret) = call
        .write(call.context(), async |tx| {
            if !call.is_new(tx).await? {
                let id = PlainApiKey::id_of(id);
                return Ok((found(tx, &id).await?, None));
            }
            if let Some(user) = key.user {
                users::found(tx, user).await?;
            }
            let plain = api_keys::mint_as(tx, &minting, plain, &key).await;
            let plain = plain.map_err(|error| told(error, &key.name))?;
            Ok((found(tx, plain.id()).await?, Some(plain)))
        })
        .await?;
    Ok(CreateAgentKeyResponse {
        agent_key: Some(shown_new(call, &made)),
        secret: secret_of(call, secret.as_ref()),
        endpoint: call.rooms().endpoint(&call.context().tenant().slug),
    })
}

/// Tells of a key.
pub async fn get_agent_key(call: &AdminCall, request: GetAgentKeyRequest) -> Result<AgentKey, AdminError> {
    let id = fields::key_id(KIND, &request.key_id)?;
    let read = async |tx: &mut TenantTransaction| found(tx, &id).await;
    Ok(shown(call, &call.store().with_tenant(call.context(), read).await?))
}

/// Lists keys, the newest first.
pub async fn list_agent_keys(
    call: &AdminCall,
    request: ListAgentKeysRequest,
) -> Result<ListAgentKeysResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let after = page::after::<KeyCursor>(&request.page_token)?;
    let user = Some(&request.user_id).filter(|user| !user.is_empty());
    let filter = KeyFilter {
        name: Some(request.name.clone()).filter(|name| !name.is_empty()),
        user: user.map(|user| texts::id::<UserId>("user_id", user)).transpose()?,
        state: fields::known("state", request.state)?.and_then(stored_state),
    };
    let page = KeyPage { after, size: u16::try_from(size).unwrap_or(u16::MAX) };
    let now = call.rooms().clock.now();
    let list = async |tx: &mut TenantTransaction| api_keys::list(tx, &filter, &page, now).await;
    let listed = call.store().with_tenant(call.context(), list).await?;
    Ok(ListAgentKeysResponse {
        agent_keys: listed.keys.iter().map(|key| shown(call, key)).collect(),
        next_page_token: listed.next.map(|next| page::token(&next.to_string())).unwrap_or_default(),
    })
}

/// Changes what a key may do.
pub async fn update_agent_key(
    call: &AdminCall,
    request: UpdateAgentKeyRequest,
) -> Result<AgentKey, AdminError> {
    standing::living(call)?;
    let id = fields::key_id(KIND, &request.key_id)?;
    let changes = changes(&request)?;
    let now = call.rooms().clock.now();
    call.write(call.context(), async |tx| {
        let seen = found(tx, &id).await?;
        etag::check(&request.etag, &shown(call, &seen).etag)?;
        let revision = (!request.etag.is_empty()).then_some(seen.revision);
        let updated = api_keys::update(tx, &id, revision, &changes, now).await;
        Ok(shown(call, &updated.map_err(|error| told(error, &request.name))?))
    })
    .await
}

/// Makes a second key with the rights of another, which ends with the overlap.
pub async fn rotate_agent_key(
    call: &AdminCall,
    request: RotateAgentKeyRequest,
) -> Result<RotateAgentKeyResponse, AdminError> {
    standing::living(call)?;
    let id = fields::key_id(KIND, &request.key_id)?;
    let overlap = times::duration("overlap", request.overlap.as_ref())?.unwrap_or(USUAL_OVERLAP);
    let expires_at = times::time("expire_time", request.expire_time.as_ref())?;
    let by = call.caller().label();
    let minting = minting(call, &by);
    let (new, old, secret) = call
        .write(call.context(), async |tx| {
            if !call.is_new(tx).await? {
                let old = found(tx, &id).await?;
                let successor = old.replaced_by.clone().ok_or_else(|| unknown(&id))?;
                return Ok((found(tx, &successor).await?, old, None));
            }
            let told = |error| told(error, id.as_str());
            let rotated = api_keys::rotate(tx, &minting, &id, overlap).await.map_err(told)?;
            let new = if expires_at.is_some() {
                let changes = KeyChanges { expires_at: Some(expires_at), ..KeyChanges::default() };
                api_keys::update(tx, &rotated.new.id, None, &changes, minting.now).await.map_err(told)?
            } else {
                rotated.new
            };
            Ok((new, rotated.old, Some(rotated.plain)))
        })
        .await?;
    Ok(RotateAgentKeyResponse {
        agent_key: Some(shown_new(call, &new)),
        secret: secret_of(call, secret.as_ref()),
        old_agent_key: Some(shown(call, &old)),
        endpoint: call.rooms().endpoint(&call.context().tenant().slug),
    })
}

/// Ends a key.
pub async fn revoke_agent_key(
    call: &AdminCall,
    request: RevokeAgentKeyRequest,
) -> Result<AgentKey, AdminError> {
    let id = fields::key_id(KIND, &request.key_id)?;
    let reason = if request.reason.is_empty() { NO_REASON } else { &request.reason };
    call.write(call.context(), async |tx| {
        let revoked = api_keys::revoke(tx, &id, reason).await;
        Ok(shown(call, &revoked.map_err(|error| told(error, id.as_str()))?))
    })
    .await
}

fn wanted(call: &AdminCall, request: &CreateAgentKeyRequest) -> Result<(Mode, NewApiKey), AdminError> {
    let mut problems = Problems::default();
    let mode = problems.take(fields::known("mode", request.mode));
    let user = Some(&request.user_id).filter(|user| !user.is_empty());
    let user = user.map(|user| texts::id::<UserId>("user_id", user).map(Some));
    let key = NewApiKey {
        name: problems.take(texts::name("name", &request.name)).to_owned(),
        scopes: problems.take(fields::scopes("scopes", &request.scopes).map(Some)).unwrap_or_default(),
        toolsets: problems.take(fields::toolsets("toolsets", &request.toolsets)),
        read_only: request.read_only,
        user: user.and_then(|user| problems.take(user)),
        allowed_networks: problems.take(fields::networks("allowed_networks", &request.allowed_networks)),
        expires_at: problems.take(times::time("expire_time", request.expire_time.as_ref())),
    };
    problems.check()?;
    key.check(call.rooms().clock.now()).map_err(|error| told(error, &request.name))?;
    let mode = match mode {
        Some(KeyMode::Test) => Mode::Test,
        Some(KeyMode::Live | KeyMode::Unspecified) | None => Mode::Live,
    };
    Ok((mode, key))
}

fn changes(request: &UpdateAgentKeyRequest) -> Result<KeyChanges, AdminError> {
    let mask = Mask::new(request.update_mask.as_ref(), &CHANGEABLE)?;
    let mut problems = Problems::default();
    let mut changes = KeyChanges::default();
    if mask.changes("name", !request.name.is_empty()) {
        changes.name = Some(problems.take(texts::name("name", &request.name)).to_owned());
    }
    if mask.changes("scopes", !request.scopes.is_empty()) {
        changes.scopes = problems.take(fields::scopes("scopes", &request.scopes).map(Some));
    }
    if mask.changes("toolsets", !request.toolsets.is_empty()) {
        changes.toolsets = Some(problems.take(fields::toolsets("toolsets", &request.toolsets)));
    }
    if mask.changes("read_only", request.read_only) {
        changes.read_only = Some(request.read_only);
    }
    if mask.changes("allowed_networks", !request.allowed_networks.is_empty()) {
        let networks = fields::networks("allowed_networks", &request.allowed_networks);
        changes.allowed_networks = Some(problems.take(networks));
    }
    if mask.changes("expire_time", request.expire_time.is_some()) {
        changes.expires_at = Some(problems.take(times::time("expire_time", request.expire_time.as_ref())));
    }
    problems.check().map(|()| changes)
}

fn minting<'a>(call: &'a AdminCall, by: &'a str) -> Minting<'a> {
    let rooms = call.rooms();
    Minting { entropy: &*rooms.entropy, peppers: &rooms.peppers, now: rooms.clock.now(), by }
}

/// A key that was only checked has no id: the one that is made will have another.
fn shown_new(call: &AdminCall, key: &KeySummary) -> AgentKey {
    let shown = shown(call, key);
    if call.validate_only() { AgentKey { key_id: String::new(), ..shown } } else { shown }
}

/// Nor has it a secret.
fn secret_of(call: &AdminCall, made: Option<&PlainApiKey>) -> String {
    made.filter(|_| !call.validate_only()).map(|plain| plain.expose_secret().to_owned()).unwrap_or_default()
}

async fn found(tx: &mut TenantTransaction, id: &ApiKeyId) -> Result<KeySummary, AdminError> {
    api_keys::get(tx, id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &ApiKeyId) -> AdminError {
    AdminError::unknown(KIND, id.as_str())
}

/// What the store says of a key, in the API's words; `about` is the key's name or id.
fn told(error: StoreError, about: &str) -> AdminError {
    match error {
        StoreError::Invalid { field, problem } => {
            let field = if field == "expires_at" { "expire_time" } else { field };
            AdminError::field(field, format!("It is not right: {problem}."))
        }
        StoreError::Impossible(why) => {
            AdminError::not_in_state(format!("Nothing was done: {why}."), "Make a new key if one is needed.")
        }
        StoreError::Missing("API key") => AdminError::unknown(KIND, about),
        StoreError::Missing("person") => AdminError::field("user_id", "There is no such person any more."),
        StoreError::AlreadyExists(_) => AdminError::new(
            ErrorCode::AlreadyExists,
            "Two active keys of that name are there already.",
            "Revoke one of them, or take another name.",
        ),
        StoreError::Changed(_) => etag::changed(),
        error => error.into(),
    }
}

fn stored_state(state: KeyState) -> Option<State> {
    match state {
        KeyState::Unspecified => None,
        KeyState::Active => Some(State::Active),
        KeyState::Expired => Some(State::Expired),
        KeyState::Revoked => Some(State::Revoked),
    }
}

fn shown(call: &AdminCall, key: &KeySummary) -> AgentKey {
    let mode = if key.mode == Mode::Test { KeyMode::Test } else { KeyMode::Live };
    let state = match key.state_at(call.rooms().clock.now()) {
        State::Active => KeyState::Active,
        State::Expired => KeyState::Expired,
        State::Revoked => KeyState::Revoked,
    };
    let toolsets = key.toolsets.iter().flat_map(|toolsets| toolsets.iter());
    let mut shown = AgentKey {
        key_id: key.id.to_string(),
        name: key.name.clone(),
        mode: mode.into(),
        state: state.into(),
        scopes: key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        toolsets: toolsets.map(|toolset| toolset.as_str().to_owned()).collect(),
        read_only: key.read_only,
        user_id: key.user.map(|user| user.to_string()).unwrap_or_default(),
        allowed_networks: key.allowed_networks.iter().map(ToString::to_string).collect(),
        expire_time: times::optional(key.expires_at),
        revoke_time: times::optional(key.revoked_at),
        revoke_reason: key.revoked_reason.clone().unwrap_or_default(),
        last_use_time: times::optional(key.last_used_at),
        replaced_by: key.replaced_by.as_ref().map(ToString::to_string).unwrap_or_default(),
        created_by: key.created_by.clone().unwrap_or_default(),
        etag: String::new(),
        create_time: Some(times::timestamp(key.created_at)),
    };
    // It ends and is used by itself.
    shown.etag = etag::of(&AgentKey { last_use_time: None, state: 0, ..shown.clone() });
    shown
}
