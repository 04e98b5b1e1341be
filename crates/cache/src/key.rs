//! What an answer is filed under. A key can only be built from types, so that no caller can forget a part.

use std::fmt::{self, Write};

use serde::Serialize;
use stagedoor_crypto::digest::sha256;
use stagedoor_domain::{CacheClass, Provider, TenantContext, TenantId, UserId};

use crate::generation::{DataScope, Generation, Person};

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
    class: CacheClass,
    operation: &'static str,
    params_hash: [u8; 32],
    reader: Reader,
    provider: Provider,
}

impl CacheKey {
    /// The key of `operation` on data of `class` with `params`, asked of `provider` for `reader`. Everything that
    /// changes the answer (market, page, limit) belongs into `params`: a type whose fields are always written in
    /// the same order, which hash maps are not.
    pub fn new(
        ctx: &TenantContext,
        class: CacheClass,
        operation: &'static str,
        params: &impl Serialize,
        reader: Reader,
        provider: Provider,
    ) -> Result<Self, InvalidParams> {
        debug_assert!(!operation.contains(':'), "the parts of a key are separated by colons");
        let params = serde_json::to_vec(params).map_err(|cause| InvalidParams { operation, cause })?;
        let params_hash = sha256(&[provider.as_str().as_bytes(), b"\n", &params]);
        Ok(Self { tenant: ctx.tenant_id(), class, operation, params_hash, reader, provider })
    }

    /// The tenant it belongs to.
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whom the answer is for.
    pub fn reader(&self) -> Reader {
        self.reader
    }

    /// Whose account brings the answer, if it is a person's.
    pub(crate) fn account(&self) -> Option<(Person, Provider)> {
        match self.reader {
            Reader::Tenant => None,
            Reader::User { user, .. } => Some((Person { tenant: self.tenant, user }, self.provider)),
        }
    }

    /// The provider that was asked.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The class of the data, under which its hits are counted.
    pub fn class(&self) -> CacheClass {
        self.class
    }

    /// A number that differs between keys, for spreading what would else end at the same time.
    pub(crate) fn jitter(&self) -> u16 {
        u16::from_be_bytes([self.params_hash[0], self.params_hash[1]])
    }

    /// `sd:TENANT:cache:v2:CLASS:OPERATION:{PARAMS_HASH}:READER`. The braces are a cluster's hash tag: an entry and its
    /// flight share a slot, and a tenant's entries spread over all slots. A person's part names the generations, so
    /// that older answers are simply not found.
    pub(crate) fn render(&self, generation: Option<Generation>) -> String {
        let mut text = String::with_capacity(256);
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{}:{}:{{", Prefix(self.tenant), self.class, self.operation);
        for byte in self.params_hash {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        let _ = match (self.reader, generation) {
            (Reader::User { user, scope }, Some(Generation { account, scoped, .. })) => {
                write!(text, "}}:user.{user}.{scope}.{account}.{scoped}")
            }
            (Reader::User { user, scope }, None) => write!(text, "}}:user.{user}.{scope}"),
            (Reader::Tenant, _) => write!(text, "}}:tenant"),
        };
        text
    }
}

/// What every key of a tenant's entries begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefix(pub(crate) TenantId);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sd:{}:cache:v2:", self.0)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
