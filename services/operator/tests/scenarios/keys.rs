//! The stand-in's service of agents' keys: two active ones of a name at most, a request that comes again is told no secret.

use chrono::{DateTime, TimeDelta};
use stagedoor_crypto::{KeyMode as Mode, PlainApiKey, SystemEntropy};
use stagedoor_proto::admin::v1::*;
use tonic::{Code, Request, Response, Status};

use crate::installation::{Installation, Seen, check_etag, names, refusal, stamp};

type Answer<T> = Result<Response<T>, Status>;

fn unknown() -> Status {
    refusal(Code::NotFound, "OBJECT_UNKNOWN", "There is no such agent key.")
}

impl Installation {
    /// The state of each key as of now.
    fn age(&self, seen: &mut Seen) {
        let now = self.now().timestamp();
        for (_, key) in seen.keys.values_mut() {
            let over = key.expire_time.as_ref().is_some_and(|end| end.seconds <= now);
            if key.state() == KeyState::Active && over {
                key.state = KeyState::Expired.into();
            }
        }
    }

    fn mint(&self, seen: &mut Seen, tenant: &str, mut key: AgentKey) -> Result<(AgentKey, String), Status> {
        let same = |other: &&(String, AgentKey)| {
            other.0 == tenant && other.1.name == key.name && other.1.state() == KeyState::Active
        };
        if seen.keys.values().filter(same).count() >= 2 {
            return Err(refusal(
                Code::AlreadyExists,
                "ALREADY_EXISTS",
                "Two active keys of that name are there already.",
            ));
        }
        let plain = PlainApiKey::generate(&SystemEntropy, Mode::Live);
        key.key_id = plain.id().to_string();
        key.state = KeyState::Active.into();
        // No two are made at the same time: what was made last is known.
        let nanos = i32::try_from(seen.versions).unwrap();
        key.create_time = Some(prost_types::Timestamp { nanos, ..stamp(self.now()) });
        "admin-key:operator".clone_into(&mut key.created_by);
        key.replaced_by = String::new();
        key.etag = seen.etag();
        seen.keys.insert(key.key_id.clone(), (tenant.to_owned(), key.clone()));
        Ok((key, plain.expose_secret().to_owned()))
    }

    fn found<'s>(seen: &'s mut Seen, tenant: &str, id: &str) -> Result<&'s mut AgentKey, Status> {
        seen.keys.get_mut(id).filter(|(of, _)| of == tenant).map(|(_, key)| key).ok_or_else(unknown)
    }
}

#[tonic::async_trait]
impl agent_key_service_server::AgentKeyService for Installation {
    async fn create_agent_key(
        &self,
        request: Request<CreateAgentKeyRequest>,
    ) -> Answer<CreateAgentKeyResponse> {
        let (request, mut seen) = self.admit("CreateAgentKey", request)?;
        let seen_now = &mut *seen;
        self.age(seen_now);
        let endpoint = seen_now.tenant(&request.tenant)?.endpoint.clone();
        let (key, secret) = if let Some(id) = seen_now.before(&request.request_id, &request)? {
            (Self::found(seen_now, &request.tenant, &id)?.clone(), String::new())
        } else {
            let key = AgentKey {
                name: request.name.clone(),
                mode: request.mode,
                scopes: request.scopes.clone(),
                toolsets: request.toolsets.clone(),
                read_only: request.read_only,
                user_id: request.user_id.clone(),
                allowed_networks: request.allowed_networks.clone(),
                expire_time: request.expire_time,
                ..AgentKey::default()
            };
            let (key, secret) = self.mint(seen_now, &request.tenant, key)?;
            seen_now.remember(&request.request_id, &request, &key.key_id);
            (key, secret)
        };
        Self::answer(
            seen,
            "CreateAgentKey",
            CreateAgentKeyResponse { agent_key: Some(key), secret, endpoint },
        )
    }

    async fn get_agent_key(&self, request: Request<GetAgentKeyRequest>) -> Answer<AgentKey> {
        let (request, mut seen) = self.admit("GetAgentKey", request)?;
        self.age(&mut seen);
        let key = Self::found(&mut seen, &request.tenant, &request.key_id)?.clone();
        Self::answer(seen, "GetAgentKey", key)
    }

