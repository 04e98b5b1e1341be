//! What an answer is filed under. A key can only be built from types, so that no caller can forget a part.

use std::fmt::Write;

use serde::Serialize;
use stagedoor_crypto::digest::sha256;
use stagedoor_domain::{Provider, TenantContext, TenantId, UserId};

use crate::generation::{DataScope, Generation};

/// Who may be given the answer again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// Everyone in the tenant: catalogue data that is the same for all of them.
    Tenant,
    /// One person: whatever that person's token fetched.
    User {
        /// The person.
        user: UserId,
        /// Which of that person's writes make it stale.
        scope: DataScope,
    },
}

/// The parameters of an operation do not serialise to JSON.
#[derive(Debug, thiserror::Error)]
#[error("the parameters of {operation} are not JSON")]
pub struct InvalidParams {
    operation: &'static str,
    #[source]
    cause: serde_json::Error,
}

/// The name of one cached answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey {
    tenant: TenantId,
    domain: &'static str,
    operation: &'static str,
    params_hash: [u8; 32],
    reader: Reader,
    provider: Provider,
}

impl CacheKey {
    /// The key of `operation` in `domain` with `params`, asked of `provider` for `reader`. Everything that
    /// changes the answer (market, page, limit) belongs into `params`: a type whose fields are always written in
    /// the same order, which hash maps are not.
    pub fn new(
        ctx: &TenantContext,
        domain: &'static str,
        operation: &'static str,
        params: &impl Serialize,
        reader: Reader,
        provider: Provider,
    ) -> Result<Self, InvalidParams> {
        debug_assert!(
            !domain.contains(':') && !operation.contains(':'),
            "the parts of a key are separated by colons"
        );
        let params = serde_json::to_vec(params).map_err(|cause| InvalidParams { operation, cause })?;
        let params_hash = sha256(&[provider.as_str().as_bytes(), b"\n", &params]);
        Ok(Self { tenant: ctx.tenant_id(), domain, operation, params_hash, reader, provider })
    }

    /// The tenant it belongs to.
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whom the answer is for.
    pub fn reader(&self) -> Reader {
        self.reader
    }

    /// The provider that was asked.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// `sd:TENANT:cache:v1:DOMAIN:OPERATION:PARAMS_HASH:READER`. No braces: a tenant's answers spread over all
    /// slots of a cluster. A person's part names the generations, so that older answers are simply not found.
    pub(crate) fn render(&self, generation: Option<Generation>) -> String {
        let mut text = String::with_capacity(220);
        // Writing to a string cannot fail.
        let _ = write!(text, "sd:{}:cache:v1:{}:{}:", self.tenant, self.domain, self.operation);
        for byte in self.params_hash {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        let _ = match (self.reader, generation) {
            (Reader::User { user, scope }, Some(Generation { account, scoped })) => {
                write!(text, ":user.{user}.{scope}.{account}.{scoped}")
            }
            (Reader::User { user, scope }, None) => write!(text, ":user.{user}.{scope}"),
            (Reader::Tenant, _) => write!(text, ":tenant"),
        };
        text
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
