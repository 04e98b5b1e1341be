//! What an answer is filed under. A key can only be built from types, so that no caller can forget a part.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
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
    /// changes the answer (market, page, limit) belongs into `params`; the order of its fields does not matter.
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
        let params = serde_json::to_value(params).map_err(|cause| InvalidParams { operation, cause })?;
        let mut canonical = String::with_capacity(128);
        write_canonical(&mut canonical, &params);
        let params_hash = sha256(&[provider.as_str().as_bytes(), b"\n", canonical.as_bytes()]);
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

/// JSON with sorted fields and no spaces. Sorts by itself: whether `serde_json` keeps its maps sorted depends on
/// features that other crates turn on.
fn write_canonical(text: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                let separator = if index == 0 { "" } else { "," };
                let _ = write!(text, "{separator}{}:", Value::from(name.as_str()));
                write_canonical(text, value);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(text, value);
            }
            text.push(']');
        }
        plain => {
            let _ = write!(text, "{plain}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_fields_does_not_matter_and_of_lists_does() {
        let canonical = |value: &Value| {
            let mut text = String::new();
            write_canonical(&mut text, value);
            text
        };
        let text = canonical(&json!({ "b": [2, 1, null], "a": { "z": "\"", "y": 1.5 } }));
        assert_eq!(text, r#"{"a":{"y":1.5,"z":"\""},"b":[2,1,null]}"#);
        assert_ne!(canonical(&json!([1, 2])), canonical(&json!([2, 1])));
    }
}