    async fn list_agent_keys(&self, request: Request<ListAgentKeysRequest>) -> Answer<ListAgentKeysResponse> {
        let (request, mut seen) = self.admit("ListAgentKeys", request)?;
        self.age(&mut seen);
        let fits =
            |key: &&AgentKey| key.name == request.name && (request.state == 0 || key.state == request.state);
        let mut agent_keys: Vec<_> = seen.keys.values().map(|(_, key)| key).filter(fits).cloned().collect();
        agent_keys
            .sort_by_key(|key| std::cmp::Reverse(key.create_time.map(|made| (made.seconds, made.nanos))));
        if request.page_size > 0 {
            agent_keys.truncate(usize::try_from(request.page_size).unwrap());
        }
        Self::answer(
            seen,
            "ListAgentKeys",
            ListAgentKeysResponse { agent_keys, ..ListAgentKeysResponse::default() },
        )
    }

    async fn update_agent_key(&self, request: Request<UpdateAgentKeyRequest>) -> Answer<AgentKey> {
        let (request, mut seen) = self.admit("UpdateAgentKey", request)?;
        let etag = seen.etag();
        let key = Self::found(&mut seen, &request.tenant, &request.key_id)?;
        check_etag(&request.etag, &key.etag)?;
        let mask = request.update_mask.as_ref();
        if names(mask, "scopes") {
            key.scopes = request.scopes;
        }
        if names(mask, "toolsets") {
            key.toolsets = request.toolsets;
        }
        if names(mask, "read_only") {
            key.read_only = request.read_only;
        }
        if names(mask, "allowed_networks") {
            key.allowed_networks = request.allowed_networks;
        }
        if names(mask, "expire_time") {
            key.expire_time = request.expire_time;
        }
        key.etag = etag;
        let key = key.clone();
        Self::answer(seen, "UpdateAgentKey", key)
    }

    async fn rotate_agent_key(
        &self,
        request: Request<RotateAgentKeyRequest>,
    ) -> Answer<RotateAgentKeyResponse> {
        let (request, mut seen) = self.admit("RotateAgentKey", request)?;
        let seen_now = &mut *seen;
        self.age(seen_now);
        let endpoint = seen_now.tenant(&request.tenant)?.endpoint.clone();
        let old = Self::found(seen_now, &request.tenant, &request.key_id)?.clone();
        let (key, secret) = if let Some(id) = seen_now.before(&request.request_id, &request)? {
            (Self::found(seen_now, &request.tenant, &id)?.clone(), String::new())
        } else {
            let replaced =
                seen_now.keys.get(&old.replaced_by).is_some_and(|(_, key)| key.state() == KeyState::Active);
            if old.state() != KeyState::Active || replaced {
                return Err(refusal(Code::FailedPrecondition, "NOT_IN_STATE", "Nothing was done."));
            }
            let life = old.expire_time.zip(old.create_time).map(|(end, made)| end.seconds - made.seconds);
            let end = life.map(|life| stamp(self.now() + TimeDelta::seconds(life)));
            let (key, secret) =
                self.mint(seen_now, &request.tenant, AgentKey { expire_time: end, ..old.clone() })?;
            let overlap = request.overlap.map_or(86_400, |overlap| overlap.seconds);
            let until = self.now().timestamp() + overlap;
            let etag = seen_now.etag();
            let old = Self::found(seen_now, &request.tenant, &request.key_id)?;
            let until = old.expire_time.map_or(until, |end| end.seconds.min(until));
            old.expire_time = DateTime::from_timestamp(until, 0).map(stamp);
            old.replaced_by.clone_from(&key.key_id);
            old.etag = etag;
            if overlap == 0 {
                old.state = KeyState::Revoked.into();
            }
            seen_now.remember(&request.request_id, &request, &key.key_id);
            (key, secret)
        };
        let old = Self::found(seen_now, &request.tenant, &request.key_id)?.clone();
        let answer =
            RotateAgentKeyResponse { agent_key: Some(key), secret, old_agent_key: Some(old), endpoint };
        Self::answer(seen, "RotateAgentKey", answer)
    }

    async fn revoke_agent_key(&self, request: Request<RevokeAgentKeyRequest>) -> Answer<AgentKey> {
        let (request, mut seen) = self.admit("RevokeAgentKey", request)?;
        let etag = seen.etag();
        let key = Self::found(&mut seen, &request.tenant, &request.key_id)?;
        key.state = KeyState::Revoked.into();
        key.revoke_reason = request.reason;
        key.etag = etag;
        let key = key.clone();
        Self::answer(seen, "RevokeAgentKey", key)
    }
}
